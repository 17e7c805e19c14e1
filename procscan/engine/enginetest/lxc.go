package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// LXC is a directory of LXC containers of the test's own.
type LXC struct {
	t    *testing.T
	Path string // the LXCPATH of its containers
}

// StartLXC makes a directory for containers.
func StartLXC(t *testing.T) *LXC {
	t.Helper()
	Need(t, "lxc-start", "lxc-stop", "lxc-freeze", "busybox")
	l := &LXC{t: t, Path: Dir(t)}
	t.Cleanup(func() {
		if err := os.RemoveAll("/run/lxc/lock" + l.Path); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Create makes a container with a root file system and a configuration: lines besides those that name it. Its files
// belong to the root of its user namespace.
func (l *LXC) Create(name string, root int, config ...string) {
	l.t.Helper()
	dir := l.Path + "/" + name
	Rootfs(l.t, dir+"/rootfs")
	Run(l.t, nil, "chown", "-R", fmt.Sprintf("%d:%[1]d", root), dir+"/rootfs")
	lines := append([]string{
		"lxc.uts.name = " + name, "lxc.rootfs.path = dir:" + dir + "/rootfs", "lxc.net.0.type = empty",
		"lxc.init.cmd = /bin/sleep 1000", "lxc.apparmor.profile = unconfined",
	}, config...)
	if err := os.WriteFile(dir+"/config", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// Start starts a container in the background and stops it at the end of the test.
func (l *LXC) Start(name string) {
	l.t.Helper()
	program, err := exec.LookPath("lxc-start")
	if err != nil {
		l.t.Fatal(err)
	}
	// Where LXC finds newuidmap it uses it, also as root, who has no grant in /etc/subuid.
	Run(l.t, []string{"PATH=/nonexistent"}, program, "-P", l.Path, "-n", name, "-d", "-o", l.Path+"/log", "-l", "INFO")
	l.t.Cleanup(func() {
		if l.t.Failed() {
			log, _ := os.ReadFile(l.Path + "/log")
			l.t.Logf("%s", log)
		}
		l.Run("lxc-stop", name, "-k")
	})
}

// Run runs one of LXC's commands on a container.
func (l *LXC) Run(command, name string, args ...string) string {
	l.t.Helper()
	return Run(l.t, nil, command, append([]string{"-P", l.Path, "-n", name}, args...)...)
}

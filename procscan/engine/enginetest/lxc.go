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
	uid  int
	Path string // the LXCPATH of its containers
}

// StartLXC makes a directory for containers of a user, who need not be in /etc/passwd.
func StartLXC(t *testing.T, uid int) *LXC {
	t.Helper()
	Need(t, "lxc-start", "lxc-stop", "lxc-freeze", "busybox", "setpriv")
	l := &LXC{t: t, uid: uid, Path: Dir(t)}
	if err := os.Chown(l.Path, uid, uid); err != nil {
		t.Fatal(err)
	}
	removeLocks(t, l.Path)
	return l
}

// removeLocks removes at the end of the test what liblxc leaves about the containers below dir.
func removeLocks(t *testing.T, dir string) {
	t.Cleanup(func() {
		if err := os.RemoveAll("/run/lxc/lock" + dir); err != nil {
			t.Error(err)
		}
	})
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
	err := os.WriteFile(dir+"/config", []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Chown(dir+"/config", l.uid, l.uid)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// Start starts a container in the background, behind a command that puts its monitor elsewhere, and stops it at the end
// of the test.
func (l *LXC) Start(name string, behind ...string) {
	l.t.Helper()
	command := append(behind, "lxc-start", "-P", l.Path, "-n", name, "-d", "-o", l.Path+"/log", "-l", "INFO")
	for i, word := range command {
		if word == "lxc-start" || i == 0 {
			program, err := exec.LookPath(word)
			if err != nil {
				l.t.Fatal(err)
			}
			command[i] = program
		}
	}
	// Where LXC finds newuidmap it uses it, also as root, who has no grant in /etc/subuid.
	l.as("PATH=/nonexistent", command...)
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
	return l.as("LC_ALL=C", append([]string{command, "-P", l.Path, "-n", name}, args...)...)
}

func (l *LXC) as(env string, command ...string) string {
	l.t.Helper()
	id := fmt.Sprint(l.uid)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		l.t.Fatal(err)
	}
	return Run(l.t, []string{"HOME=" + l.Path, "XDG_RUNTIME_DIR=" + l.Path, env}, setpriv, append([]string{"--reuid", id, "--regid", id, "--clear-groups"}, command...)...)
}

package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Podman is a podman of the test's own: root's, with a storage in Dir, or an ordinary user's, with the default one.
type Podman struct {
	t    *testing.T
	Dir  string
	User *User // nil for root's
	env  []string
	args []string
}

// podmanConf makes podman start where there is no systemd, no network and no CAP_SYS_RESOURCE.
const podmanConf = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

// StartPodman prepares root's podman, with an image called busybox. The subordinate ids of user are those that
// --userns=auto takes from.
func StartPodman(t *testing.T, user *User) *Podman {
	t.Helper()
	Need(t, "podman", "conmon", "runc", "crun", "busybox", "unshare")
	p := &Podman{t: t, Dir: Dir(t)}
	p.env = []string{"CONTAINERS_CONF=" + p.file("containers.conf", podmanConf), "CONTAINERS_STORAGE_CONF=" + p.file("storage.conf", fmt.Sprintf(
		"[storage]\ndriver = \"overlay\"\ngraphroot = %q\nrunroot = %q\n[storage.options]\nroot-auto-userns-user = %q\n",
		p.Dir+"/root", p.Dir+"/run", user.Name))}
	p.args = []string{"--root", p.Dir + "/root", "--runroot", p.Dir + "/run", "--tmpdir", p.Dir + "/tmp"}
	t.Cleanup(func() {
		p.removeAll()
		// Podman has the directory of the layers mounted on itself for as long as it is there.
		_, _ = Try(t, nil, "umount", "-R", "-l", p.Dir+"/root/overlay") // it may have no layer
	})
	p.Run("import", Image(t), "busybox")
	return p
}

// StartRootlessPodman prepares an ordinary user's podman.
func StartRootlessPodman(t *testing.T, user *User) *Podman {
	t.Helper()
	Need(t, "podman", "conmon", "runc", "busybox", "newuidmap", "setpriv")
	p := &Podman{t: t, Dir: Dir(t), User: user}
	p.env = append(user.Env(), "CONTAINERS_CONF="+p.file("containers.conf", podmanConf))
	t.Cleanup(func() {
		p.removeAll()
		p.Run("system", "migrate") // ends the process that holds the user namespace
	})
	p.Run("import", Image(t), "busybox")
	return p
}

func (p *Podman) file(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// Command is the podman command with the runtime runc and these arguments.
func (p *Podman) Command(args ...string) []string {
	argv := append(append([]string{"podman", "--runtime", "runc"}, p.args...), args...)
	if p.User != nil {
		return p.User.Argv(argv...)
	}
	return argv
}

// Env is the environment of Command.
func (p *Podman) Env() []string { return p.env }

// Run runs the podman command.
func (p *Podman) Run(args ...string) string {
	p.t.Helper()
	argv := p.Command(args...)
	return Run(p.t, p.env, argv[0], argv[1:]...)
}

// RunCrun is Run with the runtime crun. A container is to be started with -i: crun gives the standard streams to the
// container's user, and without it stdin is the host's /dev/null.
func (p *Podman) RunCrun(args ...string) string {
	p.t.Helper()
	argv := Crunnable(append([]string{"podman", "--runtime", "crun"}, append(p.args, args...)...)...)
	return Run(p.t, p.env, argv[0], argv[1:]...)
}

// Crunnable is a command as crun runs in it: it refuses to where cgroup2 is beside version 1, and so sees no cgroup2.
func Crunnable(argv ...string) []string {
	const script = `! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; exec "$@"`
	return append([]string{"unshare", "-m", "--propagation", "slave", "sh", "-c", script, "sh"}, argv...)
}

// removeAll removes the containers, and waits for the monitors and what they run when a container ends.
func (p *Podman) removeAll() {
	p.Run("pod", "rm", "-f", "-t", "0", "-a")
	p.Run("rm", "-f", "-t", "0", "-a")
	storage := p.Dir
	if p.User != nil {
		storage = p.User.Home
	}
	Eventually(p.t, "the end of what works on "+storage, func() bool {
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		return err == nil && !slices.ContainsFunc(lines, func(name string) bool {
			line, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(line), storage)
		})
	})
}

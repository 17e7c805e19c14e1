package enginetest

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Docker is a docker daemon of the test's own.
type Docker struct {
	t      *testing.T
	Dir    string // with data, exec and the socket
	Socket string

	args    []string // of dockerd
	process *os.Process
	gone    bool // removeAll has nothing more to do
}

// StartDocker starts dockerd as root, without a network, and with an image called busybox. Of flags that are given twice
// the last counts.
func StartDocker(t *testing.T, flags ...string) *Docker {
	t.Helper()
	return StartDockerIn(t, Dir(t), flags...)
}

// StartDockerIn is StartDocker with a directory that the test has prepared.
func StartDockerIn(t *testing.T, dir string, flags ...string) *Docker {
	t.Helper()
	Need(t, "dockerd", "docker", "containerd", "runc", "busybox")
	d := &Docker{t: t, Dir: dir, Socket: dir + "/docker.sock"}
	d.args = append([]string{
		"-H", "unix://" + d.Socket, "--exec-root", d.Dir + "/exec", "--pidfile", d.Dir + "/pid",
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--log-level=warn",
	}, flags...)
	if !hasFlag(flags, "--config-file") {
		d.args = append(d.args, "--data-root", d.Dir+"/data")
	}
	d.start()
	t.Cleanup(d.removeAll)
	d.Run("import", Image(t), "busybox")
	return d
}

func hasFlag(args []string, name string) bool {
	for _, arg := range args {
		if arg == name {
			return true
		}
	}
	return false
}

func (d *Docker) start() {
	cmd := exec.Command("dockerd", d.args...)
	Daemon(d.t, cmd, d.ready)
	d.process = cmd.Process
}

func (d *Docker) ready() bool {
	_, err := Try(d.t, nil, "docker", "-H", "unix://"+d.Socket, "version")
	return err == nil
}

// Run runs the docker command against this daemon.
func (d *Docker) Run(args ...string) string {
	d.t.Helper()
	return Run(d.t, nil, "docker", append([]string{"-H", "unix://" + d.Socket}, args...)...)
}

// Container starts a container in the background and returns its id.
func (d *Docker) Container(args ...string) string {
	d.t.Helper()
	return d.Run(append([]string{"run", "-d", "--net=none"}, args...)...)
}

// InitPID is what docker says a container's first process is.
func (d *Docker) InitPID(id string) int {
	d.t.Helper()
	pid, err := strconv.Atoi(d.Run("inspect", "-f", "{{.State.Pid}}", id))
	if err != nil {
		d.t.Fatal(err)
	}
	return pid
}

// Hang stops dockerd with SIGSTOP, until the function that it returns is called.
func (d *Docker) Hang() (resume func()) {
	d.t.Helper()
	if err := d.process.Signal(unix.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
	resumed := false
	resume = func() {
		if !resumed {
			resumed = true
			_ = d.process.Signal(unix.SIGCONT) // it runs, or another step of the test has failed
		}
	}
	d.t.Cleanup(resume)
	return resume
}

// Crash ends dockerd with SIGKILL, and with it the containerd that it started. Its containers and their shims live on; the
// end of the test starts another dockerd to remove them.
func (d *Docker) Crash() {
	d.t.Helper()
	var survivors []*os.Process
	if ids := d.Run("ps", "-q"); ids != "" {
		for _, id := range splitLines(ids) {
			init := d.InitPID(id)
			shim := parent(d.t, init)
			for _, pid := range []int{init, shim} {
				p, err := os.FindProcess(pid) // with a pidfd, whatever becomes of the PID
				if err != nil {
					d.t.Fatal(err)
				}
				survivors = append(survivors, p)
			}
		}
	}
	if err := d.process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	Eventually(d.t, "the end of dockerd", func() bool { return d.process.Signal(unix.Signal(0)) != nil })
	d.t.Cleanup(func() {
		for _, p := range survivors {
			_ = p.Kill() // the next dockerd would give each container ten seconds to end
		}
		// Whatever has these PIDs now is taken for dockerd and containerd.
		for _, file := range []string{"/pid", "/exec/containerd/containerd.pid"} {
			if err := os.Remove(d.Dir + file); err != nil {
				d.t.Error(err)
			}
		}
		d.t.Cleanup(func() { UnmountBelow(d.t, d.Dir) }) // network namespaces that the first one knew
		d.start()
		d.removeAll()
		d.gone = true
	})
}

// parent is the PPID of a process.
func parent(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if v, ok := strings.CutPrefix(line, "PPid:\t"); ok {
			return number(t, v)
		}
	}
	t.Fatalf("no parent of %d", pid)
	return 0
}

func (d *Docker) removeAll() {
	if d.gone {
		return
	}
	if ids := d.Run("ps", "-aq"); ids != "" {
		d.Run(append([]string{"rm", "-f"}, splitLines(ids)...)...)
	}
}

package enginetest

import (
	"os/exec"
	"testing"
)

// Docker is a docker daemon of the test's own.
type Docker struct {
	t      *testing.T
	Dir    string // with data, exec and the socket
	Socket string
}

// StartDocker starts dockerd as root, without a network, and with an image called busybox.
func StartDocker(t *testing.T, flags ...string) *Docker {
	t.Helper()
	Need(t, "dockerd", "docker", "containerd", "busybox")
	d := &Docker{t: t, Dir: Dir(t)}
	d.Socket = d.Dir + "/docker.sock"
	args := []string{
		"-H", "unix://" + d.Socket, "--data-root", d.Dir + "/data", "--exec-root", d.Dir + "/exec", "--pidfile", d.Dir + "/pid",
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none",
	}
	Daemon(t, exec.Command("dockerd", append(args, flags...)...), func() bool {
		_, err := Try(t, nil, "docker", "-H", "unix://"+d.Socket, "version")
		return err == nil
	})
	t.Cleanup(d.removeAll)
	d.Run("import", Image(t), "busybox")
	return d
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

func (d *Docker) removeAll() {
	if ids := d.Run("ps", "-aq"); ids != "" {
		d.Run(append([]string{"rm", "-f"}, splitLines(ids)...)...)
	}
}

package enginetest

import (
	"testing"
)

// StartRootlessDocker starts dockerd as an ordinary user, on the default paths of that user's home and of its runtime
// directory.
func StartRootlessDocker(t *testing.T, u *User) *Docker {
	t.Helper()
	Need(t, "dockerd", "docker", "containerd", "runc", "busybox", "rootlesskit", "newuidmap")
	d := &Docker{t: t, Dir: u.Home, Socket: u.RuntimeDir + "/docker.sock"}
	const inside = `rm -f /run/docker /run/containerd; exec dockerd --rootless "$@"` // copies that --copy-up made
	cmd := u.Command("rootlesskit", []string{
		"--net=host", "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave", "sh", "-c", inside, "sh",
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--log-level=warn",
		"--storage-driver=vfs",
	})
	Daemon(t, cmd, d.ready)
	t.Cleanup(d.removeAll)
	d.Run("import", Image(t), "busybox")
	return d
}

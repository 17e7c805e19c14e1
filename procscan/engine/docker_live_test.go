package engine

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

func TestLiveDocker(t *testing.T) {
	d := enginetest.StartDocker(t)
	device := d.Dir + "/device"
	if err := os.Mkdir(device, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Run("volume", "create", "-d", "local", "-o", "type=none", "-o", "o=bind", "-o", "device="+device, "nsview-test-volume")
	id := d.Container("--name", "nsview-test-db", "--label", "a=b", "-u", "mysql", "-v", "nsview-test-volume:/var/lib/mysql",
		"-v", device+":/data:ro", "busybox", "sleep", "1000")
	gone := d.Run("run", "-d", "--net=none", "--name", "nsview-test-gone", "busybox", "sh", "-c", "exit 3")
	enginetest.Eventually(t, "the end of "+gone, func() bool { return d.Run("inspect", "-f", "{{.State.Status}}", gone) == "exited" })
	made := d.Run("create", "--net=none", "--name", "nsview-test-made", "busybox", "true")

	s := look(t)
	c := container(t, s, "nsview-test-db")
	if c.Engine != "docker" || c.ID != id || c.State != "running" || c.Image != "busybox" || c.User != "mysql" || c.Runtime != "runc" ||
		c.Labels["a"] != "b" || c.Evidence != "state" {
		t.Errorf("the container is %+v", c)
	}
	if got := d.Run("inspect", "-f", "{{.State.Pid}}", id); got != itoa(uint32(c.InitPID)) {
		t.Errorf("init is %d, docker says %s", c.InitPID, got)
	}
	if s.Process(c.InitPID).Comm != "sleep" || c.Processes != 1 {
		t.Errorf("%d processes, the first is %s", c.Processes, s.Process(c.InitPID).Comm)
	}
	if diff := cmp.Diff([]nsinspect.EngineMount{
		{Type: "bind", Source: device, Destination: "/data", ReadOnly: true, Options: []string{"rprivate"}},
		{Type: "volume", Name: "nsview-test-volume", Source: device, Destination: "/var/lib/mysql"},
	}, c.Mounts); diff != "" {
		t.Error(diff)
	}
	if want := []string{"daemon dockerd", "containerd containerd", "shim containerd-shim"}; !slices.Equal(roles(c), want) {
		t.Errorf("chain %v, want %v", roles(c), want)
	}
	if c := container(t, s, gone[:12]); c.State != "exited" || c.ExitCode == nil || *c.ExitCode != 3 || c.Running() || c.Name != "nsview-test-gone" {
		t.Errorf("the stopped container is %+v", c)
	}
	if c := container(t, s, made[:12]); c.State != "created" || c.ExitCode != nil || c.Running() {
		t.Errorf("the created container is %+v", c)
	}
}

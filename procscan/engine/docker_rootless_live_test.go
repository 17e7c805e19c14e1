package engine

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// A user's own daemon: root finds it, by the command lines of what it started, and so does that user.
func TestLiveDockerRootless(t *testing.T) {
	u := enginetest.NewUser(t)
	d := enginetest.StartRootlessDocker(t, u)
	id := d.Container("--name", "nsview-test-rootless", "--label", "a=b", "-u", "mysql", "-v", "nsview-test-data:/data", "busybox", "sleep", "1000")
	gone := d.Run("run", "-d", "--net=none", "--name", "nsview-test-ended", "busybox", "sh", "-c", "exit 3")
	enginetest.Eventually(t, "the end of "+gone, func() bool { return d.Run("inspect", "-f", "{{.State.Status}}", gone) == "exited" })

	for who, s := range map[string]*nsinspect.Snapshot{
		"root":     look(t),
		"the user": lookAs(t, func(name string) *exec.Cmd { return u.Command(name, nil) }),
	} {
		c := container(t, s, "docker:nsview-test-rootless")
		if c.ID != id || c.State != "running" || c.Image != "busybox" || c.User != "mysql" || c.Labels["a"] != "b" ||
			c.Evidence != "state" || c.InitPID != d.InitPID(id) || c.Runtime != "runc" {
			t.Errorf("for %s the container is %+v", who, c)
		}
		if len(c.Mounts) != 1 || c.Mounts[0].Name != "nsview-test-data" || c.Mounts[0].Source != u.Home+"/.local/share/docker/volumes/nsview-test-data/_data" {
			t.Errorf("for %s the mounts are %+v", who, c.Mounts)
		}
		if want := []string{"rootless rootlesskit", "daemon dockerd", "containerd containerd", "shim containerd-shim"}; !slices.Equal(roles(c), want) {
			t.Errorf("for %s the chain is %v, want %v", who, roles(c), want)
		}
		if c := container(t, s, gone); c.Name != "nsview-test-ended" || c.State != "exited" || c.Running() {
			t.Errorf("for %s the stopped container is %+v", who, c)
		}
		if g := gapAbout(s, u.Home); g != nil {
			t.Errorf("for %s there is a gap: %+v", who, *g)
		}
	}
}

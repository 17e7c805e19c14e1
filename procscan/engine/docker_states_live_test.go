package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// What a container may be and share, and then its daemon hung and dead: the answer stays the same.
func TestLiveDockerStates(t *testing.T) {
	d := enginetest.StartDocker(t)
	ids := map[string]string{
		"paused":   d.Container("--name", "nsview-test-paused", "busybox", "sleep", "1000"),
		"loop":     d.Container("--name", "nsview-test-loop", "--restart=always", "busybox", "sh", "-c", "exit 7"),
		"init":     d.Container("--name", "nsview-test-init", "--init", "busybox", "sleep", "1000"),
		"hostpid":  d.Container("--name", "nsview-test-hostpid", "--pid=host", "busybox", "sleep", "1000"),
		"hostipc":  d.Container("--name", "nsview-test-hostipc", "--ipc=host", "--uts=host", "--cgroupns=host", "busybox", "sleep", "1000"),
		"owner":    d.Container("--name", "nsview-test-owner", "busybox", "sleep", "1000"),
		"pidguest": "", "netguest": "",
	}
	ids["pidguest"] = d.Container("--name", "nsview-test-pidguest", "--pid=container:nsview-test-owner", "busybox", "sleep", "1001")
	ids["netguest"] = d.Run("run", "-d", "--name", "nsview-test-netguest", "--net=container:nsview-test-owner", "busybox", "sleep", "1002")
	d.Run("pause", ids["paused"])
	d.Run("exec", "-d", ids["init"], "sleep", "1003")
	d.Run("exec", "-d", ids["hostpid"], "sleep", "1004")
	enginetest.Eventually(t, "a container that fails again and again", func() bool {
		return d.Run("inspect", "-f", "{{.State.Restarting}} {{.State.Pid}}", ids["loop"]) == "true 0"
	})

	check := func(t *testing.T) *nsinspect.Snapshot {
		t.Helper()
		s := look(t)
		if g := gapAbout(s, d.Dir); g != nil {
			t.Errorf("a gap about the daemon: %+v", *g)
		}
		for name, id := range ids {
			c := container(t, s, id)
			want := map[string]string{"paused": "paused", "loop": "restarting"}[name]
			if name == "loop" && c.State == "running" {
				want = "running" // again, for a moment
			} else if want == "" {
				want = "running"
			}
			if c.Name != "nsview-test-"+name || c.State != want || c.Engine != "docker" || c.Evidence != "state" || c.Image != "busybox" {
				t.Errorf("%s is %s:%s, %s, %s, by %s", name, c.Engine, c.Name, c.State, c.Image, c.Evidence)
			}
		}
		return s
	}
	s := check(t)
	for name, id := range ids {
		if c := container(t, s, id); name != "loop" && c.InitPID != d.InitPID(id) {
			t.Errorf("init of %s is %d, docker says %d", name, c.InitPID, d.InitPID(id))
		}
	}
	for name, want := range map[string][]string{
		"paused": {"sleep 1000"}, "init": {"/sbin/docker-init -- sleep 1000", "sleep 1000", "sleep 1003"}, "hostpid": {"sleep 1000", "sleep 1004"},
		"hostipc": {"sleep 1000"}, "owner": {"sleep 1000"}, "pidguest": {"sleep 1001"}, "netguest": {"sleep 1002"},
	} {
		if got := commands(s, ids[name]); !slices.Equal(got, want) {
			t.Errorf("%s has the processes %q, want %q", name, got, want)
		}
	}
	if c := container(t, s, ids["loop"]); !c.Running() && (c.ExitCode == nil || *c.ExitCode != 7) {
		t.Errorf("the exit code of the container that fails is %v", c.ExitCode)
	}
	owner, guest := container(t, s, ids["owner"]), container(t, s, ids["pidguest"])
	if owner.Namespaces.PID != guest.Namespaces.PID || owner.Namespaces.Mnt == guest.Namespaces.Mnt {
		t.Errorf("--pid=container: %+v and %+v", owner.Namespaces, guest.Namespaces)
	}

	t.Run("hung", func(t *testing.T) {
		start := time.Now()
		check(t)
		answering := time.Since(start)
		defer d.Hang()()
		start = time.Now()
		check(t)
		if took, limit := time.Since(start), 2*answering+readDeadline/2; took > limit {
			t.Errorf("took %v, want at most %v, as without asking: %v", took, limit, answering)
		}
	})
	t.Run("dead", func(t *testing.T) {
		d.Run("stop", "-t", "0", ids["loop"]) // nobody starts it again
		delete(ids, "loop")
		d.Crash()
		s := check(t)
		if c := container(t, s, ids["owner"]); !slices.Equal(roles(c), []string{"shim containerd-shim"}) {
			t.Errorf("chain %v", roles(c))
		}
	})
}

// commands are the command lines of a container's processes, sorted.
func commands(s *nsinspect.Snapshot, id string) []string {
	var list []string
	for i := range s.Processes {
		if c := s.ContainerOf(&s.Processes[i]); c != nil && c.ID == id {
			list = append(list, strings.Join(s.Processes[i].Args, " "))
		}
	}
	slices.Sort(list)
	return list
}

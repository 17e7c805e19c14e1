package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// Two daemons at once, each with a container of the same name: one is plain, the other has its data root from a
// daemon.json and gives its containers the ids of a user (userns-remap).
func TestLiveDockerTwoDaemons(t *testing.T) {
	u := enginetest.NewUser(t)
	plain := enginetest.StartDocker(t)
	dir := enginetest.Dir(t)
	config, err := json.Marshal(map[string]string{"data-root": dir + "/elsewhere", "userns-remap": u.Name})
	if err == nil {
		err = os.WriteFile(dir+"/daemon.json", config, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	remapped := enginetest.StartDockerIn(t, dir, "--config-file", dir+"/daemon.json")
	first := plain.Container("--name", "nsview-test-web", "--label", "of=plain", "busybox", "sleep", "1000")
	second := remapped.Container("--name", "nsview-test-web", "--label", "of=remapped", "-v", "nsview-test-data:/data", "busybox", "sleep", "1000")
	data := fmt.Sprintf("%s/elsewhere/%d.%d", dir, u.SubUID, u.SubGID)
	if _, err := os.Stat(data + "/containers/" + second); err != nil {
		t.Fatal(err) // the premise of this test
	}

	s := look(t)
	for id, d := range map[string]*enginetest.Docker{first: plain, second: remapped} {
		c := container(t, s, id)
		of := map[string]string{first: "plain", second: "remapped"}[id]
		if c.Name != "nsview-test-web" || c.Labels["of"] != of || c.InitPID != d.InitPID(id) {
			t.Errorf("%s: %s with the labels %v and the init %d, docker says %d", of, c.Name, c.Labels, c.InitPID, d.InitPID(id))
		}
		if got := s.Viewer(slices.IndexFunc(s.Containers, func(c nsinspect.Container) bool { return c.ID == id })); got != "docker:"+id {
			t.Errorf("%s: the viewer is %s", of, got)
		}
		if want := []string{"daemon dockerd", "containerd containerd", "shim containerd-shim"}; !slices.Equal(roles(c), want) {
			t.Fatalf("%s: chain %v", of, roles(c))
		}
		// Each has its own: a shim names the socket of its containerd, whose parent is the daemon.
		if s.Process(c.Chain[1].PID).PPID != c.Chain[0].PID || s.Process(c.InitPID).PPID != c.Chain[2].PID ||
			!slices.Contains(s.Process(c.Chain[0].PID).Args, "unix://"+d.Socket) {
			t.Errorf("%s: chain %v", of, c.Chain)
		}
	}
	c := container(t, s, second)
	if want := (idmap.Map{{Inside: 0, Outside: idmap.Kernel(u.SubUID), Count: 65536}}); !slices.Equal(c.UIDMap, want) {
		t.Errorf("the configured uid map is %v, want %v", c.UIDMap, want)
	}
	if len(c.Mounts) != 1 || c.Mounts[0].Name != "nsview-test-data" || c.Mounts[0].Source != data+"/volumes/nsview-test-data/_data" {
		t.Errorf("mounts %+v", c.Mounts)
	}
	for _, arg := range []string{"nsview-test-web", "docker:nsview-test-web"} {
		_, err := nsinspect.Resolve(s, arg)
		if err == nil || !strings.Contains(err.Error(), "docker:"+first) || !strings.Contains(err.Error(), "docker:"+second) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if c := container(t, s, "docker:"+second[:20]); c.ID != second {
		t.Errorf("%s is %s", second[:20], c.ID)
	}
}

// A user in group docker may not read the state, and asks the daemon; anybody else sees that there is a container.
func TestLiveDockerAsOrdinaryUser(t *testing.T) {
	u := enginetest.NewUser(t)
	d := enginetest.StartDocker(t)
	id := d.Container("--name", "nsview-test-api", "--label", "a=b", "-u", "ctr", "-v", "nsview-test-api:/data:ro", "busybox", "sleep", "1000")
	gone := d.Run("run", "-d", "--net=none", "--name", "nsview-test-ended", "busybox", "sh", "-c", "exit 3")
	enginetest.Eventually(t, "the end of "+gone, func() bool { return d.Run("inspect", "-f", "{{.State.Status}}", gone) == "exited" })
	if err := os.Chmod(d.Socket, 0o660); err != nil {
		t.Fatal(err)
	}
	const groupDocker = 54322
	if err := os.Chown(d.Socket, 0, groupDocker); err != nil {
		t.Fatal(err)
	}
	lookWith := func(groups ...int) *nsinspect.Snapshot {
		t.Helper()
		return lookAs(t, func(name string) *exec.Cmd { return u.Command(name, nil, groups...) })
	}
	unnamed := func(t *testing.T, s *nsinspect.Snapshot) {
		t.Helper()
		c := container(t, s, id)
		if c.Engine != "docker" || c.Name != "" || c.State != "running" || c.InitPID != d.InitPID(id) {
			t.Errorf("the container is %+v", c)
		}
		if want := []string{"daemon dockerd", "containerd containerd", "shim containerd-shim"}; !slices.Equal(roles(c), want) {
			t.Errorf("chain %v", roles(c))
		}
		if g := gapAbout(s, d.Dir+"/data"); g == nil || g.Fact != "docker state" || g.Hint == "" {
			t.Errorf("no gap says that the state was refused: %+v", s.Gaps)
		}
	}

	t.Run("group", func(t *testing.T) {
		s := lookWith(groupDocker)
		c := container(t, s, "docker:nsview-test-api")
		if c.ID != id || c.State != "running" || c.Image != "busybox" || c.User != "ctr" || c.Labels["a"] != "b" || c.Evidence != "api" ||
			c.InitPID != d.InitPID(id) || len(c.Mounts) != 1 || c.Mounts[0].Name != "nsview-test-api" || !c.Mounts[0].ReadOnly {
			t.Errorf("the container is %+v", c)
		}
		if c := container(t, s, "docker:nsview-test-ended"); c.ID != gone || c.State != "exited" || c.Running() {
			t.Errorf("the stopped container is %+v", c)
		}
		if g := gapAbout(s, d.Dir); g != nil {
			t.Errorf("a gap: %+v", *g)
		}
	})
	t.Run("nobody", func(t *testing.T) { unnamed(t, lookWith()) })
	t.Run("hung", func(t *testing.T) {
		start := time.Now()
		lookWith(groupDocker)
		answered := time.Since(start)
		defer d.Hang()()
		start = time.Now()
		s := lookWith(groupDocker)
		if took, limit := time.Since(start), 2*answered+2*readDeadline; took > limit {
			t.Errorf("took %v, want at most %v, an answer takes %v", took, limit, answered)
		}
		if c := container(t, s, id); c.Name != "" || !c.Running() {
			t.Errorf("the container is %+v", c)
		}
		if g := gapAbout(s, d.Socket); g == nil || g.Fact != "docker answer" {
			t.Errorf("no gap says that the daemon did not answer: %+v", s.Gaps)
		}
		if g := gapAbout(s, d.Dir+"/data"); g == nil {
			t.Errorf("no gap says that the state was refused: %+v", s.Gaps)
		}
	})
}

package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

func TestLiveLXC(t *testing.T) {
	l := enginetest.StartLXC(t, 0)
	data := enginetest.Dir(t)
	l.Create("nsview-test-plain", 0, "lxc.mount.entry = "+data+" data none bind,ro 0 0")
	l.Create("nsview-test-mapped", 700000, "lxc.idmap = u 0 700000 65536", "lxc.idmap = g 0 700000 65536", "lxc.init.uid = 999")
	l.Create("nsview-test-made", 0)
	l.Start("nsview-test-plain")
	l.Start("nsview-test-mapped")

	s := look(t)
	c := container(t, s, "lxc:nsview-test-plain")
	if c.Engine != "lxc" || c.State != "running" || c.Evidence != "process" || c.Processes != 1 || len(c.UIDMap) != 0 {
		t.Errorf("the container is %+v", c)
	}
	if got := l.Run("lxc-info", "nsview-test-plain", "-p", "-H"); got != itoa(uint32(c.InitPID)) {
		t.Errorf("init is %d, LXC says %s", c.InitPID, got)
	}
	if diff := cmp.Diff([]nsinspect.EngineMount{
		{Type: "bind", Source: data, Destination: "/data", Options: []string{"bind", "ro"}, ReadOnly: true},
	}, c.Mounts); diff != "" {
		t.Error(diff)
	}
	if want := []string{"monitor lxc-start"}; !slices.Equal(roles(c), want) {
		t.Errorf("chain %v, want %v", roles(c), want)
	}

	c = container(t, s, "lxc:nsview-test-mapped")
	want := idmap.Map{{Outside: 700000, Count: 65536}}
	if c.User != "999" || !slices.Equal(c.UIDMap, want) || !slices.Equal(c.GIDMap, want) {
		t.Errorf("the container with maps is %+v", c)
	}
	if maps := s.Maps(c.IDMaps); !slices.Equal(maps.UID, want) {
		t.Errorf("the kernel has %v, configured is %v", maps.UID, want)
	}
	if c := container(t, s, "lxc:nsview-test-made"); c.State != "stopped" || c.Running() {
		t.Errorf("the container that was never started is %+v", c)
	}

	l.Run("lxc-freeze", "nsview-test-plain")
	if c := container(t, look(t), "lxc:nsview-test-plain"); c.State != "frozen" {
		t.Errorf("the frozen container is %s", c.State)
	}
	l.Run("lxc-unfreeze", "nsview-test-plain")
}

// An ordinary user's containers have no cgroup of their own, and the user's uid in their ids.
func TestLiveLXCOfAUser(t *testing.T) {
	const user = 42424
	l := enginetest.StartLXC(t, user)
	l.Create("nsview-test-own", user, "lxc.idmap = u 0 42424 1", "lxc.idmap = g 0 42424 1")
	l.Start("nsview-test-own")
	c := container(t, look(t), "lxc:nsview-test-own")
	if c.Engine != "lxc" || !strings.HasPrefix(c.ID, "42424/") || !c.Running() || !slices.Equal(c.UIDMap, idmap.Map{{Outside: user, Count: 1}}) {
		t.Errorf("the container is %+v", c)
	}
	if got := l.Run("lxc-info", "nsview-test-own", "-p", "-H"); got != itoa(uint32(c.InitPID)) {
		t.Errorf("init is %d, LXC says %s", c.InitPID, got)
	}
}

// A monitor with another root directory than the host's, as LXD's in a snap, could be anybody's: the cgroup tells.
func TestLiveLXCElsewhere(t *testing.T) {
	l := enginetest.StartLXC(t, 0)
	enginetest.Need(t, "bwrap")
	l.Create("nsview-test-elsewhere", 0)
	behind := []string{"bwrap", "--cap-add", "ALL", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"}
	for _, dir := range []string{"/usr", "/etc", "/proc", "/sys", "/dev", "/run", "/var", l.Path} {
		behind = append(behind, "--dev-bind", dir, dir)
	}
	l.Start("nsview-test-elsewhere", behind...)
	c := container(t, look(t), "lxc:nsview-test-elsewhere")
	if c.Evidence != "cgroup" || c.State != "running" || c.ID != "nsview-test-elsewhere" || c.Processes != 1 {
		t.Errorf("the container is %+v", c)
	}
	if got := l.Run("lxc-info", "nsview-test-elsewhere", "-p", "-H"); got != itoa(uint32(c.InitPID)) {
		t.Errorf("init is %d, LXC says %s", c.InitPID, got)
	}
	if want := []string{"monitor lxc-start"}; !slices.Equal(roles(c), want) {
		t.Errorf("chain %v, want %v", roles(c), want)
	}
}

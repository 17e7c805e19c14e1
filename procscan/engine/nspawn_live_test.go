package engine

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

func TestLiveNspawn(t *testing.T) {
	dir, data := enginetest.Dir(t), enginetest.Dir(t)
	supervisor := enginetest.Nspawn(t, dir+"/root", "-M", "nsview-test-db", "--bind="+data+":/data")
	enginetest.Nspawn(t, dir+"/nsview_test", "--private-users=720896:65536", "--private-users-ownership=chown", "--as-pid2", "--bind-ro="+data+":/data:idmap")
	enginetest.Nspawn(t, dir+"/nsview-test-picked", "-U")

	s := look(t)
	c := container(t, s, "nspawn:nsview-test-db")
	if c.Engine != "nspawn" || c.ID != "nsview-test-db" || c.State != "running" || c.Image != dir+"/root" || c.Evidence != "process" {
		t.Errorf("the machine is %+v", c)
	}
	if diff := cmp.Diff([]nsinspect.EngineMount{{Type: "bind", Source: data, Destination: "/data"}}, c.Mounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]nsinspect.ChainLink{link(supervisor, "systemd-nspawn", "supervisor")}, c.Chain); diff != "" {
		t.Error(diff)
	}
	if p := s.Process(c.InitPID); p.PPID != supervisor || p.PIDs[len(p.PIDs)-1] != 1 {
		t.Errorf("init is %+v", p)
	}

	c = container(t, s, "nspawn:nsviewtest")
	want := idmap.Map{{Outside: 720896, Count: 65536}}
	if !slices.Equal(c.UIDMap, want) || !slices.Equal(s.Maps(c.IDMaps).UID, want) || c.Processes != 2 {
		t.Errorf("the machine with a stub and a map is %+v", c)
	}
	if m := c.Mounts[0]; !m.ReadOnly || !slices.Equal(m.Options, []string{"idmap"}) {
		t.Errorf("its mount is %+v", m)
	}
	c = container(t, s, "nspawn:nsview-test-picked")
	if maps := s.Maps(c.IDMaps); c.UIDMap != nil || len(maps.UID) != 1 || maps.UID[0].Outside == 0 {
		t.Errorf("the machine with a picked map is %+v, the kernel has %v", c, maps.UID)
	}
}

func TestLiveBwrap(t *testing.T) {
	const user = 42424
	dir := enginetest.Dir(t)
	enginetest.Rootfs(t, dir+"/root")
	root := []string{"--ro-bind", dir + "/root", "/", "--proc", "/proc", "--dev", "/dev"}
	for name, tt := range map[string]struct {
		uid       uint32
		flags     []string
		processes int
		user      string
		mounts    []nsinspect.EngineMount
	}{
		"root":                       {0, append(root, "--bind", dir, "/data"), 1, "", []nsinspect.EngineMount{{Type: "bind", Source: dir + "/root", Destination: "/", ReadOnly: true}, {Type: "bind", Source: dir, Destination: "/data"}}},
		"a PID namespace":            {0, append(root, "--unshare-pid"), 2, "", nil},
		"the command as PID 1":       {0, append(root, "--unshare-pid", "--as-pid-1"), 1, "", nil},
		"all, as a user":             {user, append(root, "--unshare-all", "--uid", "7", "--gid", "8"), 2, "7:8", nil},
		"the host's root, as a user": {user, []string{"--dev-bind", "/", "/"}, 1, "", []nsinspect.EngineMount{{Type: "bind", Source: "/", Destination: "/"}}},
	} {
		t.Run(name, func(t *testing.T) {
			monitor := enginetest.Bwrap(t, tt.uid, tt.flags...)
			s := look(t)
			i := slices.IndexFunc(s.Containers, func(c nsinspect.Container) bool { return len(c.Chain) == 1 && c.Chain[0].PID == monitor })
			if i < 0 {
				t.Fatalf("bwrap %d has no container", monitor)
			}
			c := container(t, s, s.Viewer(i))
			if c.Engine != "bwrap" || c.Name != strconv.Itoa(c.InitPID) || s.Process(c.InitPID).PPID != monitor || c.Processes != tt.processes || c.User != tt.user {
				t.Errorf("the sandbox is %+v", c)
			}
			if diff := cmp.Diff(tt.mounts, c.Mounts); tt.mounts != nil && diff != "" {
				t.Error(diff)
			}
			if want := []string{"monitor bwrap"}; !slices.Equal(roles(c), want) {
				t.Errorf("chain %v, want %v", roles(c), want)
			}
		})
	}
}

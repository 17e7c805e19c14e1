package engine

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

func TestLiveLXD(t *testing.T) {
	l := enginetest.StartLXD(t)
	data := enginetest.Dir(t)
	l.Create("nsview-test-web")
	l.Run("config", "device", "add", "nsview-test-web", "data", "disk", "source="+data, "path=/data", "readonly=true")
	l.Run("storage", "volume", "create", "pool", "volume")
	l.Run("config", "device", "add", "nsview-test-web", "volume", "disk", "pool=pool", "source=volume", "path=/var/lib/mysql")
	l.Run("start", "nsview-test-web")
	l.Create("nsview-test-halted", "-c", "security.privileged=true")

	s := look(t)
	c := container(t, s, "lxd:nsview-test-web")
	if c.Engine != "lxd" || c.State != "running" || c.Image != "busybox for a test" || c.Evidence != "process" {
		t.Errorf("the container is %+v", c)
	}
	if got := l.Run("list", "-f", "csv", "-c", "p", "nsview-test-web"); got != itoa(uint32(c.InitPID)) {
		t.Errorf("init is %d, LXD says %s", c.InitPID, got)
	}
	if maps := s.Maps(c.IDMaps); len(c.UIDMap) != 1 || !slices.Equal(c.UIDMap, maps.UID) || !slices.Equal(c.GIDMap, maps.GID) {
		t.Errorf("configured %v and %v, the kernel has %v and %v", c.UIDMap, c.GIDMap, maps.UID, maps.GID)
	}
	if diff := cmp.Diff([]nsinspect.EngineMount{
		{Type: "bind", Source: data, Destination: "/data", ReadOnly: true},
		{Type: "volume", Name: "volume", Source: l.Dir + "/d/storage-pools/pool/custom/default_volume", Destination: "/var/lib/mysql"},
	}, c.Mounts); diff != "" {
		t.Error(diff)
	}
	if got := roles(c); got[len(got)-1] != "monitor lxd" {
		t.Errorf("chain %v", got)
	}
	if c := container(t, s, "lxd:nsview-test-halted"); c.Engine != "lxd" || c.State != "stopped" || c.Running() || c.UIDMap != nil {
		t.Errorf("the container that was never started is %+v", c)
	}
}

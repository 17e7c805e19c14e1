package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

func TestLiveFlatpak(t *testing.T) {
	runtimeDir, monitor := enginetest.Flatpak(t)
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	s := look(t)
	c := container(t, s, "flatpak:org.nsview.Test")
	if c.Engine != "flatpak" || c.ID == "" || c.State != "running" || c.Evidence != "state" || s.Process(c.InitPID).PPID != monitor || c.Processes != 2 {
		t.Errorf("the instance is %+v", c)
	}
	if diff := cmp.Diff([]nsinspect.ChainLink{link(monitor, "bwrap", "monitor")}, c.Chain); diff != "" {
		t.Error(diff)
	}
	if len(c.Mounts) != 1 || !c.Mounts[0].ReadOnly {
		t.Errorf("its mounts are %+v", c.Mounts)
	}
	for i := range s.Containers {
		if other := &s.Containers[i]; other.Engine == "bwrap" && len(other.Chain) == 1 && other.Chain[0].PID == monitor {
			t.Errorf("it is a sandbox of bubblewrap too: %+v", other)
		}
	}
}

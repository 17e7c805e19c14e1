package pathwalk

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// TestProbeReusedPID: what was asked about one process is not answered with another that has its PID now.
func TestProbeReusedPID(t *testing.T) {
	proctest.NeedRoot(t)
	pid, again := proctest.ReusedPID(t, "-pf")
	host, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Graph})
	if err != nil {
		t.Fatal(err)
	}
	inner := 0
	for i := range host.Processes {
		if host.Processes[i].PPID == pid {
			inner = host.Processes[i].PID
		}
	}
	proc := fmt.Sprintf("/proc/%d/root/proc", inner)
	snap, err := procscan.Scan(t.Context(), procscan.Options{Proc: proc, Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	asked, late := probeAt(t, snap, proc), probeAt(t, snap, proc)
	s, err := asked.Process(t.Context(), 77, "77")
	if err != nil {
		t.Fatal(err)
	}
	lookup := access.Operation{Op: access.OpLookup}
	if _, err := asked.Walk(t.Context(), s, lookup, "/"); err != nil {
		t.Fatal(err)
	}
	again()
	for name, p := range map[string]*Prober{"a prober that was asked before": asked, "one that was not": late} {
		if s, err := p.Process(t.Context(), 77, "77"); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: the credentials of %+v, %v", name, s, err)
		}
		if _, err := p.Walk(t.Context(), s, lookup, "/"); !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s: a walk of another process: %v", name, err)
		}
	}
	// Whoever has the PID in a new picture is meant by it.
	snap, err = procscan.Scan(t.Context(), procscan.Options{Proc: proc, Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := probeAt(t, snap, proc).Process(t.Context(), 77, "77"); err != nil {
		t.Error(err)
	}
}

package procscan

import (
	"fmt"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// A PID that is used anew while it is read is another process: nothing of the second gets into the row of the first.
func TestScanReusedPID(t *testing.T) {
	needUserNS(t)
	pid, again := proctest.ReusedPID(t, "-Urpf")
	inner := innermostInit(t, pid)
	options := Options{Proc: fmt.Sprintf("/proc/%d/root/proc", inner), Facts: Args}
	named := func(name string) *nsinspect.Process {
		var p *nsinspect.Process
		eventually(t, "process 77 is "+name, func() bool {
			snap, err := Scan(t.Context(), options)
			must(t, err)
			p = snap.Process(77)
			return p != nil && p.Comm == name && len(p.Args) > 0 // it has none for a moment in execve
		})
		return p
	}
	first := named("sleep")

	s, err := newScanner(options)
	must(t, err)
	defer s.close()
	w := s.newWorker()
	dir, ok := w.open(77) // as a scan does, before it reads anything
	if !ok {
		t.Fatal("process 77 cannot be opened")
	}
	defer unix.Close(dir)
	again()
	second := named("cat")
	var row nsinspect.Process
	if w.process(dir, 77, &row) {
		t.Errorf("of the first there is a row: %+v", row)
	}
	if len(w.gaps) > 0 {
		t.Errorf("gaps %+v", w.gaps)
	}
	if second.StartTime < first.StartTime || second.Args[0] != "cat" {
		t.Errorf("first %+v, second %+v", first, second)
	}

	// A claim about the first is not believed of the second.
	snap, err := Scan(t.Context(), options)
	must(t, err)
	claim := nsinspect.Claim{Engine: "engine", ID: "1", Name: "first", InitPID: 77, StartTime: snap.Process(77).StartTime}
	for _, was := range []bool{true, false} {
		if !was {
			claim.StartTime--
		}
		nsinspect.Group(snap, []nsinspect.Claim{claim})
		c := snap.ContainerOf(snap.Process(77))
		if believed := c != nil && c.Engine == "engine"; believed != was {
			t.Errorf("a claim with start time %d of a process with %d is believed: %v", claim.StartTime, snap.Process(77).StartTime, believed)
		}
	}
}

// innermostInit is the child of pid that is PID 1 in a new PID namespace.
func innermostInit(t *testing.T, pid int) int {
	t.Helper()
	found := 0
	eventually(t, fmt.Sprintf("%d has a child that is PID 1", pid), func() bool {
		for _, p := range scanFacts(t, 0).Processes {
			if p.PPID == pid && p.PIDs[len(p.PIDs)-1] == 1 {
				found = p.PID
			}
		}
		return found != 0
	})
	return found
}

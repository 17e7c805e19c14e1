package engine

import (
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

// A record cannot make a container of the host's own processes, not even root's: with one about a shell everything that
// the shell has started would be in it.
func TestJudgeLeavesTheHostsProcessesAlone(t *testing.T) {
	const hostMnt, otherMnt = 1, 2
	s := &nsinspect.Snapshot{
		Observer: nsinspect.Observer{MntNS: hostMnt},
		Processes: []nsinspect.Process{
			{PID: 10, StartTime: 10, PIDs: []int{10}, Namespaces: nsinspect.NamespaceSet{Mnt: hostMnt}},
			{PID: 20, StartTime: 20, PIDs: []int{20}, Namespaces: nsinspect.NamespaceSet{Mnt: otherMnt}},
		},
	}
	claims := func(engine string, pid int) []nsinspect.Claim {
		found := Found{Claim: nsinspect.Claim{ID: "x", InitPID: pid, StartTime: uint64(pid)}}
		list := []Engine{{Name: engine, Identify: func(*Evidence) []Found { return []Found{found} }}}
		return judge(list, &Evidence{Snapshot: s}, func(*Found) bool { return true })
	}
	for _, tt := range []struct {
		engine string
		pid    int
		want   bool
	}{{"docker", 10, false}, {"docker", 20, true}, {"nsview", 10, true}} {
		if got := claims(tt.engine, tt.pid); len(got) != 1 || (got[0].InitPID != 0) != tt.want {
			t.Errorf("%s about %d: %+v", tt.engine, tt.pid, got)
		}
	}
}

// What is below a program that keeps a container is in that container, and no evidence of others. A user's program keeps
// nothing of root's.
func TestHeld(t *testing.T) {
	s := &nsinspect.Snapshot{Processes: []nsinspect.Process{
		{PID: 1}, {PID: 10, PPID: 1}, {PID: 11, PPID: 10}, {PID: 12, PPID: 11}, {PID: 20, PPID: 1},
	}}
	r := &reader{snap: s}
	for _, holder := range []string{"containerd-shim", "conmon", "systemd-nspawn"} {
		programs := []Program{{PID: 10, PPID: 1, Comm: holder}, {PID: 12, PPID: 11, Comm: "dockerd"}, {PID: 20, PPID: 1, Comm: "dockerd"}}
		for i, want := range []bool{false, true, false} {
			if got := r.held(engines(), programs, &programs[i]); got != want {
				t.Errorf("%s %d beside %s: held is %v", programs[i].Comm, programs[i].PID, holder, got)
			}
		}
		programs[0].UID = 1000
		if r.held(engines(), programs, &programs[1]) {
			t.Errorf("a user's %s hides root's dockerd", holder)
		}
	}
}

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

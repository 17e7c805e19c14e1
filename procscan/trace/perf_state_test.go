package trace

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
)

// After samples were lost nothing is told that those may have changed, and a call that ends without a beginning is not taken
// for one that a seccomp filter refused.
func TestPerfForgetsWhenSamplesAreLost(t *testing.T) {
	const tid = 1<<22 + 1 // nobody has it
	host := inodes{User: 1, PID: 2, PIDForChildren: 2, Mnt: 3, Net: 4, UTS: 5, IPC: 6, Cgroup: 7, Time: 8, TimeForChildren: 8}
	run := func(lostNow uint64) []*events.Event {
		p := &perfState{tasks: map[uint32]*perfTask{tid: {who: who{pid: tid, ns: host}}}, status: map[uint32]int64{}, entered: map[uint32]*sample{}}
		var told []*events.Event
		see := func(e *events.Event) error {
			told = append(told, e)
			return nil
		}
		list := []*sample{
			{time: 1, point: "raw_syscalls/sys_exit", pid: tid, tid: tid, subject: tid, nr: unix.SYS_UNSHARE, result: -int64(unix.EPERM)},
			{time: 2, point: "raw_syscalls/sys_enter", pid: tid, tid: tid, subject: tid, nr: unix.SYS_UNSHARE, args: [6]uint64{unix.CLONE_NEWNET}},
			{time: 3, point: "raw_syscalls/sys_exit", pid: tid, tid: tid, subject: tid, nr: unix.SYS_UNSHARE, result: -int64(unix.EINVAL)},
		}
		for _, samples := range [][]*sample{list, nil, nil} {
			if err := p.take(func() []*sample { return samples }, func() uint64 { return lostNow }, see); err != nil {
				t.Fatal(err)
			}
		}
		return told
	}
	sure := run(0)
	if len(sure) != 2 || sure[0].Args.Reason != "refused by a seccomp filter" || sure[1].Args.Reason != "" || sure[1].Namespaces != host.set() {
		t.Errorf("nothing lost: %+v", sure)
	}
	unsure := run(5)
	if len(unsure) != 1 || unsure[0].Errno != "EINVAL" || unsure[0].Args.Reason != "" || unsure[0].Namespaces.Net != 0 || unsure[0].Namespaces.User != 0 {
		t.Errorf("samples lost: %+v", unsure)
	}
}

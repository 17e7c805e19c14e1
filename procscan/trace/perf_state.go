package trace

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan"
)

// perfState makes events of samples: it knows of every thread what the samples before have told.
type perfState struct {
	boot    time.Time // when the clock of the samples was 0
	pending []*sample
	lost    uint64 // how many samples
	unsure  bool   // some were, so a thread that is seen the first time may be in a call
	drained uint64 // when the last reading began
	tasks   map[uint32]*perfTask
	status  map[uint32]int64   // of exit_group(2), by process
	entered map[uint32]*sample // the call that a thread is in
	see     func(*events.Event) error
}

// perfTask is a thread.
type perfTask struct {
	who
	since  uint64 // before, it may have been otherwise
	call   *perfCall
	unsure bool // whether it was in a call before
}

// perfCall is a system call that a thread is in.
type perfCall struct {
	nr     uint32
	args   [6]uint64
	before inodes
	comm   [16]byte
	name   []byte // that it has got by it
}

// newPerfState looks at the threads that are there.
func newPerfState() *perfState {
	p := &perfState{boot: clockStart(unix.CLOCK_MONOTONIC), tasks: map[uint32]*perfTask{}, status: map[uint32]int64{}, entered: map[uint32]*sample{}}
	dirs, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*") // the pattern is right
	for _, dir := range dirs {
		tid, _ := strconv.Atoi(filepath.Base(dir)) // digits
		if w, found := whoIs(tid); found {
			p.tasks[uint32(tid)] = &perfTask{who: w, since: monotonic()}
		}
	}
	return p
}

// take looks at whom the samples are about, and tells of those before, which nothing can contradict any more.
func (p *perfState) take(drain func() []*sample, lost func() uint64, see func(*events.Event) error) error {
	p.see = see
	until := p.drained
	p.drained = monotonic()
	list := drain()
	if lost() != p.lost {
		p.lost = lost()
		p.forget(list)
	}
	if boot := clockStart(unix.CLOCK_MONOTONIC); boot.Sub(p.boot).Abs() > 10*time.Millisecond {
		p.boot = boot // the host was suspended, or its clock was set
	}
	looks := map[uint32]*look{}
	for _, s := range list {
		switch s.point {
		case "raw_syscalls/sys_enter":
			p.entered[s.tid] = s
		case "raw_syscalls/sys_exit":
			if call := p.entered[s.tid]; call != nil && call.nr == s.nr {
				call.refused = s.result < 0
			}
			delete(p.entered, s.tid)
		case "sched/sched_process_exit":
			delete(p.entered, s.tid)
		}
		if s.blind || s.time <= until || !s.settles() && p.tasks[s.subject] != nil || s.point == "sched/sched_process_exit" {
			continue
		}
		if looks[s.subject] == nil {
			looks[s.subject] = lookAt(s.subject)
		}
		s.look = looks[s.subject]
	}
	p.pending = append(p.pending, list...)
	slices.SortStableFunc(p.pending, func(a, b *sample) int { return cmp.Compare(a.time, b.time) })
	for len(p.pending) > 0 && p.pending[0].time <= until {
		s := p.pending[0]
		p.pending = p.pending[1:]
		p.prune(s)
		if err := p.tell(s); err != nil {
			return err
		}
	}
	return nil
}

// forget is after samples were lost: what was known of threads may not be so any more, nor what was seen of them between.
func (p *perfState) forget(list []*sample) {
	clear(p.tasks)
	clear(p.entered)
	clear(p.status)
	p.unsure = true
	for _, s := range slices.Concat(p.pending, list) {
		s.look, s.blind = nil, true
	}
}

// prune takes from what was seen of a thread what can have changed since the sample.
func (p *perfState) prune(s *sample) {
	if s.look != nil && !s.look.found {
		s.look = nil
	}
	if s.look != nil && s.point == "raw_syscalls/sys_enter" && s.changes() {
		s.look = s.look.since(s)
	}
	for _, later := range p.pending {
		if s.look == nil || later.time > s.look.at {
			return
		}
		if later.subject == s.subject && later.changes() {
			s.look = s.look.since(later)
		}
	}
}

func (p *perfState) tell(s *sample) error {
	t := p.tasks[s.tid]
	if t == nil {
		t = &perfTask{who: who{pid: s.pid, ids: noIDs()}, unsure: p.unsure}
		if s.look != nil && s.subject == s.tid {
			t.who = s.look.who // what can have changed since the sample is not in it
		}
		p.tasks[s.tid] = t
	}
	if s.time < t.since { // it was seen later than this: what it was then is not known
		t = &perfTask{who: who{pid: t.pid, inside: t.inside, ppid: t.ppid, comm: t.comm, ids: noIDs()}, call: t.call}
		if s.point == "task/task_newtask" || s.point == "sched/sched_process_exit" {
			return nil // of before the trace began
		}
	}
	switch s.point {
	case "task/task_newtask":
		return p.born(t, s)
	case "task/task_rename":
		p.renamed(t, s)
	case "sched/sched_process_exec":
		return p.executed(s)
	case "sched/sched_process_exit":
		return p.exited(t, s)
	case "raw_syscalls/sys_enter":
		switch {
		case s.nr == unix.SYS_EXIT_GROUP || s.nr == unix.SYS_EXIT && s.pid == s.tid:
			if _, known := p.status[s.pid]; !known {
				p.status[s.pid] = int64(s.args[0]&0xff) << 8
			}
		case s.nr != unix.SYS_EXIT:
			t.unsure = false
			t.call = &perfCall{nr: s.nr, args: s.args, before: t.ns, comm: t.comm}
		}
	case "raw_syscalls/sys_exit":
		return p.returned(t, s)
	}
	return nil
}

func (p *perfState) born(t *perfTask, s *sample) error {
	child := *t
	child.call, child.since, child.unsure = nil, 0, false
	copy(child.comm[:15], s.text)
	if s.flags&unix.CLONE_THREAD != 0 {
		p.tasks[s.child] = &child
		return nil
	}
	child.pid, child.ppid, child.inside = s.child, s.pid, 0
	if s.flags&unix.CLONE_PARENT != 0 {
		child.ppid = t.ppid
	}
	child.ns.PID, child.ns.Time = t.ns.PIDForChildren, t.ns.TimeForChildren
	child.ns = child.ns.made(s.flags, true)
	if s.look != nil {
		child.ns, child.inside = child.ns.with(&s.look.ns), s.look.inside
	}
	switch {
	case child.inside != 0:
	case child.ns.PID == uint32(procscan.InitPIDNS):
		child.inside = s.child
	case s.flags&unix.CLONE_NEWPID != 0:
		child.inside = 1
	}
	if child.ns.PID != 0 && child.ns.PIDForChildren == 0 && s.flags&unix.CLONE_NEWPID == 0 {
		child.ns.PIDForChildren = child.ns.PID
	}
	if t.ns.PIDForChildren == 0 { // /proc tells it only when there is one in it
		t.ns.PIDForChildren = child.ns.PID
	}
	p.tasks[s.child] = &child
	delete(p.status, s.child)
	r := t.record(kindClone, s.tid, s.time)
	if t.call != nil {
		r.Nr = t.call.nr
	}
	r.After, r.Args[0] = child.ns, s.flags
	r.X[0], r.X[1], r.X[2] = s.child, child.inside, child.ppid
	return p.see(r.event(p.boot))
}

func (p *perfState) renamed(t *perfTask, s *sample) {
	if of := p.tasks[s.child]; of != nil && s.time >= of.since {
		of.comm = [16]byte{}
		copy(of.comm[:15], s.text)
	}
	if s.child == s.tid && t.call != nil {
		t.call.name = s.text
	}
}

func (p *perfState) executed(s *sample) error {
	t := p.tasks[s.old]
	if t == nil {
		t = &perfTask{who: who{ids: noIDs()}}
	}
	if s.old != s.subject {
		delete(p.tasks, s.old)
		if leader := p.tasks[s.subject]; leader != nil {
			t.comm = leader.comm // it was renamed under that number
		}
	}
	p.tasks[s.subject] = t
	delete(p.status, s.pid)
	call := t.call
	t.call, t.pid = nil, s.subject
	t.ids = noIDs() // the program may be a set-id one
	if t.ns.Time != t.ns.TimeForChildren {
		t.ns.Time = 0 // on some kernels it is the one for children now (exec_task_namespaces)
	}
	if s.look != nil {
		t.ids, t.ns, t.inside = s.look.ids, t.ns.with(&s.look.ns), s.look.inside
		t.ppid = cmp.Or(t.ppid, s.look.ppid)
	}
	r := t.record(kindExec, s.subject, s.time)
	if call != nil {
		r.Nr, r.Before = call.nr, call.before
	}
	r.texts[0] = s.text
	if s.look != nil {
		r.texts[1] = s.look.argv
	}
	r.X[0] = uint32(len(r.texts[1]))
	e := r.event(p.boot)
	e.Args.Unread = len(e.Args.Argv) == 0
	return p.see(e)
}

func (p *perfState) exited(t *perfTask, s *sample) error {
	if s.tid != s.pid || s.last {
		delete(p.tasks, s.tid)
	}
	if !s.last {
		return nil
	}
	if leader := p.tasks[s.pid]; leader != nil {
		t = leader // whose name is the process's
	}
	delete(p.tasks, s.pid)
	for _, of := range p.tasks {
		if of.ppid == s.pid {
			of.ppid = 0 // who takes it is not told
		}
	}
	r := t.record(kindExit, s.tid, s.time)
	status, known := p.status[s.pid]
	delete(p.status, s.pid)
	r.Ret = status
	e := r.event(p.boot)
	if !known { // a signal, which is not told
		e.Args.Status = nil
	}
	return p.see(e)
}

// returned tells of a call that has ended.
func (p *perfState) returned(t *perfTask, s *sample) error {
	call := t.call
	t.call = nil
	if s.nr == unix.SYS_EXIT || s.nr == unix.SYS_EXIT_GROUP {
		delete(p.status, s.pid) // a filter has refused it
		return nil
	}
	failed := s.result < 0 && s.result >= -4095
	// A call that seccomp(2) refuses is never entered. What it asked for is not known.
	seccomp := call == nil || call.nr != s.nr
	if seccomp {
		if !failed || s.nr == unix.SYS_PRCTL || t.unsure {
			t.unsure = false
			return nil
		}
		call = &perfCall{nr: s.nr, before: t.ns, comm: t.comm}
	}
	switch {
	case s.nr == unix.SYS_PRCTL && call.args[0] != unix.PR_SET_NAME, s.nr == unix.SYS_CLONE && call.args[0]&unix.CLONE_THREAD != 0,
		!failed && toldAtOnce(s.nr):
		return nil
	}
	if !failed {
		p.changed(t, s, call)
	}
	r := t.record(kindSyscall, s.tid, s.time)
	r.Nr, r.Args, r.Ret, r.Before, r.Comm = s.nr, call.args, s.result, call.before, call.comm
	if seccomp {
		r.Seccomp = 1
	}
	r.texts[0] = call.name
	if s.nr == unix.SYS_SETNS && !failed {
		r.X[0] = entered(call, t)
	}
	e := r.event(p.boot)
	e.Args.Unread = seccomp || s.nr != unix.SYS_PRCTL && pointers(s.nr) || s.nr == unix.SYS_PRCTL && call.name == nil
	if s.nr == unix.SYS_SETGROUPS || seccomp {
		e.Args.IDs, e.Args.Truncated = nil, false
	}
	return p.see(e)
}

// changed is what a thread is after a call.
func (p *perfState) changed(t *perfTask, s *sample, call *perfCall) {
	switch {
	case !changesTask(s.nr):
		return
	case s.nr != unix.SYS_UNSHARE && s.nr != unix.SYS_SETNS:
		t.ids = noIDs()
	default:
		t.ns = t.ns.made(kindsOf(s.nr, &call.args), false)
	}
	if s.look != nil {
		t.ns, t.ppid = t.ns.with(&s.look.ns), cmp.Or(t.ppid, s.look.ppid)
		if s.look.ids[0] != noID {
			t.ids = s.look.ids
		}
	}
}

// pointers reports whether a call is given memory to read, of which nothing is known.
func pointers(nr uint32) bool {
	switch nr {
	case unix.SYS_CLONE3, unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT,
		unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_MOUNT_SETATTR, unix.SYS_SETGROUPS:
		return true
	}
	return false
}

package trace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// sample is what one tracepoint has told.
type sample struct {
	time     uint64 // of CLOCK_MONOTONIC, in ns
	point    string
	pid, tid uint32 // who was running
	look     *look  // at whom it is about, after all that was read with it; what has changed meanwhile is not known in it

	blind bool // others were lost around it

	child   uint32 // task_newtask; task_rename: who is renamed
	old     uint32 // sched_process_exec: the thread that called it
	text    []byte // a name or a path
	flags   uint64 // task_newtask
	refused bool   // sys_enter: the call has failed meanwhile
	last    bool   // sched_process_exit: of its process
	nr      uint32
	args    [6]uint64
	result  int64
	subject uint32 // the thread that it changes
}

// perfABI32 is PERF_SAMPLE_REGS_ABI_32 of include/uapi/linux/perf_event.h.
const perfABI32 = 1

// sample reads a record, nil when it is none to be told of: of a 32-bit program, or one whose end is missing.
func (p *Perf) sample(b []byte) *sample {
	if len(b) < 20 {
		return nil
	}
	order := binary.NativeEndian
	s := &sample{pid: order.Uint32(b), tid: order.Uint32(b[4:]), time: order.Uint64(b[8:])}
	size := int(order.Uint32(b[16:]))
	if size < 8 || 20+size+8 > len(b) {
		return nil
	}
	raw, abi := b[20:20+size], order.Uint64(b[20+size:])
	point := p.points[order.Uint16(raw)]
	if point == nil {
		return nil
	}
	s.point, s.subject = point.name, s.tid
	field := func(name string, n int) []byte {
		at, ok := point.offsets[name]
		if !ok || at+n > len(raw) {
			return make([]byte, n)
		}
		return raw[at : at+n]
	}
	switch point.name {
	case "task/task_newtask":
		s.child, s.text, s.flags = order.Uint32(field("pid", 4)), field("comm", 16), order.Uint64(field("clone_flags", 8))
		s.subject = s.child
	case "task/task_rename":
		s.child, s.text = order.Uint32(field("pid", 4)), field("newcomm", 16)
		s.subject = s.child
	case "sched/sched_process_exec":
		at := order.Uint32(field("filename", 4)) // __data_loc: offset and length
		if from, n := int(at&0xffff), int(at>>16); from+n <= len(raw) {
			s.text = raw[from : from+n]
		}
		s.subject, s.old = order.Uint32(field("pid", 4)), order.Uint32(field("old_pid", 4))
	case "sched/sched_process_exit":
		s.last = s.pid == s.tid // before Linux 6.16, which tells it: a leader that ends before its other threads is taken for the process
		if _, ok := point.offsets["group_dead"]; ok {
			s.last = field("group_dead", 1)[0] != 0
		}
	default:
		if abi == perfABI32 {
			if point.name == "raw_syscalls/sys_enter" {
				p.compat.Add(1)
			}
			return nil
		}
		s.nr = uint32(order.Uint64(field("id", 8)))
		if point.name == "raw_syscalls/sys_exit" {
			s.result = int64(order.Uint64(field("ret", 8)))
			break
		}
		args := field("args", 48)
		for i := range s.args {
			s.args[i] = order.Uint64(args[8*i:])
		}
	}
	return s
}

// settles reports whether it is worth a look what the thread is after it.
func (s *sample) settles() bool {
	switch s.point {
	case "task/task_newtask", "sched/sched_process_exec":
		return true
	case "raw_syscalls/sys_exit":
		return s.result >= 0 && changesTask(s.nr)
	}
	return false
}

// changes reports whether something that a look shows may be another after it: namespaces, ids, or the program. A call
// changes them some time before it is told that it has ended.
func (s *sample) changes() bool {
	switch s.point {
	case "task/task_newtask", "task/task_rename", "sched/sched_process_exec":
		return true
	case "raw_syscalls/sys_enter":
		return !s.refused && (changesTask(s.nr) || s.executes())
	}
	return false
}

func (s *sample) executes() bool { return s.nr == unix.SYS_EXECVE || s.nr == unix.SYS_EXECVEAT }

// changesTask reports whether the call changes namespaces or ids of its caller.
func changesTask(nr uint32) bool {
	switch nr {
	case unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID,
		unix.SYS_SETRESGID, unix.SYS_SETFSUID, unix.SYS_SETFSGID:
		return true
	}
	return false
}

// since is what is left of a look when that happened to the thread in between, nil when it is not of this thread.
func (l *look) since(s *sample) *look {
	is := *l
	kinds := kindsOf(s.nr, &s.args)
	switch {
	case s.point == "task/task_newtask": // the number was used again
		return nil
	case s.point == "task/task_rename":
		is.comm = [16]byte{}
	case s.point == "sched/sched_process_exec", s.executes():
		is.argv, is.ids, is.ns.Time = nil, noIDs(), 0 // the program may be a set-id one
	case kinds != 0:
		is.ns = is.ns.unknown(kinds)
	default:
		is.ids = noIDs()
	}
	return &is
}

// look is what /proc says of a thread at one moment.
type look struct {
	who
	at    uint64 // CLOCK_MONOTONIC when it was over
	found bool
	argv  []byte
}

// lookAt reads it.
func lookAt(tid uint32) *look {
	l := &look{}
	l.who, l.found = whoIs(int(tid))
	l.argv = cmdlineOf(int(tid))
	l.at = monotonic()
	return l
}

func monotonic() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it is always there
	return uint64(now.Nano())
}

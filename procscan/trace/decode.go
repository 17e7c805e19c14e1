package trace

import (
	"bytes"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
)

// The kinds of records in bpf/trace.bpf.c.
const (
	kindClone = iota + 1
	kindSyscall
	kindExec
	kindExit
	kindMap
	kindDenied
)

// record is what the programs tell of one event.
type record struct {
	header
	texts [6][]byte // Len of each

	calls   map[uint32]fsCall // with Options.Denied
	symbols symbols
	why     string // there is no question to ask about the call
}

// header is struct event of bpf/trace.bpf.c, without the strings.
type header struct {
	Time     uint64
	Ret      int64
	Args     [6]uint64
	Caps     uint64
	Y        uint64 // as X
	Kind, Nr uint32

	PID, TID, Inside, PPID uint32

	Before, After inodes
	IDs           [8]uint32 // real, effective, saved, fs: uids, then gids
	Comm          [16]byte
	X             [8]uint32
	Seccomp       uint16
	_             [3]uint16
	Len           [6]uint16
	Late, _       uint16
}

// inodes is struct nsset.
type inodes struct{ User, PID, PIDForChildren, Mnt, Net, UTS, IPC, Cgroup, Time, TimeForChildren uint32 }

func (s *inodes) set() nsinspect.NamespaceSet {
	return nsinspect.NamespaceSet{
		User: nsinspect.Inode(s.User), PID: nsinspect.Inode(s.PID), PIDForChildren: nsinspect.Inode(s.PIDForChildren),
		Mnt: nsinspect.Inode(s.Mnt), Net: nsinspect.Inode(s.Net), UTS: nsinspect.Inode(s.UTS), IPC: nsinspect.Inode(s.IPC),
		Cgroup: nsinspect.Inode(s.Cgroup), Time: nsinspect.Inode(s.Time), TimeForChildren: nsinspect.Inode(s.TimeForChildren),
	}
}

// maxText is how much of a string the programs keep, with its NUL.
const maxText = 1024

// decode is the event of a record.
func (b *BPF) decode(raw []byte) (*events.Event, error) {
	r := &b.record
	*r = record{calls: b.calls, symbols: b.symbols}
	const n = int(unsafe.Sizeof(r.header))
	if len(raw) < n {
		return nil, fmt.Errorf("decode a record of %d bytes: its header has %d", len(raw), n)
	}
	r.header = *(*header)(unsafe.Pointer(unsafe.SliceData(raw))) // both sides of it are this program's, in this machine's order
	rest := raw[n:]
	for i, size := range r.Len {
		if int(size) > len(rest) {
			return nil, fmt.Errorf("decode a record of %d bytes: string %d has %d", len(raw), i, size)
		}
		r.texts[i], rest = rest[:size], rest[size:]
	}
	return r.event(b.boot), nil
}

func (r *record) event(boot time.Time) *events.Event {
	e := &events.Event{
		Time: boot.Add(time.Duration(r.Time)), PID: int(r.PID), TID: int(r.TID), InsidePID: int(r.Inside), PPID: int(r.PPID),
		Comm: cString(r.Comm[:]), Flags: []string{}, Result: r.Ret,
		Before: r.Before.set(), Namespaces: r.After.set(), UID: idsOf(r.IDs[:4]), GID: idsOf(r.IDs[4:]), Caps: r.Caps,
	}
	if r.Kind != kindExit && r.Ret < 0 && r.Ret >= -4095 {
		e.Result = -1
		e.Errno = unix.ErrnoName(unix.Errno(-r.Ret))
		if e.Errno == "" {
			e.Errno = fmt.Sprintf("errno %d", -r.Ret)
		}
	}
	if r.Seccomp != 0 {
		e.Args.Reason = "refused by a seccomp filter"
	}
	e.Args.Late = r.Late != 0 && r.Kind != kindDenied // those of a refusal all are
	switch r.Kind {
	case kindClone:
		e.Type, e.Name = events.Clone, cloneName(r.Nr)
		e.Flags = events.CloneFlags(r.Args[0])
		e.Args.Child, e.Args.ChildInside, e.Args.ChildParent = int(r.X[0]), int(r.X[1]), int(r.X[2])
		e.Result = int64(e.Args.Child)
	case kindExec:
		e.Type, e.Name = events.Exec, "exec"
		e.Args.Path = r.text(0, &e.Args)
		e.Args.Argv = splitArgs(r.texts[1])
		e.Args.Truncated = e.Args.Truncated || int(r.X[0]) > len(r.texts[1])
	case kindExit:
		e.Type, e.Name = events.Exit, "exit"
		status := unix.WaitStatus(r.Ret)
		e.Result = 0
		if status.Signaled() {
			e.Args.Signal = signalName(status.Signal())
		} else {
			code := status.ExitStatus()
			e.Args.Status = &code
		}
	case kindMap:
		r.mapWrite(e)
	case kindDenied:
		r.denied(e)
	default:
		r.call(e)
	}
	return e
}

// text is string i of the record.
func (r *record) text(i int, a *events.Args) string {
	if len(r.texts[i]) == maxText {
		a.Truncated = true
	}
	return cString(r.texts[i])
}

func cString(b []byte) string {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

// splitArgs are the arguments in the memory of a process, each with a NUL at its end.
func splitArgs(b []byte) []string {
	var args []string
	for len(b) > 0 {
		arg, rest, _ := bytes.Cut(b, []byte{0})
		args = append(args, string(arg))
		b = rest
	}
	return args
}

func idsOf(ids []uint32) nsinspect.IDs {
	return nsinspect.IDs{Real: idmap.Kernel(ids[0]), Effective: idmap.Kernel(ids[1]), Saved: idmap.Kernel(ids[2]), FS: idmap.Kernel(ids[3])}
}

func signalName(s unix.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

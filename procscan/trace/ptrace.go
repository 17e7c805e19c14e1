package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
)

// Ptrace is the source that needs no privilege and misses nothing, and stops its processes at every system call for it:
// what strace(1) does. A set-id program that a traced process executes gets no privilege from it (ptrace(2)).
type Ptrace struct {
	path string
	argv []string
	boot time.Time

	root   int
	status syscall.WaitStatus
	tasks  map[int]*task
	see    func(*events.Event) error
}

// task is a traced thread.
type task struct {
	pid  int // of its process
	call *record
	last *record // what it was when it ended
}

// OpenPtrace is for one command, which Run starts.
func OpenPtrace(path string, argv []string) *Ptrace {
	return &Ptrace{path: path, argv: argv, boot: bootTime(), tasks: map[int]*task{}}
}

// Name is [Source.Name].
func (p *Ptrace) Name() string {
	return "ptrace, which slows COMMAND down and keeps set-id programs such as newuidmap from working"
}

// Lost is [Source.Lost].
func (p *Ptrace) Lost() (Lost, error) { return Lost{}, nil }

// Close is [Source.Close].
func (p *Ptrace) Close() error { return nil }

// Status is how the command ended, once Run has returned without an error.
func (p *Ptrace) Status() syscall.WaitStatus { return p.status }

// Root is the PID of the command.
func (p *Ptrace) Root() int { return p.root }

// Run starts the command and traces it to its end, whatever ctx says: who is traced would stop for good without a tracer
// that continues it. Its descendants that outlive it run on, untraced.
func (p *Ptrace) Run(_ context.Context, see func(*events.Event) error) error {
	// A tracer is a thread. It is not given back, so it ends with this function and lets go of who is left.
	runtime.LockOSThread()
	p.see = see
	pid, err := syscall.ForkExec(p.path, p.argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return &os.PathError{Op: "execute", Path: p.path, Err: err}
	}
	p.root = pid
	if _, err := waitFor(pid, &p.status); err != nil {
		return fmt.Errorf("wait for %d: %w", pid, err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACEEXIT
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return fmt.Errorf("trace %d: %w", pid, err)
	}
	p.tasks[pid] = &task{pid: pid}
	if err := p.executed(pid, &record{header: header{Nr: unix.SYS_EXECVE}, texts: [6][]byte{[]byte(p.path)}}); err != nil {
		return err
	}
	p.resume(pid, 0)
	for {
		var ws syscall.WaitStatus
		tid, err := waitFor(-1, &ws)
		if err != nil {
			return fmt.Errorf("wait for the traced: %w", err)
		}
		if err := p.stopped(tid, ws); err != nil {
			return err
		}
		if tid == p.root && (ws.Exited() || ws.Signaled()) {
			p.status = ws
			return nil
		}
	}
}

// waitFor waits for a child of this thread.
func waitFor(pid int, ws *syscall.WaitStatus) (int, error) {
	for {
		tid, err := syscall.Wait4(pid, ws, unix.WALL|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) {
			return tid, err
		}
	}
}

// resume lets a thread go on to its next system call. One that has been killed meanwhile does not.
func (p *Ptrace) resume(tid, signal int) { _ = unix.PtraceSyscall(tid, signal) }

func (p *Ptrace) stopped(tid int, ws syscall.WaitStatus) error {
	t := p.tasks[tid]
	switch {
	case ws.Exited() || ws.Signaled():
		delete(p.tasks, tid)
		if t == nil || t.pid != tid {
			return nil
		}
		r := t.last
		if r == nil { // SIGKILL leaves no time to look
			r = &record{header: header{PID: uint32(tid), TID: uint32(tid)}}
		}
		r.Kind, r.Time, r.Ret = kindExit, uint64(time.Since(p.boot)), int64(ws)
		return p.tell(r)
	case t == nil: // a new one; its first stop is not a signal of anybody's
		p.tasks[tid] = &task{pid: processOf(tid)}
		p.resume(tid, 0)
		return nil
	case ws.StopSignal() == unix.SIGTRAP|0x80:
		err := p.atCall(tid, t)
		p.resume(tid, 0)
		return err
	case ws.StopSignal() == unix.SIGTRAP && ws.TrapCause() > 0:
		err := p.atEvent(tid, t, ws.TrapCause())
		p.resume(tid, 0)
		return err
	}
	p.resume(tid, int(ws.StopSignal()))
	return nil
}

// atEvent is after a birth or an exec.
func (p *Ptrace) atEvent(tid int, t *task, cause int) error {
	if cause == unix.PTRACE_EVENT_EXIT {
		t.last = p.record(tid, kindExit)
		return nil
	}
	message, err := unix.PtraceGetEventMsg(tid)
	if err != nil {
		return nil // it has been killed
	}
	call := t.call
	if call == nil {
		call = &record{}
	}
	if cause == unix.PTRACE_EVENT_EXEC {
		delete(p.tasks, int(message)) // the thread that called it, which is the process now
		p.tasks[tid] = &task{pid: tid}
		return p.executed(tid, call)
	}
	child, _ := whoIs(int(message))
	if child.pid != 0 && child.pid != uint32(message) {
		return nil // a thread
	}
	r := p.record(tid, kindClone)
	r.Nr, r.Before, r.After = call.Nr, call.Before, child.ns
	r.Args[0] = call.cloneFlags()
	r.X[0], r.X[1], r.X[2] = uint32(message), child.inside, child.ppid
	return p.tell(r)
}

// executed tells of a program that has been executed by the call.
func (p *Ptrace) executed(tid int, call *record) error {
	r := p.record(tid, kindExec)
	r.Nr = call.Nr
	r.texts[0], r.texts[1] = call.texts[0], cmdlineOf(tid)
	r.X[0] = uint32(len(r.texts[1]))
	return p.tell(r)
}

func (p *Ptrace) tell(r *record) error { return p.see(r.event(p.boot)) }

// callInfo is struct ptrace_syscall_info of include/uapi/linux/ptrace.h.
type callInfo struct {
	Op   uint8
	_    [3]byte
	Arch uint32
	IP   uint64
	SP   uint64
	Nr   uint64 // at the end: what it returned
	Args [6]uint64
	_    [2]uint64
}

package runner

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that are passed on to the command. The terminal sends the first ones to the command as well,
// which is in the same process group.
func forwarded() (terminal, others []os.Signal) {
	return []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP},
		[]os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGCONT}
}

// forwarder takes the signals that this process gets and passes them on.
type forwarder struct {
	signals chan os.Signal
	done    chan struct{}
	wg      sync.WaitGroup

	mu     sync.Mutex
	pid    int           // 0: nobody to forward to (any more)
	killed unix.Signal   // what pid was killed for, instead of the signal it would not have got
	early  []unix.Signal // came before there was a command
}

// newForwarder begins to collect signals. Those that were ignored when this process started stay ignored, for the
// command too (nohup).
func newForwarder() *forwarder {
	f := &forwarder{signals: make(chan os.Signal, 64), done: make(chan struct{})}
	terminal, others := forwarded()
	for _, sig := range append(terminal, others...) {
		if !signal.Ignored(sig) {
			signal.Notify(f.signals, sig)
		}
	}
	f.wg.Go(func() {
		for {
			select {
			case sig := <-f.signals:
				f.pass(sig.(syscall.Signal))
			case <-f.done:
				return
			}
		}
	})
	return f
}

// forwardTo names the command, once it is there, and gives it what came before.
func (f *forwarder) forwardTo(pid int) {
	f.mu.Lock()
	f.pid = pid
	early := f.early
	f.early = nil
	f.mu.Unlock()
	for _, sig := range early {
		f.pass(sig)
	}
}

// stop ends the forwarding. That signals have their former meaning again is not waited for: the runtime takes two turns
// of a thread of its own for each of them, and nearly always this process is about to end.
func (f *forwarder) stop() {
	close(f.done)
	f.wg.Wait()
	go signal.Stop(f.signals)
}

// release says that pid is about to be reaped: its number may then be somebody else's.
func (f *forwarder) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pid = 0
}

// pass sends the command what this process got. A PID 1 gets no signal that it does not handle, not even from outside
// (pid_namespaces(7)), and a command that is one would behave unlike anywhere else: so what would end any other process
// ends it, and what would stop any other process stops it.
func (f *forwarder) pass(sig unix.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pid == 0 {
		f.early = append(f.early, sig)
		return
	}
	unhandled := isInit(f.pid) && !handles(f.pid, sig)
	switch {
	case sig == unix.SIGCONT:
		_ = unix.Kill(f.pid, sig)
	case sig == unix.SIGTSTP && unhandled:
		_ = unix.Kill(f.pid, unix.SIGSTOP)
	case unhandled:
		f.killed = sig
		_ = unix.Kill(f.pid, unix.SIGKILL)
	case fromTerminal(sig):
	default:
		_ = unix.Kill(f.pid, sig)
	}
}

// fromTerminal reports whether the terminal has sent the signal, to the whole foreground process group.
func fromTerminal(sig unix.Signal) bool {
	return (sig == unix.SIGINT || sig == unix.SIGQUIT || sig == unix.SIGTSTP) && inForeground()
}

// terminalFD is a descriptor of the controlling terminal, -1 without one.
func terminalFD() int {
	for fd := range 3 {
		if _, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			return fd
		}
	}
	return -1
}

// inForeground reports whether this process is in the foreground process group of its terminal.
func inForeground() bool {
	fd := terminalFD()
	if fd < 0 {
		return false
	}
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// isInit reports whether a process is PID 1 of a PID namespace below this one.
func isInit(pid int) bool {
	pids := strings.Fields(statusField(pid, "NSpid"))
	return len(pids) > 1 && pids[len(pids)-1] == "1"
}

// handles reports whether a process catches, ignores or blocks a signal.
func handles(pid int, sig unix.Signal) bool {
	for _, key := range []string{"SigCgt", "SigIgn", "SigBlk"} {
		set, err := strconv.ParseUint(statusField(pid, key), 16, 64)
		if err != nil || set&(1<<(sig-1)) != 0 {
			return true
		}
	}
	return false
}

// statusField is a line of /proc/PID/status, "" when it cannot be read.
func statusField(pid int, key string) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Wait waits for the command to end and returns its exit status, 128+n when signal n ended it. While it waits, signals
// that this process gets are passed on, and when the command is stopped from the terminal, so is this process.
func (c *Container) Wait() int {
	if c.ended {
		return c.status
	}
	terminal := terminalFD()
	for {
		// Look first and reap later, so that no signal goes to a PID that is somebody else's by then.
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, c.PID, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		var ws unix.WaitStatus
		if stopped(info) {
			_, _ = unix.Wait4(c.PID, &ws, unix.WUNTRACED, nil)
			if ws.Stopped() && terminal >= 0 {
				c.suspend()
			}
			continue
		}
		c.signal.release()
		ws = reap(c.PID)
		c.end(ws, terminal)
		return c.status
	}
}

// clDStopped is CLD_STOPPED of siginfo_t's si_code (bits/siginfo-consts.h).
const clDStopped = 5

func stopped(info unix.Siginfo) bool { return info.Code == clDStopped }

// end does what is left to do when the command is gone.
func (c *Container) end(ws unix.WaitStatus, terminal int) {
	c.signal.stop()
	c.ended = true
	c.status = ws.ExitStatus()
	if ws.Signaled() {
		c.status = 128 + int(ws.Signal())
		if ws.Signal() == unix.SIGKILL && c.signal.killed != 0 {
			c.status = 128 + int(c.signal.killed)
		}
	}
	if c.state != nil {
		c.state.remove()
	}
	// An interactive shell inside may have left the terminal to a process group that is no more.
	if terminal >= 0 {
		takeTerminal(terminal)
	}
}

// watchInit hears from the init when the command is stopped. It ends with the init.
func (c *Container) watchInit(init channel) {
	defer init.close()
	for {
		m, _, err := init.receive()
		if err != nil {
			return
		}
		if m.Kind == "stopped" && terminalFD() >= 0 {
			c.suspend()
		}
	}
}

// suspend stops this process as the command was stopped, so that the shell has its terminal back, and continues the
// command when the shell continues this process. In an orphaned process group SIGTSTP does nothing, and the command goes
// on at once.
func (c *Container) suspend() {
	// A signal to this very thread is taken before the system call returns, while its action is still the default one.
	// signal.Reset does not make it that: the handler of the Go runtime stays, and drops the signal.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	handler := swapAction(unix.SIGTSTP, sigaction{})
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP)
	swapAction(unix.SIGTSTP, handler)
	_ = unix.Kill(c.PID, unix.SIGCONT)
}

// sigaction is the kernel's struct sigaction of rt_sigaction(2), at most 32 bytes with its mask of 64 bits. The zero
// value is SIG_DFL.
type sigaction [4]uint64

// swapAction sets what the kernel does about a signal, behind the back of the Go runtime, and returns what it did before.
func swapAction(sig unix.Signal, action sigaction) (before sigaction) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	return before
}

// takeTerminal makes this process's group the foreground one, if the group that was is gone.
func takeTerminal(fd int) {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || group == unix.Getpgrp() || group > 0 && unix.Kill(-group, 0) == nil {
		return
	}
	// A background process that does this is stopped by SIGTTOU, unless that is ignored.
	signal.Ignore(unix.SIGTTOU)
	_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, unix.Getpgrp())
	signal.Reset(unix.SIGTTOU)
}

package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// started is what the monitor of a detached command tells nsview.
type started struct {
	PID       int
	StartTime uint64
	PinDir    bool // the directory of the pins was made for them
	Report    *Report
}

// Detach carries the plan out in the background, in a session of its own: a monitor, this program once more, starts the
// command, waits for it and removes its state at the end. Detach returns once the command has been executed; the
// Container cannot be waited for.
//
// The command's stdin, stdout and stderr are kept where they are regular files, and are /dev/null otherwise: whoever
// reads a pipe to its end is not to wait for the command.
func (p *Plan) Detach() (*Container, error) {
	ours, theirs, err := newChannel()
	if err != nil {
		return nil, err
	}
	defer ours.close()
	defer theirs.close()
	file, err := memoryFile(p)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sock, err := inheritable(theirs.fd)
	if err != nil {
		return nil, err
	}
	defer unix.Close(sock)
	plan, err := inheritable(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	defer unix.Close(plan)
	streams, closeNull, err := quietStreams()
	if err != nil {
		return nil, err
	}
	defer closeNull()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], monitorArg, strconv.Itoa(sock), strconv.Itoa(plan)}, &syscall.ProcAttr{
		Env: os.Environ(), Files: streams, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start the monitor: %w", err)
	}
	theirs.close()
	unix.Close(sock)
	m, _, err := ours.receive()
	switch {
	case errors.Is(err, io.EOF):
		return nil, &Error{Err: fmt.Errorf("the monitor ended before the command was started (%s)", describeStatus(reap(pid))), Status: StatusFailure}
	case err != nil:
		return nil, err
	case m.Kind == "failed":
		_ = reap(pid)
		return nil, m.failure()
	case m.Started == nil:
		return nil, fmt.Errorf("the monitor said %q", m.Kind)
	}
	c := &Container{Plan: p, PID: m.Started.PID, StartTime: m.Started.StartTime, Report: m.Started.Report}
	if p.Spec.Pin != "" {
		// What is pinned follows from the plan.
		c.Pins = p.pins()
		c.Pins.Made = m.Started.PinDir
	}
	return c, nil
}

// quietStreams are the three standard streams, with /dev/null for those that are no regular files.
func quietStreams() (streams []uintptr, done func(), err error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	for fd := range 3 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			streams = append(streams, uintptr(fd))
			continue
		}
		streams = append(streams, null.Fd())
	}
	return streams, func() { null.Close() }, nil
}

// monitor is the stage of Detach.
func monitor(args []string) int {
	sock, file, ok := twoFDs(args)
	if !ok {
		return StatusFailure
	}
	closeOnExec(sock)
	closeOnExec(file)
	setComm("nsview-monitor")
	parent := channel{sock}
	var p Plan
	if err := readMemoryFile(file, &p); err != nil {
		return notACommand()
	}
	_ = unix.Close(file)
	c, err := p.Start()
	if err != nil {
		_ = parent.send(failed(err))
		return StatusFailure
	}
	// Nobody may be left to read it: the command runs all the same.
	_ = parent.send(message{Kind: "started", Started: &started{PID: c.PID, StartTime: c.StartTime, PinDir: c.Pins.Made, Report: c.Report}})
	parent.close()
	_ = unix.Chdir("/") // no mount is kept busy by the monitor
	return c.Wait()
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// peakOf runs a command once more and is how much memory it had at most, in bytes. The peak that wait4(2) tells is also
// that of the parent until the child executed its program, and so bench's own; the right one is gone with the memory. So
// the command is stopped where it exits (ptrace(2), PTRACE_EVENT_EXIT), and asked.
func peakOf(argv []string) (int64, error) {
	runtime.LockOSThread() // only the thread that traces may
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	// A pipe, as when it is timed: some programs print other things to a file.
	out, in, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer out.Close()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, err
	}
	p, err := os.StartProcess(path, argv, &os.ProcAttr{
		Files: []*os.File{null, in, null}, Sys: &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL},
	})
	_ = in.Close()
	if err != nil {
		return 0, err
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // until it is closed
	var peak int64
	for first := true; ; {
		var status unix.WaitStatus
		_, err := unix.Wait4(p.Pid, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case !status.Stopped():
			if peak == 0 {
				return 0, fmt.Errorf("%s ended before it was asked for its memory", argv[0])
			}
			return peak, nil
		}
		signal := 0
		switch {
		case first: // it executed the program
			first = false
			if err := unix.PtraceSetOptions(p.Pid, unix.PTRACE_O_TRACEEXIT|unix.PTRACE_O_EXITKILL); err != nil {
				return 0, err
			}
		case status.TrapCause() == unix.PTRACE_EVENT_EXIT:
			if peak, err = highWater(p.Pid); err != nil {
				return 0, err
			}
		case status.StopSignal() != unix.SIGTRAP:
			signal = int(status.StopSignal())
		}
		if err := unix.PtraceCont(p.Pid, signal); err != nil {
			return 0, err
		}
	}
}

// highWater is VmHWM of a process.
func highWater(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "\nVmHWM:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0, fmt.Errorf("process %d has no memory left", pid)
	}
	kb, err := strconv.ParseInt(fields[0], 10, 64)
	return kb << 10, err
}

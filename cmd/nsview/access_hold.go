package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
)

// heldProcess is a directory of procfs that keeps meaning one process, also when its PID is used anew.
type heldProcess struct{ dir *os.File }

// holdProcess takes hold of the process that a snapshot saw. That PID may be another's by now: the start time tells.
func holdProcess(proc string, p *nsinspect.Process) (*heldProcess, error) {
	dir, err := os.Open(filepath.Join(proc, strconv.Itoa(p.PID)))
	if err != nil {
		return nil, err
	}
	start, err := startTime(dir)
	if err == nil && start != p.StartTime {
		err = os.ErrNotExist
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &heldProcess{dir}, nil
}

// startTime is field 22 of the stat in a process's directory (proc_pid_stat(5)): clock ticks after boot. The command in
// field 2 ends at the last parenthesis.
func startTime(dir *os.File) (uint64, error) {
	fd, err := unix.Openat(int(dir.Fd()), "stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: dir.Name() + "/stat", Err: err}
	}
	f := os.NewFile(uintptr(fd), dir.Name()+"/stat")
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return 0, err
	}
	const afterComm, field = 3, 22
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= field-afterComm {
		return 0, fmt.Errorf("%s/stat has too few fields", dir.Name())
	}
	return strconv.ParseUint(string(fields[field-afterComm]), 10, 64)
}

// alive reports whether the process is still there.
func (h *heldProcess) alive() bool {
	return h == nil || unix.Faccessat(int(h.dir.Fd()), "stat", unix.F_OK, 0) == nil
}

func (h *heldProcess) close() {
	if h != nil {
		h.dir.Close()
	}
}

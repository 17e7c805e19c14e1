package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/trace"
	"github.com/nsview/nsview/runner"
)

// traceSource opens the best source that there is: BPF programs, tracepoints without them, and for a COMMAND a look at /proc.
func (a *app) traceSource(f *traceFlags) (trace.Source, error) {
	if f.ptrace {
		path, err := exec.LookPath(f.command[0])
		if err != nil {
			status := runner.StatusNotFound
			if errors.Is(err, os.ErrPermission) {
				status = runner.StatusNotExecutable
			}
			return nil, &runner.Error{Err: err, Status: status}
		}
		return trace.OpenPtrace(path, f.command), nil
	}
	var bpfErr, perfErr error
	if f.source == "" || f.source == "bpf" {
		bpf, err := trace.OpenBPF(trace.Options{Denied: f.denied})
		if err == nil {
			return bpf, nil
		}
		if bpfErr = fmt.Errorf("no BPF: %w", err); f.denied {
			bpfErr = fmt.Errorf("--denied needs BPF: %w", err)
		}
	}
	if f.source != "bpf" && f.source != "proc" && !f.denied {
		perf, err := trace.OpenPerf()
		if err == nil {
			if bpfErr != nil {
				a.warn("%v", bpfErr)
			}
			return perf, nil
		}
		perfErr = fmt.Errorf("no tracepoints: %w", err)
	}
	err := errors.Join(bpfErr, perfErr)
	if f.command == nil || f.denied || len(f.targets) > 0 || f.source == "bpf" || f.source == "perf" {
		hint := "nsview trace -- COMMAND can follow a command without"
		if f.denied || os.Geteuid() != 0 {
			hint = "run as root (CAP_BPF and CAP_PERFMON)"
		}
		return nil, noSource(err, hint)
	}
	for _, err := range []error{bpfErr, perfErr} {
		if err != nil {
			a.warn("%v", err)
		}
	}
	return trace.OpenProc(a.proc), nil
}

// openLog opens the file of --log, before anything is started. A fifo that nobody reads is refused: else it would be waited for.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NONBLOCK, 0o666)
	switch {
	case errors.Is(err, unix.ENXIO):
		return nil, &statusError{code: exitFailure, err: fmt.Errorf("--log: nobody reads %s", path)}
	case err != nil:
		return nil, &statusError{code: exitFailure, err: fmt.Errorf("--log: %w", err)}
	}
	return file, nil
}

// noSource says why nothing can be traced, in one line.
func noSource(err error, hint string) error {
	if err == nil {
		err = errors.New("/proc is looked at for a COMMAND only")
	}
	return &statusError{code: exitFailure, err: fmt.Errorf("trace: %s", strings.ReplaceAll(err.Error(), "\n", "; ")), hint: hint}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// row is one comparison: the same work by nsview and by a peer.
type row struct {
	name string
	at   string // the size of the work: "2,000 processes"
	peer []string
	ours []string

	wall, cpu float64 // the ratios that are to be reached, 0 for none
	memory    int64   // bytes that are not to be passed, 0 for none

	// before prepares each run, outside of the time: it is what makes a cold file system cold.
	before func() error
	// beside starts what runs beside each run of ours, and returns what ends it.
	beside func(context.Context) (stop func() error, err error)
}

// run is what one run took.
type run struct{ wall, cpu time.Duration }

// result is a row that was measured.
type result struct {
	row
	peerRuns, ourRuns []run
	peerPeak, ourPeak int64 // memory, bytes
}

// measure runs a row's pairs. The first pair warms caches up and is not counted.
func measure(ctx context.Context, r row, rounds int) (result, error) {
	out := result{row: r}
	for i := range rounds + 1 {
		for n, argv := range [][]string{r.peer, r.ours} {
			if err := ctx.Err(); err != nil {
				return out, err
			}
			if r.before != nil {
				if err := r.before(); err != nil {
					return out, err
				}
			}
			beside := r.beside
			if n == 0 || beside == nil {
				beside = func(context.Context) (func() error, error) { return func() error { return nil }, nil }
			}
			stop, err := beside(ctx)
			if err != nil {
				return out, err
			}
			took, err := timed(ctx, argv)
			if err = errors.Join(err, stop()); err != nil {
				return out, err
			}
			switch {
			case i == 0:
			case n == 0:
				out.peerRuns = append(out.peerRuns, took)
			default:
				out.ourRuns = append(out.ourRuns, took)
			}
		}
	}
	var err error
	if out.peerPeak, err = peakOf(r.peer); err != nil {
		return out, err
	}
	out.ourPeak, err = peakOf(r.ours)
	return out, err
}

// timed runs a command and reads what it prints. Exit status 1 is an answer (find(1) of a file that is gone), others are
// failures.
func timed(ctx context.Context, argv []string) (run, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return run{}, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return run{}, err
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	took := run{wall: time.Since(begin)}
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		return took, fmt.Errorf("%s: %w: %.200s", strings.Join(argv, " "), err, complaint.String())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return took, fmt.Errorf("no resource usage of %s", argv[0])
	}
	took.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return took, nil
}

// quartiles are the first, the median and the third.
func quartiles(values []float64) (low, mid, high float64) {
	v := slices.Sorted(slices.Values(values))
	at := func(q float64) float64 { return v[int(q*float64(len(v)-1)+0.5)] }
	return at(0.25), at(0.5), at(0.75)
}

func each(runs []run, of func(run) float64) []float64 {
	out := make([]float64, len(runs))
	for i := range runs {
		out[i] = of(runs[i])
	}
	return out
}

func wallOf(r run) float64 { return r.wall.Seconds() }
func cpuOf(r run) float64  { return r.cpu.Seconds() }

func median(runs []run, of func(run) float64) float64 {
	_, mid, _ := quartiles(each(runs, of))
	return mid
}

// ratio is ours over the peer's, of the medians; low and high are the quartiles of the pairs' own ratios.
func (r *result) ratio(of func(run) float64) (mid, low, high float64) {
	pairs := make([]float64, len(r.ourRuns))
	for i := range pairs {
		pairs[i] = of(r.ourRuns[i]) / of(r.peerRuns[i])
	}
	low, _, high = quartiles(pairs)
	return median(r.ourRuns, of) / median(r.peerRuns, of), low, high
}

// missing says why a row cannot be measured here.
func missing(program string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is not installed", program)
	}
	return nil
}

// scratch is a directory of bench's own.
func scratch() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "nsview-bench.")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

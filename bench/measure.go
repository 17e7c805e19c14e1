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
	size int    // of the work, 0 for what has none
	unit string // what size counts: "processes"
	peer []string
	ours []string

	// slices is how many parts the work of a run comes in, 0 for one: the parts of ours and of the peer take turns, so that both
	// have the same of what else the machine does.
	slices int

	wall, cpu float64 // the ratios that are to be reached, 0 for none
	rate      float64 // of size, a second of our wall time, that is to be reached; 0 for none
	memory    int64   // bytes that are not to be passed, 0 for none

	// before prepares each run, outside of the time: it is what makes a cold file system cold.
	before func() error
	// beside starts what runs beside each run of ours, and returns what ends it.
	beside func(context.Context) (stop func() error, err error)
}

// at is the size of the work as people write it: "2,000 processes".
func (r *row) at() string {
	if r.size == 0 {
		return ""
	}
	return thousands(r.size) + " " + r.unit
}

// run is what one run took.
type run struct{ Wall, CPU time.Duration }

// measured is what was measured of a row. It survives JSON.
type measured struct {
	PeerRuns, OurRuns []run
	PeerPeak, OurPeak int64 // memory, bytes
}

// result is a row that was measured.
type result struct {
	row
	measured
}

// measure runs a row's pairs. The first pair warms caches up and is not counted.
func measure(ctx context.Context, r row, rounds int) (measured, error) {
	var out measured
	for i := range rounds + 1 {
		var took [2]run // of the peer, and ours
		for slice := range max(r.slices, 1) {
			for turn := range took {
				n := (turn + slice) % len(took)
				part, err := r.once(ctx, n == 1)
				if err != nil {
					return out, err
				}
				took[n].Wall += part.Wall
				took[n].CPU += part.CPU
			}
		}
		if i > 0 {
			out.PeerRuns, out.OurRuns = append(out.PeerRuns, took[0]), append(out.OurRuns, took[1])
		}
	}
	var err error
	if out.PeerPeak, err = peakOf(r.peer); err != nil {
		return out, err
	}
	out.OurPeak, err = peakOf(r.ours)
	return out, err
}

// once is one run, of ours or of the peer.
func (r *row) once(ctx context.Context, ours bool) (run, error) {
	if err := ctx.Err(); err != nil {
		return run{}, err
	}
	if r.before != nil {
		if err := r.before(); err != nil {
			return run{}, err
		}
	}
	if !ours {
		return timed(ctx, r.peer)
	}
	if r.beside == nil {
		return timed(ctx, r.ours)
	}
	stop, err := r.beside(ctx)
	if err != nil {
		return run{}, err
	}
	took, err := timed(ctx, r.ours)
	return took, errors.Join(err, stop())
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
	_, unread := io.Copy(io.Discard, out)
	err = cmd.Wait()
	took := run{Wall: time.Since(begin)}
	if unread != nil {
		return took, fmt.Errorf("read what %s prints: %w", argv[0], unread)
	}
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		return took, fmt.Errorf("%s: %w: %.200s", strings.Join(argv, " "), err, complaint.String())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return took, fmt.Errorf("no resource usage of %s", argv[0])
	}
	took.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
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

func wallOf(r run) float64 { return r.Wall.Seconds() }
func cpuOf(r run) float64  { return r.CPU.Seconds() }

func oursOf(r *result) []run  { return r.OurRuns }
func peersOf(r *result) []run { return r.PeerRuns }

func median(runs []run, of func(run) float64) float64 {
	_, mid, _ := quartiles(each(runs, of))
	return mid
}

// ratio is ours over the peer's, of the medians; low and high are the quartiles of the pairs' own ratios.
func (r *result) ratio(of func(run) float64) (mid, low, high float64) {
	pairs := make([]float64, len(r.OurRuns))
	for i := range pairs {
		pairs[i] = of(r.OurRuns[i]) / of(r.PeerRuns[i])
	}
	low, _, high = quartiles(pairs)
	return median(r.OurRuns, of) / median(r.PeerRuns, of), low, high
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

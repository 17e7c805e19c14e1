package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// traceStarts is how many containers the traced shells make, which is what makes tracing expensive: nearly all that happens
// in them is an event. They come in traceSlices parts.
const (
	traceStarts = 2000
	traceSlices = 8
)

// settings are what a start's system calls depend on: the PATH of Debian's root (ENV_SUPATH of login.defs), of which unshare
// tries one directory after the other, and no locale, of which it would open thirteen files. With those of whoever calls this
// another work would be measured on each machine.
const settings = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C"

// traceRows are about what being traced costs.
func traceRows(ctx context.Context, o *options, r *report) error {
	loop := []string{"sh", "-c", fmt.Sprintf("%s; i=0; while [ $i -lt %d ]; do unshare -U true; i=$((i+1)); done", settings, traceStarts/traceSlices)}
	const unit = "times unshare -U true"
	return r.measure(ctx, []row{
		{name: "traced, untraced", size: traceStarts, unit: unit, slices: traceSlices, peer: loop, ours: loop, beside: o.tracing, wall: 1.04},
		{
			name: "traced, strace -f", size: traceStarts, unit: unit, slices: traceSlices,
			peer: append([]string{"strace", "-f", "-o", "/dev/null"}, loop...), ours: loop, beside: o.tracing,
		},
	})
}

// tracing starts nsview trace of the whole host. The function that it returns ends it; a lost event is a failure.
func (o *options) tracing(ctx context.Context) (stop func() error, err error) {
	cmd := exec.CommandContext(ctx, o.nsview, "trace", "-o", "json", "--summary")
	var out bytes.Buffer
	cmd.Stdout = &out
	messages, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(messages)
	if !lines.Scan() || !strings.Contains(lines.Text(), "BPF") {
		_ = cmd.Process.Kill() // it said why it does not trace
		_ = cmd.Wait()
		return nil, fmt.Errorf("nsview trace: %s", lines.Text())
	}
	return func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		for lines.Scan() { // to its end
		}
		const interrupted = 130
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != interrupted {
			return fmt.Errorf("nsview trace: %w", err)
		}
		var told struct {
			Gaps    []struct{ Fact, Error string }
			Summary struct{ Starts []struct{ PID int } }
		}
		if err := json.Unmarshal(out.Bytes(), &told); err != nil {
			return err
		}
		for _, gap := range told.Gaps {
			if strings.HasPrefix(gap.Error, "lost") {
				return fmt.Errorf("nsview trace lost %s", gap.Fact)
			}
		}
		if n := len(told.Summary.Starts); n < traceStarts/traceSlices {
			return fmt.Errorf("nsview trace saw %d starts only", n)
		}
		return nil
	}, nil
}

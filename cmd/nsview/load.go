package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/engine"
)

// snapshot is what a reading command answers from: the host as it is now, with the facts asked for, or what --from
// stored. With the error of an interrupt comes what was read until then, see procscan.Scan.
func (a *app) snapshot(ctx context.Context, facts procscan.Fact) (*nsinspect.Snapshot, error) {
	a.endsPromptly(ctx, a.from != "")
	if a.from != "" {
		if i := interruptsOf(ctx); i != nil {
			i.telling.Store(false) // a snapshot that was not read to the end tells nothing
		}
		defer a.progress("reading " + a.from)()
		s, err := a.stored()
		if err == nil && a.verbose {
			a.warn("answering from %s, %s", a.from, takenText(s, time.Now()))
		}
		return s, err
	}
	defer a.progress("reading " + a.proc)()
	// Nearly all that is made while the host is first read stays to the end. Who looks for garbage before that reads rows that are
	// not there yet: two page faults more for each page of them, of which one has to wait for every processor.
	first := !a.scanned
	if a.scanned = true; first {
		collectGarbageAt(400)
	}
	var chosen procscan.Choice
	s, err := procscan.Scan(ctx, procscan.Options{
		Proc: a.proc, HostRoot: a.hostRoot, Facts: facts, Source: procscan.Source(a.source), Chosen: &chosen, Programs: engine.Programs(),
	})
	switch {
	case s != nil && len(s.Processes) >= manyProcesses:
		// Most of the memory is what stays to the end now: room for as much again would only be the peak.
		collectGarbageAt(50)
	case first:
		collectGarbageAt(100)
	}
	if err != nil && s == nil {
		if a.source == string(procscan.SourceBPF) {
			return nil, usageError("--source auto reads procfs where BPF cannot", "%w", err)
		}
		return nil, err
	}
	if a.verbose && a.source != "" {
		a.warn("%s read the processes: %s", chosen.Source, chosen.Why)
	}
	claims, gaps := engine.Claims(ctx, s, engine.Options{Proc: a.proc, HostRoot: a.hostRoot, RuntimeDir: os.Getenv("XDG_RUNTIME_DIR")})
	if ctx.Err() != nil { // each file of an engine that was not waited for would be a gap
		err = ctx.Err()
		s.Partial = true
		gaps = []nsinspect.Gap{{Subject: "the host", Fact: "containers", Error: "interrupted"}}
	}
	s.Gaps = append(s.Gaps, gaps...)
	nsinspect.Group(s, claims)
	return s, err
}

// manyProcesses are those of a host whose snapshot takes most of nsview's memory.
const manyProcesses = 5000

// collectGarbageAt sets when garbage is looked for, as GOGC does: in percent of what was no garbage the last time, of 4 MB
// before that. Whoever sets GOGC has the word.
func collectGarbageAt(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// stored reads the snapshot of --from; "-" is stdin.
func (a *app) stored() (*nsinspect.Snapshot, error) {
	var in io.Reader = a.in
	if a.from != "-" {
		f, err := os.Open(a.from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	s, err := nsinspect.Decode(in)
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", a.from, err)
	}
	return s, nil
}

// takenText is when a snapshot was taken, and how long ago that is.
func takenText(s *nsinspect.Snapshot, now time.Time) string {
	if s.Time.IsZero() {
		return "which does not say when it was taken"
	}
	at := s.Time.Local().Format("2006-01-02 15:04:05 -0700")
	if age := now.Sub(s.Time); age >= 0 {
		return fmt.Sprintf("taken %s ago, at %s", ageText(&s.Time, age), at)
	}
	return fmt.Sprintf("taken at %s, which this clock has yet to reach", at)
}

// sourceFlag adds --source.
func (a *app) sourceFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.source, "source", string(procscan.SourceAuto), "read processes from `auto|proc|bpf`: procfs, a BPF iterator, or what takes less time (-v says which)")
	complete(cmd, "source", sources())
}

func sources() []string {
	return []string{string(procscan.SourceAuto), string(procscan.SourceProc), string(procscan.SourceBPF)}
}

// checkSource judges --source.
func (a *app) checkSource() error {
	if !slices.Contains(sources(), a.source) {
		return usageError("", "--source is %s, not \"%s\"", strings.Join(sources(), ", "), a.source)
	}
	return nil
}

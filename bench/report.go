package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// report collects results.
type report struct {
	o       *options
	results []result
	left    []string // rows that could not be measured, and why
}

func (r *report) add(res result) { r.results = append(r.results, res) }

func (r *report) leftOut(name string, why error) {
	r.left = append(r.left, fmt.Sprintf("%s: %v", name, why))
	fmt.Fprintf(os.Stderr, "bench: left out %s: %v\n", name, why)
}

// measure measures rows and adds them.
func (r *report) measure(ctx context.Context, rows []row) error {
	for _, row := range rows {
		if !r.o.wants(row.name) {
			continue
		}
		if err := missing(row.peer[0]); err != nil {
			r.leftOut(row.name, err)
			continue
		}
		rounds := r.o.rounds
		if row.peer[0] == "lsns" && len(row.peer) == 1 && row.size >= 20_000 {
			rounds = min(rounds, 3) // it takes minutes
		}
		took, err := measure(ctx, row, rounds)
		if err != nil {
			return err
		}
		res := result{row, took}
		r.add(res)
		mid, low, high := res.ratio(wallOf)
		fmt.Fprintf(os.Stderr, "bench: %s %s: %s\n", row.name, row.at(), spread(mid, low, high))
	}
	return nil
}

func spread(mid, low, high float64) string {
	return fmt.Sprintf("%s (%s-%s)", figure(mid), figure(low), figure(high))
}

// figure is a number with three digits that say something.
func figure(v float64) string {
	if v >= 0.1 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// text is the tables as the page has them.
func (r *report) text() (string, error) {
	var out bytes.Buffer
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "Linux %s, %d processors, %s; medians of %d pairs, in brackets the quartiles of the pairs' ratios.\n\n",
		unix.ByteSliceToString(uts.Release[:]), runtime.NumCPU(), strings.Join(versions(), ", "), r.o.rounds)
	rows := [][]string{
		{"work", "size", "against", "wall", "to reach", "CPU", "to reach", "nsview", "peer", "peak memory", "peer's"},
		{"---", "---", "---", "---", "---", "---", "---", "---", "---", "---", "---"},
	}
	for i := range r.results {
		res := &r.results[i]
		rows = append(rows, []string{
			"`nsview " + res.name + "`", res.at(), "`" + res.against() + "`",
			spread(res.ratio(wallOf)), mark(res, wallOf, res.wall), figure(first(res.ratio(cpuOf))), mark(res, cpuOf, res.cpu),
			milliseconds(median(res.OurRuns, wallOf)), milliseconds(median(res.PeerRuns, wallOf)),
			megabytes(res.OurPeak) + overMemory(res), megabytes(res.PeerPeak),
		})
	}
	w := tabwriter.NewWriter(&out, 0, 0, 1, ' ', 0)
	for _, cells := range rows {
		fmt.Fprintf(w, "| %s\t|\n", strings.Join(cells, "\t| "))
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	for _, text := range []string{r.rates(), r.growth(), r.projections()} {
		if text != "" {
			fmt.Fprintf(&out, "\n%s\n", text)
		}
	}
	for _, left := range r.left {
		fmt.Fprintf(&out, "\nLeft out: %s.\n", left)
	}
	return out.String(), nil
}

// against is the peer's program, with its options where there are few.
func (r *result) against() string {
	if len(r.peer) == 1 || !strings.HasPrefix(r.peer[1], "-") {
		return r.peer[0] // its operands are of this run
	}
	return strings.Join(r.peer[:2], " ")
}

func first(mid, _, _ float64) float64 { return mid }

// mark is a target, and whether it was missed.
func mark(r *result, of func(run) float64, limit float64) string {
	if limit == 0 {
		return ""
	}
	text := strconv.FormatFloat(limit, 'g', -1, 64)
	if mid, _, _ := r.ratio(of); mid > limit {
		text += " **missed**"
	}
	return text
}

func overMemory(r *result) string {
	if r.memory > 0 && r.OurPeak > r.memory {
		return " **more than " + megabytes(r.memory) + "**"
	}
	return ""
}

// rates are how much of a row's work is done in a second, where that is to be reached.
func (r *report) rates() string {
	var parts []string
	for i := range r.results {
		res := &r.results[i]
		if res.rate == 0 {
			continue
		}
		did, missed := float64(res.size)/median(res.OurRuns, wallOf), ""
		if did < res.rate {
			missed = " **missed**"
		}
		parts = append(parts, fmt.Sprintf("`nsview %s` answers %s %s a second with one processor (to reach: %s%s).",
			res.name, thousands(int(did)), res.unit, thousands(int(res.rate)), missed))
	}
	return strings.Join(parts, "\n")
}

// growth is how CPU time a process grows with how many there are: 1 would be in proportion.
func (r *report) growth() string {
	var parts []string
	for _, name := range []string{psByProc, psByBPF, nsAll} {
		var small, large *result
		for i := range r.results {
			if res := &r.results[i]; res.name == name {
				if small == nil {
					small = res
				}
				large = res
			}
		}
		if small == nil || small == large {
			continue
		}
		from, to := float64(small.size), float64(large.size)
		grown := func(runs func(*result) []run) float64 {
			return (median(runs(large), cpuOf) / to) / (median(runs(small), cpuOf) / from)
		}
		ours := grown(oursOf)
		theirs := grown(peersOf)
		parts = append(parts, fmt.Sprintf("CPU time a process of `nsview %s` grows %s times from %s to %s (to reach: 1.4), the peer's %s times.",
			name, figure(ours), small.at(), large.at(), figure(theirs)))
	}
	return strings.Join(parts, "\n")
}

// projections are what the largest hosts would take, in proportion to what was measured: processes by the slope between
// the two largest populations, since a small one may be read in another way, files by the time of each.
func (r *report) projections() string {
	const manyProcesses, manyFiles = 1e6, 1e9
	bySize := map[string][]*result{}
	var names, parts []string
	for i := range r.results {
		res := &r.results[i]
		if res.size == 0 {
			continue
		}
		if bySize[res.name] == nil {
			names = append(names, res.name)
		}
		bySize[res.name] = append(bySize[res.name], res)
	}
	for _, name := range names {
		list := bySize[name]
		from, to := list[max(0, len(list)-2)], list[len(list)-1]
		each := func(runs func(*result) []run) float64 {
			return max(0, median(runs(to), wallOf)-median(runs(from), wallOf)) / float64(to.size-from.size)
		}
		many, what := manyProcesses, "1,000,000 processes"
		switch {
		case to.unit == "files":
			each = func(runs func(*result) []run) float64 { return median(runs(to), wallOf) / float64(to.size) }
			many, what = manyFiles, "1,000,000,000 files"
		case to.size < 5*from.size:
			continue // too near each other to tell a slope
		}
		ours, theirs := each(oursOf), each(peersOf)
		parts = append(parts, fmt.Sprintf("- `nsview %s`: %.1f µs each, so %s for %s; `%s` %.1f µs, so %s.",
			name, ours*1e6, span(ours*many), what, to.against(), theirs*1e6, span(theirs*many)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "In proportion, the largest hosts would take:\n\n" + strings.Join(parts, "\n")
}

// span is a time as people say it.
func span(seconds float64) string {
	switch {
	case seconds < 90:
		return fmt.Sprintf("%.1f seconds", seconds)
	case seconds < 5400:
		return fmt.Sprintf("%.0f minutes", seconds/60)
	}
	return fmt.Sprintf("%.1f hours", seconds/3600)
}

func milliseconds(seconds float64) string {
	return strconv.FormatFloat(seconds*1000, 'f', 1, 64) + " ms"
}

func megabytes(bytes int64) string {
	return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 0, 64) + " MB"
}

// thousands is a number with commas.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// versions are those of the peers.
func versions() []string {
	var out []string
	for _, program := range []string{"ps", "lsns", "find", "bwrap"} {
		b, err := exec.Command(program, "--version").Output()
		if err != nil {
			continue
		}
		line, _, _ := strings.Cut(string(b), "\n")
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

// The lines between which the tables stand in the page.
const (
	tablesBegin = "<!-- make bench writes what follows -->\n"
	tablesEnd   = "<!-- make bench wrote this -->\n"
)

// replaceTables puts text where the page has its tables.
func replaceTables(page, text string) error {
	b, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), tablesBegin)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		return errors.New(page + ": the lines between which the tables stand are missing")
	}
	return os.WriteFile(page, []byte(before+tablesBegin+"\n"+text+"\n"+tablesEnd+after), 0o644)
}

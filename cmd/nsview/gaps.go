package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
)

// gaps says on stderr what could not be read: with -o jsonl each as a JSON line, with -v each as a line, else one line
// that sums them up. With -o json and yaml they are in the answer.
func (a *app) gaps(gaps []nsinspect.Gap) {
	switch {
	case len(gaps) == 0 || a.output == "json" || a.output == "yaml":
	case a.output == "jsonl":
		for i := range gaps {
			_ = render.JSONLine(a.err, struct {
				Gap *nsinspect.Gap `json:"gap"`
			}{&gaps[i]})
		}
	case a.verbose:
		for i := range gaps {
			g := &gaps[i]
			a.warn("%s: %s: %s", g.Subject, g.Fact, g.Error)
		}
		if hints := gapHints(gaps); hints != "" {
			fmt.Fprintf(a.err, "hint: %s\n", render.Escape(hints))
		}
	default:
		a.warn("%s", gapSummary(gaps))
	}
}

// gapsAbout are the gaps about a process, none for PID 0.
func gapsAbout(gaps []nsinspect.Gap, pid int) []nsinspect.Gap {
	var about []nsinspect.Gap
	for _, g := range gaps {
		if g.PID != 0 && g.PID == pid {
			about = append(about, g)
		}
	}
	return about
}

// warn prints a line on stderr as the rules in root.go say.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.err, "nsview: %s\n", render.Escape(fmt.Sprintf(format, args...)))
}

// gapKind is what gaps have in common that one summary counts.
type gapKind struct{ fact, err string }

// gapSummary is one line: how much is missing of what and why, and what would lift it.
func gapSummary(gaps []nsinspect.Gap) string {
	const listed = 3
	var kinds []gapKind
	of := make(map[gapKind][]*nsinspect.Gap)
	for i := range gaps {
		k := gapKind{gaps[i].Fact, gaps[i].Error}
		if of[k] == nil {
			kinds = append(kinds, k)
		}
		of[k] = append(of[k], &gaps[i])
	}
	slices.SortStableFunc(kinds, func(a, b gapKind) int { return len(of[b]) - len(of[a]) })
	// Facts that the same subjects lack for the same reason are one part: "namespaces and names of pid 1 (REASON)".
	type lack struct{ subjects, err string }
	var lacks []lack
	facts := make(map[lack][]string)
	for _, k := range kinds {
		l := lack{gapSubjects(of[k]), k.err}
		if facts[l] == nil {
			lacks = append(lacks, l)
		}
		facts[l] = append(facts[l], k.fact)
	}
	var parts []string
	for i, l := range lacks {
		if i == listed {
			parts = append(parts, fmt.Sprintf("%d more (-v lists them)", len(lacks)-listed))
			break
		}
		parts = append(parts, fmt.Sprintf("%s of %s (%s)", strings.Join(facts[l], " and "), l.subjects, l.err))
	}
	line := "could not read " + strings.Join(parts, ", ")
	if hints := gapHints(gaps); hints != "" {
		line += "; " + hints
	}
	return line
}

// gapSubjects names what the gaps are about, or counts it.
func gapSubjects(gaps []*nsinspect.Gap) string {
	if len(gaps) == 1 {
		return gaps[0].Subject
	}
	what := subjectKind(gaps[0])
	for _, g := range gaps {
		if subjectKind(g) != what {
			what = "subjects"
		}
	}
	return fmt.Sprintf("%d %s", len(gaps), what)
}

// subjectKind is what several subjects like that of g are called.
func subjectKind(g *nsinspect.Gap) string {
	_, number, _ := strings.Cut(g.Subject, "namespace ")
	switch {
	case g.PID != 0:
		return "processes"
	case strings.Trim(number, "0123456789") == "" && number != "":
		return "namespaces"
	case strings.HasPrefix(g.Subject, "/"):
		return "paths"
	}
	return "subjects"
}

// gapHints joins what would lift the gaps, each hint once.
func gapHints(gaps []nsinspect.Gap) string {
	var hints []string
	for i := range gaps {
		if h := gaps[i].Hint; h != "" && !slices.Contains(hints, h) {
			hints = append(hints, h)
		}
	}
	return strings.Join(hints, "; ")
}

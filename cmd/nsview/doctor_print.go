package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
)

// printFindings prints the findings for people, those of each target together.
func printFindings(out io.Writer, list *doctor.FindingList, o render.TableOptions) error {
	w := bufio.NewWriter(out)
	if len(list.Findings) == 0 {
		fmt.Fprintln(w, "nothing found in "+lookedAt(list))
		return w.Flush()
	}
	paint := func(code, text string) string {
		if !o.Color {
			return text
		}
		return code + text + "\x1b[0m"
	}
	target := ""
	for i := range list.Findings {
		f := &list.Findings[i]
		if f.Target != target {
			if target != "" {
				fmt.Fprintln(w)
			}
			target = f.Target
			fmt.Fprintln(w, paint("\x1b[1m", render.Escape(target)))
		}
		severity := string(f.Severity)
		if f.Severity == doctor.Error {
			severity = paint("\x1b[31m", severity)
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %s %s %s", severity, f.ID, render.Escape(f.Path)), " "))
		fmt.Fprintf(w, "    seen:  %s\n", render.Escape(f.Evidence))
		fmt.Fprintf(w, "    means: %s\n", render.Escape(f.Meaning))
		for n := range f.Fixes {
			printFix(w, &f.Fixes[n], "    ")
		}
	}
	return w.Flush()
}

func doctorColumns() []string { return findingTable(nil).Columns() }

// findingTable has a line for each finding, with the titles of what would fix it.
func findingTable(findings []doctor.Finding) *render.Table {
	t := &render.Table{Header: []string{"SEVERITY", "ID", "TARGET", "PATH", "EVIDENCE", "MEANING", "FIXES"}}
	for i := range findings {
		f := &findings[i]
		titles := make([]string, len(f.Fixes))
		for n := range f.Fixes {
			titles[n] = f.Fixes[n].Title
		}
		t.Rows = append(t.Rows, []string{string(f.Severity), string(f.ID), f.Target, f.Path, f.Evidence, f.Meaning, strings.Join(titles, "; ")})
	}
	return t
}

// lookedAt is what doctor looked at, in words.
func lookedAt(list *doctor.FindingList) string {
	const grants = "the host's /etc/subuid, /etc/subgid, newuidmap and newgidmap"
	switch containers := counted(len(list.Containers), "container"); {
	case !list.Host:
		return containers
	case len(list.Containers) == 0:
		return grants
	default:
		return containers + " and " + grants
	}
}

// printFix prints one fix and its commands.
func printFix(w io.Writer, f *access.Fix, indent string) {
	notes := fixNotes(f)
	text := f.Title
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, "; ") + ")"
	}
	fmt.Fprintf(w, "%sfix:   %s\n", indent, render.Quoted(text))
	for _, command := range f.Commands {
		fmt.Fprintf(w, "%s         %s\n", indent, render.Quoted(command))
	}
	if f.How != "" {
		fmt.Fprintf(w, "%s         %s\n", indent, render.Quoted(f.How))
	}
}

// fixNotes are what to know before a fix is tried.
func fixNotes(f *access.Fix) []string {
	var notes []string
	if f.Proven {
		notes = append(notes, "proven")
	}
	if f.Restart {
		notes = append(notes, "needs the container made anew")
	}
	if f.Opens != "" {
		notes = append(notes, "opens "+f.Opens)
	}
	return notes
}

// counted is a number of things: 1 container, 2 containers, 3 processes.
func counted(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		what += "e"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/nsinspect/shell"
	"github.com/nsview/nsview/procscan/trace"
)

// printTree prints who came from whom, and between the births what each did.
func (t *tracing) printTree() error {
	keep := t.history.Concerned()
	var roots []*render.Node
	for _, p := range t.history.Roots {
		if keep[p] || t.app.verbose {
			roots = append(roots, t.node(p, keep))
		}
	}
	if len(roots) == 0 {
		t.app.warn("nothing had to do with namespaces")
	}
	return render.Tree(t.out, roots, t.app.tableOptions())
}

func (t *tracing) node(p *events.Process, keep map[*events.Process]bool) *render.Node {
	n := &render.Node{Text: fmt.Sprintf("%d %s", p.PID, strings.Join(p.Comms, " -> "))}
	if p.Born != nil {
		n.Text = fmt.Sprintf("%s %s", clock(p.Born.Time), n.Text)
		if p.Born.First() {
			n.Text += fmt.Sprintf("  PID 1 of pid:%v", p.Born.Namespaces.PID)
		}
	}
	fold := events.NewFold()
	add := func(lines []events.Line) {
		for i := range lines {
			n.Children = append(n.Children, &render.Node{Text: clock(lines[i].Event.Time) + " " + lines[i].Text()})
		}
	}
	for _, s := range p.Steps {
		if s.Child != nil && !keep[s.Child] && !t.app.verbose {
			continue
		}
		if s.Event != nil {
			add(fold.Add(s.Event, t.flags.filter.Shows(s.Event)))
		}
		if s.Child != nil {
			n.Children = append(n.Children, t.node(s.Child, keep))
		}
	}
	if p.Ended != nil {
		add(fold.Add(p.Ended, t.flags.filter.Shows(p.Ended)))
	}
	add(fold.End())
	return n
}

func clock(at time.Time) string { return at.Local().Format("15:04:05.000000") }

// summary is the history's, with the names of the containers that are still there.
func (t *tracing) summary() events.Summary {
	s := t.history.Summary()
	if len(s.Starts) == 0 {
		return s
	}
	if now, err := t.app.snapshot(context.Background(), 0); err == nil { // else they have the names of their commands
		s.NameStarts(now)
	}
	return s
}

// printSummary prints what started, and what was seen at all.
func (t *tracing) printSummary(lost trace.Lost) error {
	s := t.summary()
	if !t.flags.summary {
		if err := t.line(""); err != nil {
			return err
		}
	}
	for i := range s.Starts {
		if err := t.printStart(&s.Starts[i]); err != nil {
			return err
		}
	}
	return t.line(fmt.Sprintf("%d events in %v, %d of them failures, %s; %d started in namespaces of their own", s.Events, s.Duration.Round(time.Millisecond), s.Failed, lostText(lost), len(s.Starts)))
}

// printDenied says in how many cases kernel and nsview agree.
func (t *tracing) printDenied(lost trace.Lost) error {
	n := t.agreements
	return t.line(fmt.Sprintf("\n%d refused: nsview agrees with the kernel on %d, disagrees on %d, has no answer to %d; %s",
		n[events.Agree]+n[events.Disagree]+n[events.Unknown], n[events.Agree], n[events.Disagree], n[events.Unknown], lostText(lost)))
}

func lostText(lost trace.Lost) string {
	switch {
	case lost.Short:
		return "short ones missed"
	case lost.Events > 0:
		return fmt.Sprintf("%d lost", lost.Events)
	}
	return "none lost"
}

func (t *tracing) printStart(s *events.Start) error {
	inside := "unknown"
	if s.InsidePID != 0 {
		inside = strconv.Itoa(s.InsidePID)
	}
	who := fmt.Sprintf("%s  PID %d on the host, %s inside", shell.Arguments(s.Command...), s.PID, inside)
	if s.Container != "" {
		who = s.Container + "  " + who
	}
	lines := [][2]string{{"started by", strings.Join(s.By, " -> ")}, {"new", namespaceList(s.New)}, {"shared", namespaceList(s.Shared)}}
	var phases []string
	for i, p := range s.Phases {
		if i == 0 {
			phases = append(phases, p.Name)
			continue
		}
		phases = append(phases, fmt.Sprintf("+%v %s", p.Took.Round(10*time.Microsecond), p.Name))
	}
	lines = append(lines, [2]string{"steps", strings.Join(phases, ", ")})
	if err := t.line(render.Escape(who)); err != nil {
		return err
	}
	for _, l := range lines {
		if l[1] == "" {
			l[1] = "-"
		}
		if err := t.line(fmt.Sprintf("  %-10s  %s", l[0], render.Escape(l[1]))); err != nil {
			return err
		}
	}
	return nil
}

func namespaceList(list []events.NewNamespace) string {
	var parts []string
	for _, n := range list {
		parts = append(parts, string(n.Type)+":"+n.Inode.String())
	}
	return strings.Join(parts, " ")
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/trace"
)

// tracing is one run of trace.
type tracing struct {
	app      *app
	flags    *traceFlags
	source   trace.Source
	follower *events.Follower
	history  *events.History
	owners   owners
	asker    *asker // with --denied

	fold       *events.Fold
	agreements map[events.Agreement]int
	out        *bufio.Writer

	starting bool // COMMAND has not been executed yet
	root     int  // its PID
	execs    int  // of it

	list     []*events.Event // with -o json
	observer nsinspect.ReportObserver
	looked   *time.Time // when the host was read
}

// traceReader reads the source, whatever the output does: a slow terminal must not cost events.
type traceReader struct {
	queue  chan *events.Event
	cancel context.CancelFunc
	once   sync.Once
	err    error // of the source, once queue is closed
}

// queued is how many events may wait for the output. When they are more the source's own buffer fills, and then it counts
// what it loses.
const queued = 1 << 17

func (t *tracing) read() *traceReader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &traceReader{queue: make(chan *events.Event, queued), cancel: cancel}
	go func() {
		defer close(r.queue)
		r.err = t.source.Run(ctx, func(e *events.Event) error {
			r.queue <- e
			return nil
		})
	}()
	return r
}

// stop ends the reading. What happened until then is still in the queue.
func (r *traceReader) stop() { r.once.Do(r.cancel) }

// begin says which source it is, and prints the header.
func (t *tracing) begin() error {
	a := t.app
	t.out = bufio.NewWriter(a.out)
	who := "the whole host"
	switch {
	case len(t.flags.targets) > 0:
		who = counted(t.follower.Followed(), "process") + " and what comes from there"
	case t.flags.command != nil:
		who = "COMMAND and what comes from it"
	}
	a.warn("tracing %s, source: %s", who, t.source.Name())
	if a.output == "table" && !a.noHeaders && !t.flags.summary {
		return t.line(traceLine("TIME", "PID", "CPID", "COMMAND", "EVENT"))
	}
	return nil
}

// show prints the events until the reader has no more.
func (t *tracing) show(r *traceReader) error {
	for {
		select {
		case e, more := <-r.queue:
			if !more {
				if r.err != nil {
					return r.err
				}
				return t.flush()
			}
			if err := t.see(e); err != nil {
				return err
			}
			continue
		default:
		}
		// Nobody waits for a line while there are others to print.
		if err := t.flush(); err != nil {
			return err
		}
		var late <-chan time.Time
		if t.fold.Holds() {
			late = time.After(foldFor)
		}
		select {
		case e, more := <-r.queue:
			if !more {
				return r.err
			}
			if err := t.see(e); err != nil {
				return err
			}
		case <-late:
			if err := t.lines(t.fold.Late(time.Now())); err != nil {
				return err
			}
		}
	}
}

// foldFor is how long a line waits at most for what is to be folded into it.
const foldFor = time.Second

// lines prints lines of the timeline.
func (t *tracing) lines(list []events.Line) error {
	for i := range list {
		e := list[i].Event
		comm := render.Escape(e.Comm)
		if o := t.app.tableOptions(); o.Width > 0 { // escapes may be longer than the name
			o.Width = commWidth
			comm = render.Cut(comm, o)
		}
		inside := "?"
		if e.InsidePID != 0 {
			inside = strconv.Itoa(e.InsidePID)
		}
		if err := t.line(traceLine(clock(e.Time), strconv.Itoa(e.PID), inside, comm, list[i].Text())); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracing) flush() error { return t.out.Flush() }

// see takes one event.
func (t *tracing) see(e *events.Event) error {
	if t.starting && t.starts(e) {
		return nil
	}
	if !t.follower.Wants(e) {
		return nil
	}
	if t.flags.denied {
		everybody := len(t.flags.targets) == 0 && t.flags.command == nil
		if e.Type != events.Denied || everybody && !t.inContainer(e) {
			return nil
		}
		t.explainDenied(context.Background(), e)
		t.agreements[e.Denial.Agreement]++
	}
	t.owners.explain(context.Background(), e)
	t.history.Add(e)
	shown := t.flags.filter.Shows(e)
	if t.flags.summary {
		return nil
	}
	if t.app.output == "table" {
		if err := t.lines(t.fold.Late(e.Time.Add(-foldFor))); err != nil {
			return err
		}
		return t.lines(t.fold.Add(e, shown))
	}
	if !shown {
		return nil
	}
	switch t.app.output {
	case "jsonl":
		return render.JSONLine(t.out, e)
	case "json", "yaml":
		t.list = append(t.list, e)
	}
	return nil
}

// starts leaves out how nsview itself starts COMMAND: the second program that its process executes is COMMAND, after the
// stage of package runner.
func (t *tracing) starts(e *events.Event) bool {
	if e.PID == t.root && e.Type == events.Exec && !e.Failed() {
		if t.execs++; t.execs == 2 {
			t.starting = false
			t.follower.AddProcess(t.root)
			return false
		}
	}
	return e.PID == t.root || e.Args.Child == t.root
}

func (t *tracing) line(text string) error {
	_, err := fmt.Fprintln(t.out, render.Cut(text, t.app.tableOptions()))
	return err
}

// traceLine is a line of the timeline. A live one cannot be laid out by what is yet to come, so the columns have the widths
// that a time, a PID and a command name have at most.
func traceLine(when, pid, inside, comm, text string) string {
	return fmt.Sprintf("%-15s  %7s  %7s  %s  %s", when, pid, inside, render.Pad(comm, commWidth), text)
}

// commWidth is how many bytes the kernel keeps of a command name (TASK_COMM_LEN less the NUL).
const commWidth = 15

// end prints what is printed at the end: tree or summary, and what was lost.
func (t *tracing) end() error {
	lost, err := t.source.Lost()
	if err != nil {
		return err
	}
	gaps := t.lost(lost)
	if err := t.lines(t.fold.End()); err != nil {
		return err
	}
	switch t.app.output {
	case "tree":
		err = t.printTree()
	case "json", "yaml":
		err = t.printReport(gaps)
	case "table":
		if t.flags.denied {
			err = t.printDenied(lost)
		} else {
			err = t.printSummary(lost)
		}
	}
	if err == nil {
		err = t.flush()
	}
	t.app.gaps(gaps)
	return err
}

// lost are gaps for what was not seen.
func (t *tracing) lost(l trace.Lost) []nsinspect.Gap {
	var gaps []nsinspect.Gap
	add := func(n uint64, what, why, hint string) {
		if n > 0 {
			gaps = append(gaps, nsinspect.Gap{Subject: "the trace", Fact: fmt.Sprintf("%d %s", n, what), Error: why, Hint: hint})
		}
	}
	add(l.Events, "events", "lost: they came faster than they were read", "")
	if l.Short {
		gaps = append(gaps, nsinspect.Gap{Subject: "the trace", Fact: "short events", Error: "missed: /proc shows only what lasts", Hint: "run as root (CAP_BPF and CAP_PERFMON)"})
	}
	add(l.Compat, "system calls of 32-bit programs", "not read: their numbers are others", "")
	if t.history.Full {
		gaps = append(gaps, nsinspect.Gap{Subject: "the trace", Fact: "the history of later events", Error: "not kept: too many", Hint: ""})
	}
	return gaps
}

// traceReport is -o json.
type traceReport struct {
	nsinspect.Report
	Source  string          `json:"source"`
	Events  []*events.Event `json:"events,omitempty"`
	Summary events.Summary  `json:"summary"`
}

func (t *tracing) printReport(gaps []nsinspect.Gap) error {
	if gaps == nil {
		gaps = []nsinspect.Gap{}
	}
	return t.app.printData(t.out, traceReport{
		Report: nsinspect.Report{Schema: nsinspect.Schema, Kind: "Trace", Time: t.looked, Observer: t.observer, Gaps: gaps},
		Source: t.source.Name(), Events: t.list, Summary: t.summary(),
	}, nil)
}

package events

import (
	"slices"
	"time"

	"github.com/nsview/nsview/nsinspect"
)

// Summary is what a trace comes to.
type Summary struct {
	Events   int           `json:"events"`
	Failed   int           `json:"failed"`
	Duration time.Duration `json:"duration_ns"` // from the first event to the last
	Starts   []Start       `json:"starts"`
}

// Start is the start of a container, or of anything in namespaces of its own: the first program that was executed in a new
// combination of user, PID and mount namespace.
type Start struct {
	Time      time.Time      `json:"time"` // when Command was executed
	PID       int            `json:"pid"`
	InsidePID int            `json:"inside_pid"`
	Command   []string       `json:"command"`
	By        []string       `json:"by"` // the names of the processes that it came from, the farthest first
	New       []NewNamespace `json:"new"`
	Shared    []NewNamespace `json:"shared"`
	Phases    []Phase        `json:"phases"`
	Ended     bool           `json:"ended"`
}

// NewNamespace is a namespace that a container is in.
type NewNamespace struct {
	Type  nsinspect.Type  `json:"type"`
	Inode nsinspect.Inode `json:"inode"`
}

// Phase is a step of a start, and how long after the step before it came.
type Phase struct {
	Name  string        `json:"name"`
	Took  time.Duration `json:"took_ns"`
	Event string        `json:"event"` // what marked its end
}

// Summary sums the history up.
func (h *History) Summary() Summary {
	s := Summary{Events: h.Events, Duration: h.last.Sub(h.first), Starts: []Start{}}
	h.each(func(p *Process) {
		for _, step := range p.Steps {
			if step.Event != nil && step.Event.Failed() {
				s.Failed++
			}
		}
	})
	s.Starts = h.starts()
	return s
}

type place struct{ user, pid, mnt nsinspect.Inode }

func placeOf(e *Event) place {
	return place{e.Namespaces.User, e.Namespaces.PID, e.Namespaces.Mnt}
}

// starts finds the first exec in each new place. Who executes more than one program there, as a runtime that starts itself
// anew does, is told by the last.
func (h *History) starts() []Start {
	type first struct {
		p           *Process
		first, last *Event
	}
	places := map[place]*first{}
	h.each(func(p *Process) {
		for _, step := range p.Steps {
			e := step.Event
			if e == nil || e.Type != Exec || e.Failed() || h.madeFor(e) == nil {
				continue
			}
			at := places[placeOf(e)]
			switch {
			case at == nil || e.Time.Before(at.first.Time) && at.p != p:
				places[placeOf(e)] = &first{p, e, e}
			case at.p == p:
				at.last = e
			}
		}
	})
	starts := []Start{}
	for _, at := range places {
		starts = append(starts, h.start(at.p, at.last))
	}
	slices.SortFunc(starts, func(a, b Start) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return a.PID - b.PID
	})
	return starts
}

// madeFor is the event that made the first of the user, PID and mount namespaces that e happened in, nil when all were there
// before.
func (h *History) madeFor(e *Event) *Event {
	var earliest *Event
	for _, kind := range []nsinspect.Type{nsinspect.User, nsinspect.PID, nsinspect.Mnt} {
		if m := h.made[e.Namespaces.Of(kind)]; m != nil && (earliest == nil || m.Time.Before(earliest.Time)) {
			earliest = m
		}
	}
	return earliest
}

func (h *History) start(p *Process, exec *Event) Start {
	s := Start{
		Time: exec.Time, PID: p.PID, InsidePID: p.InsidePID, Command: exec.Args.Argv,
		By: []string{}, New: []NewNamespace{}, Shared: []NewNamespace{}, Ended: p.Ended != nil,
	}
	if len(s.Command) == 0 {
		s.Command = []string{exec.Args.Path}
	}
	chain := p.Chain()
	for _, by := range chain[:len(chain)-1] {
		s.By = append(s.By, by.Comm())
	}
	for _, kind := range nsinspect.Types() {
		n := NewNamespace{kind, exec.Namespaces.Of(kind)}
		if h.made[n.Inode] != nil {
			s.New = append(s.New, n)
		} else {
			s.Shared = append(s.Shared, n)
		}
	}
	s.Phases = h.phases(p, chain, exec)
	return s
}

// moment is a point of a start.
type moment struct {
	name  string
	event *Event
}

// phases tells the moments of a start in the order in which they came: the runtime's own start, the first namespace, the
// last id map, PID 1, the new root directory, the command, its end.
func (h *History) phases(p *Process, chain []*Process, exec *Event) []Phase {
	made := h.madeFor(exec)
	moments := []moment{{"namespaces", made}, {"command", exec}}
	if p.Born != nil && p.Born.First() {
		moments = append(moments, moment{"pid 1", p.Born})
	}
	if p.Ended != nil {
		moments = append(moments, moment{"end", p.Ended})
	}
	var runtime, root, maps *Event
	for _, by := range chain {
		for _, step := range by.Steps {
			e := step.Event
			if e == nil || step.Child != nil || e.Failed() {
				continue
			}
			switch {
			case e.Type == Exec && !e.Time.After(made.Time):
				runtime = e
			case e.Type == Map && e.Args.TargetNS == exec.Namespaces.User && h.made[e.Args.TargetNS] != nil:
				maps = e
			case by == p && (e.Name == "pivot_root" || e.Name == "chroot"):
				root = e
			}
		}
	}
	for _, m := range []moment{{"runtime", runtime}, {"id maps", maps}, {"root directory", root}} {
		if m.event != nil {
			moments = append(moments, m)
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return a.event.Time.Compare(b.event.Time) })
	phases := []Phase{}
	for i, m := range moments {
		took := time.Duration(0)
		if i > 0 {
			took = m.event.Time.Sub(moments[i-1].event.Time)
		}
		phases = append(phases, Phase{m.name, took, m.event.Name})
	}
	return phases
}

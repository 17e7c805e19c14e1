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
	Container string         `json:"container"` // whose it is, a TARGET; "" when no engine's, or not told any more: see NameStarts
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
	return Summary{Events: h.Events, Failed: h.failed, Duration: h.last.Sub(h.first), Starts: h.starts()}
}

// place is where a program runs: its user, PID and mount namespace, and the events that made them, since numbers of
// inodes are used again.
type place struct {
	user, pid, mnt    nsinspect.Inode
	userBy, pidBy, by *Event
}

func (h *History) placeOf(e *Event) place {
	n := &e.Namespaces
	return place{n.User, n.PID, n.Mnt, h.made[n.User], h.made[n.PID], h.made[n.Mnt]}
}

// begun is what was started in a new place.
type begun struct {
	p    *Process
	exec *Event
	made *Event // the first of the place's namespaces
	new  []NewNamespace
	old  []NewNamespace
}

// executes takes note of the first program in a new place. Who executes more than one program there, as a runtime that
// starts itself anew does, is told by the last.
func (h *History) executes(p *Process, exec *Event) {
	at := h.placeOf(exec)
	b := h.begun[at]
	switch {
	case h.madeFor(exec) == nil || b != nil && b.p != p:
		return
	case b == nil:
		b = &begun{p: p, made: h.madeFor(exec)}
		h.begun[at], p.started = b, true
		h.order = append(h.order, b)
	}
	b.exec, b.new, b.old = exec, []NewNamespace{}, []NewNamespace{}
	for _, kind := range nsinspect.Types() {
		n := NewNamespace{kind, exec.Namespaces.Of(kind)}
		if n.Inode == 0 {
			continue // not known
		}
		if h.made[n.Inode] != nil {
			b.new = append(b.new, n)
		} else {
			b.old = append(b.old, n)
		}
	}
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

// NameStarts says which of the starts are containers of an engine, by a snapshot of later: the container of a process that is
// in the same namespaces. One that has ended by then stays without a name.
func (s *Summary) NameStarts(now *nsinspect.Snapshot) {
	viewers := now.Viewers()
	for i := range s.Starts {
		start := &s.Starts[i]
		if start.Ended { // another one may have its numbers
			continue
		}
		for j := range now.Processes {
			p := &now.Processes[j]
			if p.Container >= 0 && now.Containers[p.Container].Engine != "" && start.has(&p.Namespaces) {
				start.Container = viewers[p.Container]
				break
			}
		}
	}
}

// has reports whether the namespaces are those of the start, in which a network or another one may have been entered later.
func (s *Start) has(set *nsinspect.NamespaceSet) bool {
	made := false
	for _, n := range s.New {
		switch n.Type {
		case nsinspect.User, nsinspect.PID, nsinspect.Mnt:
			made = true
			if set.Of(n.Type) != n.Inode {
				return false
			}
		}
	}
	return made
}

func (h *History) starts() []Start {
	starts := []Start{}
	for _, b := range h.order {
		starts = append(starts, b.start())
	}
	slices.SortStableFunc(starts, func(a, b Start) int { return a.Time.Compare(b.Time) })
	return starts
}

func (b *begun) start() Start {
	s := Start{
		Time: b.exec.Time, PID: b.p.PID, InsidePID: b.p.InsidePID, Command: b.exec.Args.Argv,
		By: []string{}, New: b.new, Shared: b.old, Ended: b.p.Ended != nil,
	}
	if len(s.Command) == 0 {
		s.Command = []string{b.exec.Args.Path}
	}
	chain := b.p.Chain()
	for _, by := range chain[:len(chain)-1] {
		s.By = append(s.By, by.Comm())
	}
	s.Phases = b.phases(chain)
	return s
}

// moment is a point of a start.
type moment struct {
	name  string
	event *Event
}

// phases tells the moments of a start in the order in which they came: the runtime's own start, the first namespace, the
// last id map, PID 1, the new root directory, the command, its end.
func (b *begun) phases(chain []*Process) []Phase {
	p, exec, made := b.p, b.exec, b.made
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
			case e.Type == Map && e.Args.TargetNS == exec.Namespaces.User && !e.Time.Before(made.Time):
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

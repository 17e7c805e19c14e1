package events

import (
	"slices"
	"time"

	"github.com/nsview/nsview/nsinspect"
)

// History is what is kept of a trace for the questions that one event cannot answer: who came from whom, and what each
// process did to namespaces.
type History struct {
	Roots  []*Process // those whose maker is not known, in the order in which they were seen
	Events int        // how many were added
	Full   bool       // it stopped keeping more

	Failures bool // keep also what failed, which only a tree shows; else it is counted
	Everyone bool // keep also processes that have ended and had nothing to do with namespaces

	failed int
	alive  map[int]*Process
	made   map[nsinspect.Inode]*Event // the namespaces that were made, and by which event: an inode number is used again
	begun  map[place]*begun
	order  []*begun
	kept   int
	first  time.Time
	last   time.Time
}

// Process is one process of a history.
type Process struct {
	PID, InsidePID int
	Maker          *Process // who cloned it, which with CLONE_PARENT is not its parent; nil when not known
	Born           *Event   // the clone; nil when it was there before
	Comms          []string // its names, in order
	Steps          []Step
	Ended          *Event

	started    bool                      // it is told as a start
	unresolved map[nsinspect.Type]*Event // what made namespaces whose inodes were not known at once
}

// Step is something that a process did: an event, or with Child a birth.
type Step struct {
	Event *Event
	Child *Process
}

// maxKept is how many events a History keeps, at about 1 kB each.
const maxKept = 500_000

// NewHistory is an empty one.
func NewHistory() *History {
	return &History{alive: map[int]*Process{}, made: map[nsinspect.Inode]*Event{}, begun: map[place]*begun{}}
}

// Know tells of a process that was there before the trace, so that chains of processes begin where they do. Its parent is
// to be told of first.
func (h *History) Know(pid, ppid int, comm string) {
	if h.alive[pid] == nil {
		p := &Process{PID: pid, Comms: []string{comm}, Maker: h.alive[ppid]}
		h.alive[pid] = p
		if p.Maker == nil {
			h.Roots = append(h.Roots, p)
		} else {
			p.Maker.Steps = append(p.Maker.Steps, Step{Child: p})
		}
	}
}

// Add takes note of an event.
func (h *History) Add(e *Event) {
	h.Events++
	if h.first.IsZero() {
		h.first = e.Time
	}
	h.last = e.Time
	if e.Failed() {
		h.failed++
		if !h.Failures {
			return
		}
	}
	if h.kept >= maxKept {
		h.Full = true
		return
	}
	p := h.process(e)
	switch {
	case e.Born():
		child := &Process{PID: e.Args.Child, InsidePID: e.Args.ChildInside, Maker: p, Born: e, Comms: []string{e.Comm}}
		h.alive[child.PID] = child
		p.Steps = append(p.Steps, Step{Event: e, Child: child})
	case e.Type == Exit:
		p.Ended = e
		delete(h.alive, e.PID)
	default:
		p.Steps = append(p.Steps, Step{Event: e})
	}
	h.kept++
	if e.Failed() {
		return
	}
	h.resolve(p, e)
	switch e.Type {
	case Exit:
		h.drop(p)
	case Name:
		p.name(e.Args.Name)
	case Exec:
		p.name(e.Comm)
		h.executes(p, e)
	case Clone, Unshare:
		for _, kind := range nsinspect.Types() {
			if e.makes(kind) && e.after(kind) == 0 {
				in := p
				if e.Born() {
					in = h.alive[e.Args.Child]
				}
				in.leaveOpen(kind, e)
			}
		}
		for _, kind := range e.New() {
			if e.after(kind) == 0 {
				continue
			}
			if e.makes(kind) || h.made[e.after(kind)] == nil && !e.bornInto(kind) {
				h.made[e.after(kind)] = e
			}
		}
	}
}

// drop forgets a process that has ended and that no question is about: there may be thousands of them for each that had to do
// with namespaces.
func (h *History) drop(p *Process) {
	if h.Everyone || p.Maker == nil || p.Born == nil || p.started || p.concerned() || slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Child != nil }) {
		return
	}
	steps := p.Maker.Steps
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Child == p {
			p.Maker.Steps = slices.Delete(steps, i, i+1)
			h.kept -= len(p.Steps) + 2 // and its birth and its end
			return
		}
	}
}

// leaveOpen takes note of a namespace that the event made, whose inode its source could not tell.
func (p *Process) leaveOpen(kind nsinspect.Type, by *Event) {
	if p.unresolved == nil {
		p.unresolved = map[nsinspect.Type]*Event{}
	}
	p.unresolved[kind] = by
}

// resolve finds out what such a namespace is from a later event in it: of the process, or the birth of a child.
func (h *History) resolve(p *Process, e *Event) {
	for kind, by := range p.unresolved {
		inode := forChildren(&e.Namespaces, kind)
		if e.Born() {
			inode = e.Namespaces.Of(kind)
		}
		switch {
		case (e.Type == Clone || e.Type == Unshare) && e.makes(kind): // of another one
			if e.Type == Unshare {
				delete(p.unresolved, kind)
			}
		case e.Type == Setns && (len(e.Flags) == 0 || e.makes(kind)):
			delete(p.unresolved, kind)
		case inode != 0:
			h.made[inode] = by
			delete(p.unresolved, kind)
		case e.Born():
			h.alive[e.Args.Child].leaveOpen(kind, by)
		}
	}
}

// process is who did it.
func (h *History) process(e *Event) *Process {
	p := h.alive[e.PID]
	if p == nil {
		p = &Process{PID: e.PID, InsidePID: e.InsidePID, Comms: []string{e.Comm}}
		h.alive[e.PID] = p
		h.Roots = append(h.Roots, p)
	}
	p.InsidePID = e.InsidePID
	return p
}

func (p *Process) name(comm string) {
	if p.Comms[len(p.Comms)-1] != comm {
		p.Comms = append(p.Comms, comm)
	}
}

// Comm is what the process is called now.
func (p *Process) Comm() string { return p.Comms[len(p.Comms)-1] }

// Chain is the process and who it came from, the farthest first.
func (p *Process) Chain() []*Process {
	var chain []*Process
	for ; p != nil; p = p.Maker {
		chain = append(chain, p)
	}
	slices.Reverse(chain)
	return chain
}

// Concerned are the processes that had to do with namespaces, and those that they came from.
func (h *History) Concerned() map[*Process]bool {
	concerned := map[*Process]bool{}
	h.each(func(p *Process) {
		if !p.concerned() {
			return
		}
		for ; p != nil && !concerned[p]; p = p.Maker {
			concerned[p] = true
		}
	})
	return concerned
}

func (p *Process) concerned() bool {
	return p.Born != nil && !p.Born.Plain() || slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.Event != nil && s.Child == nil && s.Event.concerned()
	})
}

// concerned reports whether the event is one of namespaces.
func (e *Event) concerned() bool {
	switch e.Type {
	case Unshare, Setns, Map:
		return true
	case Mount:
		return e.Name == "pivot_root"
	case Clone:
		return !e.Plain()
	}
	return false
}

// each calls visit for every process. It takes no recursion: a chain of processes may be long.
func (h *History) each(visit func(*Process)) {
	queue := slices.Clone(h.Roots)
	for len(queue) > 0 {
		p := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		visit(p)
		for _, s := range p.Steps {
			if s.Child != nil {
				queue = append(queue, s.Child)
			}
		}
	}
}

package events

import (
	"slices"

	"github.com/nsview/nsview/nsinspect"
)

// Follower knows whose events are wanted: of some processes and all that come from them, of whatever enters one of some
// namespaces, or of everybody.
//
// It is shown every event, in their order, also those that nobody wants.
type Follower struct {
	all        bool
	processes  map[int]bool
	namespaces map[nsinspect.Inode]bool
}

// Everybody follows the whole host.
func Everybody() *Follower { return &Follower{all: true} }

// Follow follows the processes with those PIDs, and their descendants.
func Follow(pids ...int) *Follower {
	f := &Follower{processes: map[int]bool{}, namespaces: map[nsinspect.Inode]bool{}}
	for _, pid := range pids {
		f.processes[pid] = true
	}
	return f
}

// AddNamespace makes f follow whoever enters a namespace by setns(2) or is born in it.
func (f *Follower) AddNamespace(inode nsinspect.Inode) {
	if inode != 0 {
		f.namespaces[inode] = true
	}
}

// AddProcess makes f follow one more process.
func (f *Follower) AddProcess(pid int) { f.processes[pid] = true }

// Wants takes note of the event, and reports whether it is one of a process that is followed.
func (f *Follower) Wants(e *Event) bool {
	if f.all {
		return true
	}
	if !e.Failed() && e.Type == Setns && f.within(e) {
		f.processes[e.PID] = true
	}
	wanted := f.processes[e.PID]
	if e.Born() {
		// A PID that is used anew is another process.
		if wanted || f.within(e) {
			f.processes[e.Args.Child] = true
		} else {
			delete(f.processes, e.Args.Child)
		}
	}
	if e.Type == Exit {
		delete(f.processes, e.PID)
	}
	return wanted
}

// Followed is how many processes are followed that have not ended.
func (f *Follower) Followed() int { return len(f.processes) }

// within reports whether the event leads into one of the namespaces.
func (f *Follower) within(e *Event) bool {
	if len(f.namespaces) == 0 {
		return false
	}
	for _, kind := range nsinspect.Types() {
		if f.namespaces[e.after(kind)] {
			return true
		}
	}
	return false
}

// Filter says which of the events that are followed are shown.
type Filter struct {
	Types  []Type // none: all
	Failed bool   // only what failed
	Plain  bool   // also births that have nothing to do with namespaces
}

// Shows reports whether the event is to be shown.
func (f *Filter) Shows(e *Event) bool {
	if f.Failed && !e.Failed() {
		return false
	}
	if len(f.Types) == 0 {
		return f.Plain || !e.Plain()
	}
	return slices.Contains(f.Types, e.Type)
}

package events

import (
	"fmt"
	"path"
	"slices"
	"time"
)

// Line is one line of a timeline: an event, and what was folded into it.
type Line struct {
	Event *Event
	note  string
	short bool // the call and its result only
}

// Text is [Event.Text] with how much was folded.
func (l *Line) Text() string {
	text := l.Event.Text()
	if l.short {
		text = l.Event.deniedCall()
	}
	if l.note != "" {
		text += "  " + l.note
	}
	return text
}

// Fold makes the lines of a timeline of events in their order. The failures of a search through PATH become part of the exec
// that succeeds, or one line when none does; a denial that is equal to one before is counted.
type Fold struct {
	searches map[int]*search // by thread
	order    []int           // of those threads
	denials  map[string]*repeat
	repeats  []*repeat
}

// search is the failed execs of one program in one directory after the other.
type search struct {
	first, last *Event
	n           int
	shown       bool
}

// repeat is a denial that came more than once.
type repeat struct {
	last       *Event
	n, printed int
}

// NewFold is one that has seen nothing.
func NewFold() *Fold {
	return &Fold{searches: map[int]*search{}, denials: map[string]*repeat{}}
}

// maxRepeats is how many different denials are remembered. What is new beyond that is shown each time.
const maxRepeats = 10_000

// Add takes the next event, and gives the lines that are complete by it. One that is not to be shown may end a search.
func (f *Fold) Add(e *Event, shown bool) []Line {
	if e.Denial != nil {
		return f.denial(e, shown)
	}
	s := f.searches[e.TID]
	if e.searches() {
		if s != nil && s.continues(e) {
			s.last, s.n = e, s.n+1
			return nil
		}
		lines := f.end(e.TID)
		f.searches[e.TID] = &search{first: e, last: e, n: 1, shown: shown}
		f.order = append(f.order, e.TID)
		return lines
	}
	lines := f.others(e)
	if s != nil && shown && e.Type == Exec && !e.Failed() && s.continues(e) {
		f.forget(e.TID)
		return append(lines, Line{Event: e, note: "(after " + count(s.n, "name", "names") + " in PATH)"})
	}
	lines = append(lines, f.end(e.TID)...)
	if shown {
		lines = append(lines, Line{Event: e})
	}
	return lines
}

// others are the lines of what the other threads of the process have searched, which are gone after an exec and at its end.
func (f *Fold) others(e *Event) []Line {
	if e.Failed() || e.Type != Exec && e.Type != Exit {
		return nil
	}
	var lines []Line
	for _, tid := range slices.Clone(f.order) {
		if tid != e.TID && f.searches[tid].first.PID == e.PID {
			lines = append(lines, f.end(tid)...)
		}
	}
	return lines
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// searches reports whether the event may be a step of execvp(3), which goes on after these errors.
func (e *Event) searches() bool {
	return e.Type == Exec && (e.Errno == "ENOENT" || e.Errno == "ENOTDIR") && e.Args.Reason == "" && (e.Args.Unread || path.IsAbs(e.Args.Path))
}

// continues reports whether the event is of the same program in another directory.
func (s *search) continues(e *Event) bool {
	if s.first.Args.Unread { // the source tells no paths: the same thread has done nothing else meanwhile
		return true
	}
	return path.IsAbs(e.Args.Path) && path.Base(e.Args.Path) == path.Base(s.first.Args.Path)
}

func (f *Fold) forget(tid int) {
	delete(f.searches, tid)
	f.order = slices.DeleteFunc(f.order, func(t int) bool { return t == tid })
}

// end is the line of a search that has found nothing.
func (f *Fold) end(tid int) []Line {
	s := f.searches[tid]
	if s == nil {
		return nil
	}
	f.forget(tid)
	switch {
	case !s.shown:
		return nil
	case s.n == 1:
		return []Line{{Event: s.first}}
	}
	return []Line{{Event: s.first, note: "(and " + count(s.n-1, "more name", "more names") + " in PATH)"}}
}

// denial counts. After the first, what is equal is told of when it is the 10th, the 100th and so on.
func (f *Fold) denial(e *Event, shown bool) []Line {
	if !shown {
		return nil
	}
	key := e.Comm + "\x00" + e.Text()
	r := f.denials[key]
	switch {
	case r == nil && len(f.denials) >= maxRepeats:
		return []Line{{Event: e}}
	case r == nil:
		r = &repeat{last: e, n: 1, printed: 1}
		f.denials[key] = r
		f.repeats = append(f.repeats, r)
		return []Line{{Event: e}}
	}
	r.last = e
	if r.n++; r.n < 10*r.printed {
		return nil
	}
	r.printed = r.n
	return []Line{{Event: e, short: true, note: fmt.Sprintf("(again, %d times by now)", r.n)}}
}

// Late are the lines of searches that have gone on since before that time: whoever searched does something else.
func (f *Fold) Late(before time.Time) []Line {
	var lines []Line
	for _, tid := range slices.Clone(f.order) {
		if f.searches[tid].last.Time.Before(before) {
			lines = append(lines, f.end(tid)...)
		}
	}
	return lines
}

// Holds reports whether lines wait for what comes next.
func (f *Fold) Holds() bool { return len(f.order) > 0 }

// End are the lines that are left when no event comes any more.
func (f *Fold) End() []Line {
	var lines []Line
	for len(f.order) > 0 {
		lines = append(lines, f.end(f.order[0])...)
	}
	for _, r := range f.repeats {
		if r.n > r.printed {
			lines = append(lines, Line{Event: r.last, short: true, note: fmt.Sprintf("(%d times in all)", r.n)})
		}
	}
	return lines
}

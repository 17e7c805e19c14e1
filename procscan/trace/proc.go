package trace

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan"
)

// Proc is the source for who may not load programs into the kernel: it looks at one process and its descendants in procfs
// again and again, and tells what differs. It stops nobody. Whatever lasts less than a look is missed, and which call made a
// difference is not known.
type Proc struct {
	proc  string
	root  atomic.Int64       // whom to follow, 0 until that is known
	self  *nsinspect.Process // what the process that is followed came from
	known map[int]*nsinspect.Process
	maps  map[int]nsinspect.IDMaps
}

// pollEvery is the pause between two looks.
const pollEvery = 2 * time.Millisecond

// OpenProc follows a process that [Proc.Follow] names, in the procfs at that directory.
func OpenProc(proc string) *Proc {
	return &Proc{proc: proc, known: map[int]*nsinspect.Process{}, maps: map[int]nsinspect.IDMaps{}}
}

// Name is [Source.Name].
func (p *Proc) Name() string { return "looking at /proc, which misses what is short" }

// Follow names the process.
func (p *Proc) Follow(pid int) { p.root.Store(int64(pid)) }

// Lost is [Source.Lost].
func (p *Proc) Lost() (Lost, error) { return Lost{Short: true}, nil }

// Close is [Source.Close].
func (p *Proc) Close() error { return nil }

// Run is [Source.Run].
func (p *Proc) Run(ctx context.Context, see func(*events.Event) error) error {
	for {
		over := ctx.Err() != nil // looked at once more
		if root := int(p.root.Load()); root != 0 {
			if err := p.look(root, see); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// look tells what has changed since the last time.
func (p *Proc) look(root int, see func(*events.Event) error) error {
	pids := p.descendants(root)
	self := os.Getpid()
	s, err := procscan.Scan(context.Background(), procscan.Options{Proc: p.proc, HostRoot: "/", Facts: procscan.Args, PIDs: append([]int{self}, pids...)})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	p.self = s.Process(self)
	for _, pid := range p.gone(s) {
		was := p.known[pid]
		delete(p.known, pid)
		delete(p.maps, pid)
		e := p.event(now, was, was)
		e.Type, e.Name = events.Exit, "exit"
		if err := see(e); err != nil {
			return err
		}
	}
	rows := make([]*nsinspect.Process, 0, len(s.Processes))
	for i := range s.Processes {
		if s.Processes[i].PID != self {
			rows = append(rows, &s.Processes[i])
		}
	}
	// Who made whom comes first.
	slices.SortFunc(rows, func(a, b *nsinspect.Process) int { return slices.Index(pids, a.PID) - slices.Index(pids, b.PID) })
	for _, row := range rows {
		for _, e := range p.changes(now, s, row) {
			if err := see(e); err != nil {
				return err
			}
		}
		p.known[row.PID] = row
	}
	return nil
}

// gone are the processes that are not there any more: a zombie has ended.
func (p *Proc) gone(s *nsinspect.Snapshot) []int {
	var list []int
	for pid, was := range p.known {
		if is := s.Process(pid); is == nil || is.StartTime != was.StartTime || is.State == "Z" {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// descendants are the process and all that come from it, parents first, by /proc/PID/task/TID/children. Whoever was known
// stays, also when its parent has ended.
func (p *Proc) descendants(root int) []int {
	list := []int{root}
	for pid := range p.known {
		if pid != root {
			list = append(list, pid)
		}
	}
	slices.Sort(list[1:])
	for i := 0; i < len(list); i++ {
		files, _ := filepath.Glob(p.proc + "/" + strconv.Itoa(list[i]) + "/task/*/children") // the pattern is right
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // it has ended
			}
			for word := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil && !slices.Contains(list, pid) {
					list = append(list, pid)
				}
			}
		}
	}
	return list
}

// changes are the events that lead from what was known of a process to what it is.
func (p *Proc) changes(now time.Time, s *nsinspect.Snapshot, is *nsinspect.Process) []*events.Event {
	if is.State == "Z" {
		return nil
	}
	var list []*events.Event
	was := p.known[is.PID]
	first := false
	add := func(t events.Type, name string) *events.Event {
		e := p.event(now, was, is)
		e.Type, e.Name = t, name
		list = append(list, e)
		return e
	}
	if was == nil {
		maker := p.known[is.PPID]
		if maker != nil {
			was = maker
			e := add(events.Clone, "clone")
			e.PID, e.TID, e.InsidePID, e.PPID, e.Comm = maker.PID, maker.PID, innermost(maker), maker.PPID, maker.Comm
			e.Args.Child, e.Args.ChildInside, e.Args.ChildParent, e.Result = is.PID, innermost(is), is.PPID, int64(is.PID)
			was = &nsinspect.Process{Namespaces: is.Namespaces, Comm: maker.Comm, Args: maker.Args, Cred: maker.Cred}
		} else if maker = p.self; maker != nil {
			first = true
			was = &nsinspect.Process{Namespaces: maker.Namespaces, Comm: is.Comm, Cred: maker.Cred}
		} else {
			was = &nsinspect.Process{Namespaces: is.Namespaces, Comm: is.Comm, Cred: is.Cred}
		}
	}
	named := func() {
		switch {
		case !slices.Equal(was.Args, is.Args) && len(is.Args) > 0:
			e := add(events.Exec, "exec")
			e.Args.Path, e.Args.Argv = is.Args[0], is.Args
		case was.Comm != is.Comm:
			add(events.Name, "prctl").Args.Name = is.Comm
		}
	}
	// The program that is followed was executed before it did anything; of others the namespaces come first as a rule.
	if first {
		named()
		for _, e := range list {
			e.Namespaces = was.Namespaces
		}
	}
	if is.Namespaces != was.Namespaces {
		add(events.Unshare, "namespaces")
	}
	p.mapChanges(s, is, add)
	if !first {
		named()
	}
	if was.Cred.UID != is.Cred.UID || was.Cred.GID != is.Cred.GID {
		e := add(events.Cred, "ids")
		e.Args.IDs = []int64{int64(is.Cred.UID.Effective), int64(is.Cred.GID.Effective)}
	}
	return list
}

// mapChanges adds the id maps that were not there before: written since, or of a user namespace that was entered, which looks
// the same.
func (p *Proc) mapChanges(s *nsinspect.Snapshot, is *nsinspect.Process, add func(events.Type, string) *events.Event) {
	maps := s.Maps(is.IDMaps)
	if maps == nil {
		return
	}
	old, known := p.maps[is.PID]
	p.maps[is.PID] = *maps
	if !known {
		old = p.maps[is.PPID]
		if maker := p.known[is.PPID]; maker == nil && p.self != nil {
			if own := s.Maps(p.self.IDMaps); own != nil {
				old = *own
			}
		}
	}
	for _, m := range []struct {
		file    string
		was, is idmap.Map
	}{{"uid_map", old.UID, maps.UID}, {"gid_map", old.GID, maps.GID}} {
		if len(m.is) > 0 && !m.was.Equal(m.is) {
			e := add(events.Map, "map")
			e.Args.File, e.Args.Content, e.Args.Target, e.Args.TargetNS = m.file, m.is.Format(), is.PID, is.Namespaces.User
		}
	}
}

// event is one of a process that was so and is so now.
func (p *Proc) event(now time.Time, was, is *nsinspect.Process) *events.Event {
	e := &events.Event{
		Time: now, PID: is.PID, TID: is.PID, InsidePID: innermost(is), PPID: is.PPID, Comm: is.Comm, Flags: []string{},
		Before: is.Namespaces, Namespaces: is.Namespaces, UID: is.Cred.UID, GID: is.Cred.GID,
	}
	if was != nil {
		e.Before = was.Namespaces
	}
	return e
}

func innermost(p *nsinspect.Process) int {
	if len(p.PIDs) == 0 {
		return p.PID
	}
	return p.PIDs[len(p.PIDs)-1]
}

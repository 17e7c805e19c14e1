package nsinspect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Target is what a TARGET on the command line stands for.
type Target struct {
	Host      bool       // "host": the observer's side
	Process   *Process   // the process that answers for it: the PID itself, a container's init, a namespace's leader; nil for a namespace without processes
	Namespace Inode      // when a namespace was named
	Type      Type       // of Namespace
	Container *Container // when a container was named
}

// The numbers that a TARGET may be: a PID is at most PID_MAX_LIMIT (include/linux/threads.h), the kernel numbers
// namespaces from PROC_DYNAMIC_FIRST (fs/proc/generic.c) on and keeps the numbers just below it for the initial ones.
const (
	maxPID        = 4194304
	firstNSInode  = 4026531832
	lastNSInode   = 4294967295
	hostTarget    = "host"
	noSuchTarget  = "no container or namespace named %q"
	noSuchProcess = "no process %d"
)

// Resolve finds what arg stands for in s: a PID (a number up to 4194304 is one and nothing else), a namespace (its
// inode, or TYPE:INODE), "host", or a container: its name, its id or a unique prefix of its id, ENGINE:NAME, ENGINE:ID,
// or COMM/PID for what no engine explains (only the PID decides). A path to a namespace is the caller's to open;
// [Snapshot.ResolveNamespace] takes what it found.
//
// Whatever arg matches more than once is an error that lists the candidates.
func Resolve(s *Snapshot, arg string) (Target, error) {
	if arg == hostTarget {
		return Target{Host: true, Process: s.Process(s.Observer.PID)}, nil
	}
	if digits(arg) {
		n, err := strconv.ParseUint(arg, 10, 64)
		switch {
		case err == nil && n <= maxPID:
			p := s.Process(int(n))
			if p == nil {
				return Target{}, fmt.Errorf(noSuchProcess, n)
			}
			return Target{Process: p}, nil
		case err == nil && n >= firstNSInode && n <= lastNSInode:
			return s.ResolveNamespace("", Inode(n))
		}
		return s.containerTarget(arg, s.byIDPrefix(arg))
	}
	if kind, number, ok := strings.Cut(arg, ":"); ok && slices.Contains(Types(), Type(kind)) {
		number = strings.TrimSuffix(strings.TrimPrefix(number, "["), "]")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			return s.ResolveNamespace(Type(kind), Inode(n))
		}
	}
	return s.containerTarget(arg, s.named(arg))
}

// ResolveNamespace is the Target of a namespace: of kind t, or of any when t is "". It need not be in the snapshot's
// list of namespaces as long as a process is in it.
func (s *Snapshot) ResolveNamespace(t Type, inode Inode) (Target, error) {
	if n := s.Namespace(inode); n != nil && (t == "" || n.Type == t) {
		return Target{Namespace: inode, Type: n.Type, Process: s.Process(n.Leader)}, nil
	}
	for _, kind := range Types() {
		if t != "" && t != kind {
			continue
		}
		if leader := s.leaderOf(kind, inode); leader != nil {
			return Target{Namespace: inode, Type: kind, Process: leader}, nil
		}
	}
	what := "no"
	if s.Namespaces == nil { // only processes were read: it may be there without one
		what = "no process is in"
	}
	if t != "" {
		what += " " + string(t)
	}
	return Target{}, fmt.Errorf("%s namespace %d", what, inode)
}

// leaderOf is the process that stands for a namespace: PID 1 of a PID namespace, else the oldest process; nil when no
// process is in it.
func (s *Snapshot) leaderOf(t Type, inode Inode) *Process {
	var best *Process
	rank := func(p *Process) int {
		if t == PID {
			return notInit(p)
		}
		return 0
	}
	for i := range s.Processes {
		p := &s.Processes[i]
		if inode == 0 || p.Namespaces.Of(t) != inode {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(rank(p), rank(best)), cmp.Compare(p.StartTime, best.StartTime)) < 0 {
			best = p
		}
	}
	return best
}

// named lists the containers that arg names, by the strongest way of naming that finds any.
func (s *Snapshot) named(arg string) []int {
	if found := s.byPIDOfName(arg); len(found) > 0 {
		return found
	}
	if found := s.containers(func(c *Container) bool { return c.is(arg) }); len(found) > 0 {
		return found
	}
	engine, name, ok := strings.Cut(arg, ":")
	if !ok {
		return s.byIDPrefix(arg)
	}
	for _, match := range []func(*Container) bool{
		// An id is that of one container; another may be called so.
		func(c *Container) bool { return c.Engine == engine && name != "" && c.ID == name },
		func(c *Container) bool { return c.Engine == engine && c.is(name) },
	} {
		if found := s.containers(match); len(found) > 0 {
			return found
		}
	}
	return s.containers(func(c *Container) bool {
		return name != "" && c.Engine == engine && strings.HasPrefix(c.ID, name)
	})
}

// is reports whether an engine calls c by that name or id.
func (c *Container) is(name string) bool {
	return c.Engine != "" && name != "" && (c.ID == name || c.Name == name)
}

// byPIDOfName finds the group that COMM/PID names, whatever COMM is: a process may have changed its name since.
func (s *Snapshot) byPIDOfName(arg string) []int {
	slash := strings.LastIndexByte(arg, '/')
	if slash < 0 || !digits(arg[slash+1:]) {
		return nil
	}
	pid, err := strconv.Atoi(arg[slash+1:])
	if err != nil {
		return nil
	}
	p := s.Process(pid)
	if p == nil {
		return nil
	}
	if c := s.ContainerOf(p); c != nil && c.Engine == "" {
		return []int{p.Container}
	}
	return nil
}

func (s *Snapshot) byIDPrefix(prefix string) []int {
	return s.containers(func(c *Container) bool {
		return prefix != "" && c.Engine != "" && strings.HasPrefix(c.ID, prefix)
	})
}

func (s *Snapshot) containers(match func(*Container) bool) []int {
	var found []int
	for i := range s.Containers {
		if match(&s.Containers[i]) {
			found = append(found, i)
		}
	}
	return found
}

func (s *Snapshot) containerTarget(arg string, found []int) (Target, error) {
	switch len(found) {
	case 0:
		return Target{}, fmt.Errorf(noSuchTarget, arg)
	case 1:
		c := &s.Containers[found[0]]
		return Target{Container: c, Process: s.Process(c.InitPID)}, nil
	}
	candidates := make([]string, len(found))
	for i, n := range found {
		c := &s.Containers[n]
		candidates[i] = c.Engine + ":" + c.ID
	}
	return Target{}, fmt.Errorf("%q is ambiguous: %s", arg, strings.Join(candidates, ", "))
}

// Viewer is how nsview names a container: a TARGET that stands for it and for nothing else in s.
func (s *Snapshot) Viewer(container int) string {
	c := &s.Containers[container]
	viewer := c.Ref().String()
	if c.Engine == "" {
		return viewer
	}
	if found := s.named(viewer); len(found) == 1 && found[0] == container {
		return viewer
	}
	return c.Engine + ":" + c.ID
}

// Viewers are the Viewer of every container, found in one go.
func (s *Snapshot) Viewers() []string {
	used := make(map[string]int, 2*len(s.Containers))
	for i := range s.Containers {
		c := &s.Containers[i]
		used[c.Engine+":"+c.Name]++
		if c.ID != c.Name {
			used[c.Engine+":"+c.ID]++
		}
	}
	viewers := make([]string, len(s.Containers))
	for i := range s.Containers {
		viewers[i] = s.Containers[i].Ref().String()
		// A slash may make COMM/PID of it.
		if s.Containers[i].Engine != "" && (used[viewers[i]] > 1 || strings.Contains(viewers[i], "/")) {
			viewers[i] = s.Viewer(i)
		}
	}
	return viewers
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

package nsinspect

import (
	"cmp"
	"fmt"
	"slices"
)

// Group finds the containers of s. It fills s.Containers, Process.Container and Namespace.Container, and may be called
// again with other claims.
//
// A claim without a process is a container that is not running. Any other makes its process, the processes in the same
// user, PID and mount namespace (where one of these is not the host's), and the descendants of all that started below it,
// a container. A nested claim keeps its own. What no claim explains and is in another user or PID namespace than the host
// is grouped by user, PID and mount namespace, so that a group has one view of ids, PIDs and files: the containers of a
// pod that share a PID namespace are separate. Where the observer may not read namespaces, id maps, PID levels and parents
// stand in for them.
//
// The host's namespaces are the observer's, but for the PID namespace: it is the one that the procfs shows.
//
// A host process with a mount namespace of its own (many system services) is not a container.
func Group(s *Snapshot, claims []Claim) {
	g := grouper{s: s, pids: make([]int, len(s.Processes))}
	for i := range s.Processes {
		s.Processes[i].Container = -1
		g.pids[i] = s.Processes[i].PID
	}
	g.readObserver()
	g.claimed(claims)
	g.unexplained()
	g.finish()
}

// stateRunning is the state of a container of which only the kernel tells.
const stateRunning = "running"

// viewKey is what makes processes see ids, PIDs and files alike.
type viewKey struct{ user, pid, mnt Inode }

type grouper struct {
	s    *Snapshot
	pids []int // of s.Processes: to search them goes through less memory than to search those

	host      viewKey
	hostDepth int // PID namespaces that the procfs shows the observer to be in

	groups  []group
	stopped []*Claim
}

// group is a container in the making.
type group struct {
	claim   *Claim
	init    int // index in s.Processes
	members []int
}

// index is where in s.Processes a process is, -1 when it is not there.
func (g *grouper) index(pid int) int {
	if i, ok := slices.BinarySearch(g.pids, pid); ok {
		return i
	}
	return -1
}

func (g *grouper) readObserver() {
	o := &g.s.Observer
	g.host = viewKey{o.UserNS, o.PIDNS, o.MntNS}
	g.hostDepth = 1
	if o.ProcPIDNS != 0 && o.ProcPIDNS != o.PIDNS {
		g.host.pid = o.ProcPIDNS // nsview is in a container and was given a procfs of the host
		return
	}
	if i := g.index(o.PID); i >= 0 && g.s.Processes[i].Namespaces.PID == o.PIDNS {
		g.hostDepth = max(1, len(g.s.Processes[i].PIDs))
	}
}

func (g *grouper) keyOf(i int) viewKey {
	n := &g.s.Processes[i].Namespaces
	return viewKey{n.User, n.PID, n.Mnt}
}

func (k viewKey) known() bool { return k.user != 0 && k.pid != 0 && k.mnt != 0 }

// join makes process i a member of group n.
func (g *grouper) join(i, n int) {
	g.s.Processes[i].Container = n
	g.groups[n].members = append(g.groups[n].members, i)
}

// claimed makes a group of every claim that is true of a process of the snapshot.
func (g *grouper) claimed(claims []Claim) {
	byKey := make(map[viewKey]int)
	for c := range claims {
		if claims[c].InitPID == 0 {
			g.stopped = append(g.stopped, &claims[c])
			continue
		}
		i := g.index(claims[c].InitPID)
		if i < 0 || g.s.Processes[i].StartTime != claims[c].StartTime || g.s.Processes[i].Container >= 0 {
			continue
		}
		n := len(g.groups)
		g.groups = append(g.groups, group{claim: &claims[c], init: i})
		g.join(i, n)
		if key := g.keyOf(i); key.known() && key != g.host {
			if _, taken := byKey[key]; taken {
				n = -1 // two claims on the same namespaces: only descent tells whose a process is
			}
			byKey[key] = n
		}
	}
	if len(g.groups) == 0 {
		return
	}
	for i := range g.s.Processes {
		if n, ok := byKey[g.keyOf(i)]; ok && n >= 0 && g.s.Processes[i].Container < 0 {
			g.join(i, n)
		}
	}
	g.inherit()
}

// inherit gives each process that is in no group that of its nearest ancestor in one. Every chain of parents is walked
// once, however long a fork bomb made it.
func (g *grouper) inherit() {
	const unknown, none = -2, -1
	found := make([]int, len(g.s.Processes))
	for i := range found {
		found[i] = unknown
		if n := g.s.Processes[i].Container; n >= 0 {
			found[i] = n
		}
	}
	var chain []int
	for i := range found {
		chain = chain[:0]
		at, n := i, none
		for found[at] == unknown {
			found[at] = none // ends a walk in a circle
			chain = append(chain, at)
			up := g.index(g.s.Processes[at].PPID)
			if up < 0 {
				break
			}
			at = up
		}
		if found[at] >= 0 {
			n = found[at]
		}
		for _, member := range chain {
			if found[member] = n; n >= 0 {
				g.join(member, n)
			}
		}
	}
}

// unexplained groups what no claim explains.
func (g *grouper) unexplained() {
	type groupKey struct {
		viewKey
		top int // for processes whose namespaces are unreadable, and one more than that
	}
	byKey := make(map[groupKey]int)
	tops := make(map[int]int)
	var zombies []int
	for i := range g.s.Processes {
		p := &g.s.Processes[i]
		if p.Container >= 0 || p.Kthread || !g.apart(i) {
			continue
		}
		key := groupKey{viewKey: g.keyOf(i)}
		switch {
		case p.Namespaces.User == 0 || p.Namespaces.PID == 0:
			key = groupKey{top: g.topmost(i, tops) + 1}
		case p.Namespaces.Mnt == 0:
			zombies = append(zombies, i)
			continue
		}
		n, ok := byKey[key]
		if !ok {
			n = len(g.groups)
			byKey[key] = n
			g.groups = append(g.groups, group{init: -1})
		}
		g.join(i, n)
	}
	g.bury(zombies)
}

// apart reports whether process i is in another user or PID namespace than the observer, by whatever is readable.
func (g *grouper) apart(i int) bool {
	p := &g.s.Processes[i]
	differs := func(a, b Inode) bool { return a != 0 && b != 0 && a != b }
	if differs(p.Namespaces.User, g.host.user) || differs(p.Namespaces.PID, g.host.pid) {
		return true
	}
	if p.Namespaces.User == 0 && g.s.otherMaps(p.IDMaps, g.s.Observer.IDMaps) {
		return true
	}
	return p.Namespaces.PID == 0 && len(p.PIDs) > g.hostDepth
}

// topmost is the farthest ancestor of process i that has the same id maps and is as deep in PID namespaces: what stands
// for the namespaces of a process that the observer may not read. known remembers what was found.
func (g *grouper) topmost(i int, known map[int]int) int {
	var chain []int
	top := i
	for range len(g.s.Processes) {
		if t, ok := known[top]; ok {
			top = t
			break
		}
		chain = append(chain, top)
		up := g.index(g.s.Processes[top].PPID)
		if up < 0 || !g.alike(top, up) {
			break
		}
		top = up
	}
	for _, member := range chain {
		known[member] = top
	}
	return top
}

// alike reports whether nothing that is readable tells the namespaces of a process from its parent's.
func (g *grouper) alike(child, parent int) bool {
	p, q := &g.s.Processes[child], &g.s.Processes[parent]
	claimed := q.Container >= 0 && g.groups[q.Container].claim != nil
	return !claimed && g.apart(parent) && len(p.PIDs) == len(q.PIDs) && !g.s.otherMaps(p.IDMaps, q.IDMaps)
}

// bury puts zombies where they belonged: a zombie has left its mount namespace, so that its parent's group is taken when
// they share a PID and a user namespace, else the first group that does.
func (g *grouper) bury(zombies []int) {
	type key struct{ user, pid Inode }
	of := func(i int) key {
		return key{g.s.Processes[i].Namespaces.User, g.s.Processes[i].Namespaces.PID}
	}
	first := make(map[key]int)
	for n := range g.groups {
		for _, i := range g.groups[n].members {
			if _, ok := first[of(i)]; !ok {
				first[of(i)] = n
			}
		}
	}
	for _, i := range zombies {
		n, ok := first[of(i)]
		if up := g.index(g.s.Processes[i].PPID); up >= 0 && g.s.Processes[up].Container >= 0 && of(up) == of(i) {
			n, ok = g.s.Processes[up].Container, true
		}
		if !ok {
			n = len(g.groups)
			g.groups = append(g.groups, group{init: -1})
			first[of(i)] = n
		}
		g.join(i, n)
	}
}

// finish turns the groups into s.Containers, ordered by the PIDs of their init processes; those that are not running come
// last.
func (g *grouper) finish() {
	for n := range g.groups {
		if g.groups[n].init < 0 {
			g.groups[n].init = g.leader(g.groups[n].members)
		}
	}
	slices.SortStableFunc(g.groups, func(a, b group) int {
		return cmp.Compare(g.s.Processes[a.init].PID, g.s.Processes[b.init].PID)
	})
	g.s.Containers = make([]Container, len(g.groups), len(g.groups)+len(g.stopped))
	for n, gr := range g.groups {
		p := &g.s.Processes[gr.init]
		c := Container{
			Name: fmt.Sprintf("%s/%d", p.Comm, p.PID), InitPID: p.PID, Processes: len(gr.members),
			Namespaces: p.Namespaces, IDMaps: p.IDMaps, MountTable: p.MountTable, Names: p.Names,
			EngineFacts: EngineFacts{State: stateRunning},
		}
		if gr.claim != nil {
			c.Engine, c.ID, c.Name, c.EngineFacts = gr.claim.Engine, gr.claim.ID, gr.claim.Name, gr.claim.EngineFacts
		}
		g.s.Containers[n] = c
		for _, i := range gr.members {
			g.s.Processes[i].Container = n
		}
	}
	for _, claim := range g.stopped {
		g.s.Containers = append(g.s.Containers, Container{
			Engine: claim.Engine, ID: claim.ID, Name: claim.Name, EngineFacts: claim.EngineFacts, IDMaps: -1, MountTable: -1, Names: -1,
		})
	}
	for i := range g.s.Namespaces {
		g.s.Namespaces[i].Container = nil
		if at := g.index(g.s.Namespaces[i].Leader); at >= 0 && g.s.Processes[at].Container >= 0 {
			ref := g.s.Containers[g.s.Processes[at].Container].Ref()
			g.s.Namespaces[i].Container = &ref
		}
	}
}

// leader is the member that stands for the group: PID 1 inside, else the oldest.
func (g *grouper) leader(members []int) int {
	return slices.MinFunc(members, func(a, b int) int {
		p, q := &g.s.Processes[a], &g.s.Processes[b]
		return cmp.Or(
			cmp.Compare(notInit(p), notInit(q)),
			cmp.Compare(p.StartTime, q.StartTime),
			cmp.Compare(p.PID, q.PID))
	})
}

// notInit is 0 for PID 1 of a PID namespace below the observer's, else 1.
func notInit(p *Process) int {
	if len(p.PIDs) > 1 && p.PIDs[len(p.PIDs)-1] == 1 {
		return 0
	}
	return 1
}

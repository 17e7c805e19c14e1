package procscan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// readGraph fills Snapshot.Namespaces: the namespaces of the snapshot's processes, those that something else holds
// (pins.go), and their parents and owners as far up as the observer may look. The relations come from ioctl_nsfs(2).
//
// What it cannot find, because only a file descriptor could be asked: network namespaces that live by a socket alone
// (SIOCGSKNS needs the socket, and to take a copy of it with pidfd_getfd(2) would hold what it belongs to), and
// namespaces that live by a superblock (a procfs, mqueue, sysfs, or a file system mounted in a user namespace), a
// detached mount tree or a kernel object (a tun device, a key, a fsopen(2) context) alone.
func (s *scanner) readGraph(ctx context.Context) {
	g := newGrapher(s)
	g.pinMounts(ctx)
	if s.opts.Facts&FDPins != 0 {
		g.pinFDs(ctx)
	}
	g.visitKnown(ctx)
	g.reportUnasked(ctx)
	if ctx.Err() == nil {
		g.pinRelations()
	}
	s.snap.Namespaces = g.list()
}

// readRelations fills Snapshot.Namespaces with the namespaces of the snapshot's processes and those above them.
func (s *scanner) readRelations(ctx context.Context) {
	g := newGrapher(s)
	g.ask(ctx)
	g.reportUnasked(ctx)
	s.snap.Namespaces = g.list()
}

// grapher collects namespaces.
type grapher struct {
	s     *scanner
	nodes map[nodeKey]*node

	visited map[nsinspect.Inode]bool // mount namespaces of which all mounts have been seen
	stuck   map[int]bool             // processes in whose root a path gave no answer
}

// newGrapher begins with the namespaces that processes are in.
func newGrapher(s *scanner) *grapher {
	g := &grapher{s: s, nodes: map[nodeKey]*node{}, visited: map[nsinspect.Inode]bool{}, stuck: map[int]bool{}}
	g.addProcesses()
	g.tell()
	return g
}

// nodeKey names a namespace. Inode numbers are unique among all kinds, but that of a namespace that ends is soon given
// to the next, of whatever kind.
type nodeKey struct {
	kind  nsinspect.Type
	inode nsinspect.Inode
}

// node is a namespace in the making.
type node struct {
	ns     nsinspect.Namespace
	rank   int       // of its type, in the order in which they are listed
	places []nsPlace // where it can be opened
	tried  int       // how many of these have been tried
	failed error     // why the last of these failed, errMoved when that is no matter

	asked bool // it is known what ioctl_nsfs(2) tells
	told  bool // and that by the BPF iterator, which leaves what is above to be asked for

	leader *nsinspect.Process
	isInit bool // leader is PID 1 in this PID namespace
}

// nsPlace is somewhere a namespace can be opened: a link of a process that leads nowhere else, or a place of which a
// process decides what it is.
type nsPlace struct {
	pid  int
	name string // below /proc/PID
	tid  int    // of the task that name is a link of, when that is not the process's first
	path string // when not empty: a path in the root of the process instead
	free bool   // the process may put there what it likes
}

// maxPlaces is how many places are kept for each namespace: the process at the first may end before it is opened.
const maxPlaces = 4

// node is the node of the namespace, made when it is new.
func (g *grapher) node(t nsinspect.Type, inode nsinspect.Inode) *node {
	key := nodeKey{t, inode}
	n, ok := g.nodes[key]
	if !ok {
		n = &node{rank: slices.Index(nsinspect.Types(), t), ns: nsinspect.Namespace{Type: t, Inode: inode, OwnerUID: idmap.UnmappedKernel, Pins: []nsinspect.Pin{}, IDMaps: -1}}
		g.nodes[key] = n
	}
	return n
}

func (n *node) place(p nsPlace) {
	if len(n.places) < maxPlaces {
		n.places = append(n.places, p)
	}
}

func (n *node) pin(p nsinspect.Pin) { n.ns.Pins = append(n.ns.Pins, p) }

// addProcesses adds the namespaces that the links of processes and threads name.
func (g *grapher) addProcesses() {
	links := nsLinks()
	for i := range g.s.snap.Processes {
		p := &g.s.snap.Processes[i]
		for _, l := range links {
			inode := *l.of(&p.Namespaces)
			if inode == 0 {
				continue
			}
			if l.forChildren() {
				if inode != p.Namespaces.Of(l.kind) {
					g.pinTask(l, inode, nsinspect.Pin{Kind: nsinspect.PinForChildren, PID: p.PID})
				}
				continue
			}
			n := g.node(l.kind, inode)
			n.place(nsPlace{pid: p.PID, name: l.file})
			n.join(p)
		}
		for j := range p.Threads {
			g.addThread(links, p, &p.Threads[j])
		}
	}
	for _, n := range g.nodes {
		if n.leader == nil {
			continue
		}
		n.ns.Leader = n.leader.PID
		if n.ns.Type == nsinspect.User {
			n.ns.IDMaps = n.leader.IDMaps
		}
	}
	if n := g.nodes[nodeKey{nsinspect.User, g.s.snap.Observer.UserNS}]; n != nil {
		n.ns.IDMaps = g.s.snap.Observer.IDMaps
	}
}

// join counts a process, and finds the leader: PID 1 of a PID namespace, else the process that started first.
func (n *node) join(p *nsinspect.Process) {
	n.ns.Processes++
	isInit := n.ns.Type == nsinspect.PID && len(p.PIDs) > 0 && p.PIDs[len(p.PIDs)-1] == 1
	switch {
	case n.leader == nil, isInit && !n.isInit:
	case n.isInit && !isInit:
		return
	case cmp.Or(cmp.Compare(p.StartTime, n.leader.StartTime), cmp.Compare(p.PID, n.leader.PID)) >= 0:
		return
	}
	n.leader, n.isInit = p, isInit
}

// addThread adds what only a thread is in, or would put its children in.
func (g *grapher) addThread(links []nsLink, p *nsinspect.Process, t *nsinspect.Thread) {
	for _, l := range links {
		inode := *l.of(&t.Namespaces)
		if inode == 0 || inode == *l.of(&p.Namespaces) || inode == p.Namespaces.Of(l.kind) {
			continue
		}
		switch {
		case !l.forChildren():
			g.pinTask(l, inode, nsinspect.Pin{Kind: nsinspect.PinThread, PID: p.PID, TID: t.TID})
		case inode != t.Namespaces.Of(l.kind):
			g.pinTask(l, inode, nsinspect.Pin{Kind: nsinspect.PinForChildren, PID: p.PID, TID: t.TID})
		}
	}
}

// pinTask adds a namespace that a task holds without its process being in it.
func (g *grapher) pinTask(l nsLink, inode nsinspect.Inode, pin nsinspect.Pin) {
	n := g.node(l.kind, inode)
	n.pin(pin)
	name := l.file
	if pin.TID != 0 {
		name = fmt.Sprintf("task/%d/%s", pin.TID, l.file)
	}
	n.place(nsPlace{pid: pin.PID, tid: pin.TID, name: name})
}

func (l *nsLink) forChildren() bool {
	return l.file == "ns/pid_for_children" || l.file == "ns/time_for_children"
}

// ask opens every namespace that has not been asked yet, and can be, and asks for its relations.
func (g *grapher) ask(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	for _, n := range g.sorted() {
		if ctx.Err() != nil {
			return
		}
		if n.asked || n.tried == len(n.places) {
			continue
		}
		if f := g.open(ctx, n); f != nil {
			g.questions(n, f)
			f.close()
		}
	}
	g.askAbove(ctx)
}

// errNoPlace is about a namespace of which only the mount that holds it is known.
var errNoPlace = errors.New("it is mounted where the root of no process shows it")

// open opens a namespace at the first of its places where it is, nil when that is nowhere.
func (g *grapher) open(ctx context.Context, n *node) *nsFile {
	for _, p := range n.places[n.tried:] {
		n.tried++
		f, err := g.openAt(ctx, p)
		if err == nil && f.is(n) {
			return f
		}
		switch {
		case err == nil:
			f.close()
			err = errMoved
		case !g.s.exists(p.pid):
			// The kernel says EACCES, not ESRCH, for a link of a process that ended after the link was looked up.
			err = errMoved
		case p.path == "" && endedErr(err): // a zombie has no links, and descriptors come and go
			err = errMoved
		}
		if p.path != "" && errors.Is(err, errMoved) {
			err = errNoPlace // something else is mounted there, for that process
		}
		n.failed = err
	}
	return nil
}

// reportUnasked says which namespaces are there of which no relations are known.
func (g *grapher) reportUnasked(ctx context.Context) {
	if ctx.Err() != nil {
		return // most were not come to, which one gap says
	}
	for _, n := range g.sorted() {
		if n.asked || errors.Is(n.failed, errMoved) {
			continue
		}
		g.gap(n, "relations", cmp.Or(n.failed, errNoPlace))
	}
}

// is says whether an open namespace is the one that n is about.
func (f *nsFile) is(n *node) bool {
	if f.inode != n.ns.Inode {
		return false
	}
	t, err := f.typ()
	return err == nil && t == n.ns.Type
}

// exists says whether there still is a process with that PID.
func (s *scanner) exists(pid int) bool {
	return unix.Faccessat(s.procFD, procName(pid, "stat"), unix.F_OK, 0) == nil
}

func (g *grapher) openAt(ctx context.Context, p nsPlace) (*nsFile, error) {
	switch {
	case p.path != "":
		return g.openPath(ctx, p)
	case p.free:
		return g.openFree(g.s.procPath(p.pid, p.name))
	}
	f, err := openNS(g.s.procPath(p.pid, p.name))
	if errors.Is(err, unix.ENOENT) && strings.HasSuffix(p.name, "ns/pid_for_children") && g.s.samePIDs {
		if p.tid != 0 {
			return childPIDNS(p.tid, unix.PIDFD_THREAD)
		}
		return childPIDNS(p.pid, 0)
	}
	return f, err
}

// questions asks a namespace for all that ioctl_nsfs(2) tells, and its relations in turn. A user namespace's owner is
// its parent.
func (g *grapher) questions(n *node, f *nsFile) {
	n.asked, n.told = true, false
	n.ns.ID, _ = f.id() // Linux 6.18
	switch n.ns.Type {
	case nsinspect.Mnt:
		n.ns.MntID, _ = f.mntID() // Linux 6.11
	case nsinspect.User:
		if uid, err := f.ownerUID(); err != nil {
			g.gap(n, "owner uid", err)
		} else {
			n.ns.OwnerUID = g.ownerUID(n, uid)
		}
	case nsinspect.PID:
		n.ns.Parent = g.relation(n, nsinspect.PID, f.parent)
	}
	n.ns.OwnerUserNS = g.relation(n, nsinspect.User, f.owner)
	if n.ns.Type == nsinspect.User {
		n.ns.Parent = n.ns.OwnerUserNS
	}
}

// relation follows one relation. EPERM is no gap: there is nothing above, or nothing that the observer may see.
func (g *grapher) relation(n *node, t nsinspect.Type, follow func() (*nsFile, error)) nsinspect.Inode {
	f, err := follow()
	if errors.Is(err, unix.EPERM) {
		return 0
	}
	if err != nil {
		g.gap(n, "relations", err)
		return 0
	}
	defer f.close()
	if above := g.node(t, f.inode); !above.asked {
		g.questions(above, f)
	}
	return f.inode
}

// pinRelations adds what the relations hold: a namespace lives as long as its children and what it owns.
func (g *grapher) pinRelations() {
	for _, n := range g.sorted() {
		if parent := g.nodes[nodeKey{n.ns.Type, n.ns.Parent}]; parent != nil {
			parent.pin(nsinspect.Pin{Kind: nsinspect.PinChild, Inode: n.ns.Inode})
		}
		if owner := g.nodes[nodeKey{nsinspect.User, n.ns.OwnerUserNS}]; owner != nil && n.ns.Type != nsinspect.User {
			owner.pin(nsinspect.Pin{Kind: nsinspect.PinOwned, Inode: n.ns.Inode, Type: n.ns.Type})
		}
	}
}

func (g *grapher) list() []nsinspect.Namespace {
	out := make([]nsinspect.Namespace, 0, len(g.nodes))
	for _, n := range g.sorted() {
		out = append(out, n.ns)
	}
	return out
}

// sorted is all nodes, by type and inode.
func (g *grapher) sorted() []*node {
	out := make([]*node, 0, len(g.nodes))
	for _, n := range g.nodes {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.ns.Inode, b.ns.Inode))
	})
	return out
}

func (g *grapher) gap(n *node, fact string, err error) {
	g.s.gap(nsinspect.Gap{Subject: n.String(), Fact: fact, Error: errText(err), Hint: hintFor(err)})
}

// String is what a gap calls the namespace.
func (n *node) String() string { return fmt.Sprintf("%s namespace %d", n.ns.Type, n.ns.Inode) }

// ownerUID is what NS_GET_OWNER_UID said of n, judged as every other id is (idJudge).
func (g *grapher) ownerUID(n *node, uid uint32) idmap.Kernel {
	j := &g.s.ids.uid
	if g.s.ids.initial || idmap.Kernel(uid) != j.overflow {
		return idmap.Kernel(uid)
	}
	if j.covered {
		g.s.gap(overflowGap(0, n.String()))
	}
	return idmap.UnmappedKernel
}

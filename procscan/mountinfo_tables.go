package procscan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// mountTables is what readTables found.
type mountTables struct {
	tables   []nsinspect.MountTable
	of       []int // index in tables of every process of the snapshot, -1 unknown
	observer int   // of the observer, -1 unknown
}

// readMounts fills Snapshot.MountTables and the indices into it.
func (s *scanner) readMounts(ctx context.Context) {
	t := s.mountTables(ctx)
	s.readMountMaps(t.tables)
	s.snap.MountTables = t.tables
	s.snap.Observer.MountTable = t.observer
	s.readRootMounts(ctx, t.tables)
	for i := range s.snap.Processes {
		s.snap.Processes[i].MountTable = t.of[i]
	}
}

// mountTables reads mountinfo once for every mount namespace and root, and once for a Scan: the pins may need it too.
func (s *scanner) mountTables(ctx context.Context) *mountTables {
	if s.tables == nil {
		s.tables = newTableReader(s, nil).read(ctx)
	}
	return s.tables
}

// mountView is what makes two processes read the same mountinfo: it lists the mounts of the namespace that are below
// the root.
type mountView struct {
	mnt  nsinspect.Inode
	root string
}

// firstMount is the first line of a mountinfo. It stands for the mount view of a process whose links the observer may
// not read, at the price of one short read: a mount is in one mount namespace only, and its mount point as seen from
// two roots is spelled the same only when they are one root.
type firstMount struct {
	id, parent       int
	dev, root, point string
}

func firstOf(mounts []nsinspect.Mount) firstMount {
	if len(mounts) == 0 {
		return firstMount{}
	}
	m := &mounts[0]
	return firstMount{m.ID, m.Parent, m.Dev, m.Root, m.Point}
}

type tableReader struct {
	s       *scanner
	skip    map[nsinspect.Inode]bool // mount namespaces that are not wanted
	out     mountTables
	byView  map[mountView]int
	byFirst map[firstMount]int
}

func newTableReader(s *scanner, skip map[nsinspect.Inode]bool) *tableReader {
	return &tableReader{s: s, skip: skip, byView: map[mountView]int{}, byFirst: map[firstMount]int{}}
}

// mountGroup is processes that share a mount view.
type mountGroup struct {
	view    mountView
	members []int // indices in Snapshot.Processes
}

func (r *tableReader) read(ctx context.Context) *mountTables {
	ps := r.s.snap.Processes
	r.out = mountTables{tables: []nsinspect.MountTable{}, of: make([]int, len(ps)), observer: -1}
	groups, rest := r.group()
	for _, g := range groups {
		if ctx.Err() != nil {
			break
		}
		table := r.readGroup(g)
		for _, i := range g.members {
			r.out.of[i] = table
		}
	}
	r.readObserver()
	for _, i := range rest {
		if ctx.Err() != nil {
			break
		}
		r.out.of[i] = r.readUnlinked(ps[i].PID)
	}
	r.nameTables()
	return &r.out
}

// group sorts the processes by mount view; rest are those whose view the observer cannot tell.
func (r *tableReader) group() (groups []*mountGroup, rest []int) {
	byView := map[mountView]*mountGroup{}
	for i := range r.s.snap.Processes {
		p := &r.s.snap.Processes[i]
		r.out.of[i] = -1
		if p.Namespaces.Mnt != 0 && r.skip[p.Namespaces.Mnt] {
			continue
		}
		if p.Namespaces.Mnt != 0 && p.Root == "" {
			p.Root, _ = r.s.readlinkProc(p.PID, "root") // refused: the first line tells
		}
		view := mountView{p.Namespaces.Mnt, p.Root}
		if view.mnt == 0 || view.root == "" {
			rest = append(rest, i)
			continue
		}
		g := byView[view]
		if g == nil {
			g = &mountGroup{view: view}
			byView[view] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, i)
	}
	return groups, rest
}

// readGroup reads the table of a group from the first member that is still what it was. It is -1 when all are gone, and
// with a gap when it cannot be read.
func (r *tableReader) readGroup(g *mountGroup) int {
	var (
		failed error
		pid    int
	)
	for _, i := range g.members {
		pid = r.s.snap.Processes[i].PID
		mounts, err := r.readTable(pid, &g.view)
		if err == nil {
			return r.add(nsinspect.MountTable{MntNS: g.view.mnt, Root: g.view.root, PID: pid, Mounts: mounts})
		}
		if !leftTable(err) {
			failed = err
			break // what one member is refused, or is too large, all are
		}
	}
	if failed != nil {
		r.s.gap(nsinspect.Gap{Subject: fmt.Sprintf("mount namespace %d", g.view.mnt), PID: pid, Fact: "mountinfo", Error: failed.Error()})
	}
	return -1
}

func (r *tableReader) add(t nsinspect.MountTable) int {
	n := len(r.out.tables)
	r.out.tables = append(r.out.tables, t)
	if t.MntNS != 0 {
		r.byView[mountView{t.MntNS, t.Root}] = n
	}
	r.byFirst[firstOf(t.Mounts)] = n
	return n
}

// readObserver finds the observer's own table, which the snapshot may need without the observer being one of its
// processes.
func (r *tableReader) readObserver() {
	o := &r.s.snap.Observer
	if n, ok := r.byView[mountView{o.MntNS, o.Root}]; ok && o.MntNS != 0 {
		r.out.observer = n
		return
	}
	content, err := os.Open("/proc/self/mountinfo") // its own, whatever procfs the snapshot is of
	if err == nil {
		defer content.Close()
		var mounts []nsinspect.Mount
		if mounts, err = parseMountinfo(&cappedReader{content, maxMountinfo}); err == nil {
			r.out.observer = r.add(nsinspect.MountTable{MntNS: o.MntNS, Root: o.Root, PID: o.PID, Mounts: mounts})
			return
		}
	}
	r.s.gap(nsinspect.Gap{Subject: "observer", PID: o.PID, Fact: "mountinfo", Error: err.Error()})
}

// readUnlinked finds the table of a process whose links cannot be read: by the first line of its mountinfo.
func (r *tableReader) readUnlinked(pid int) int {
	first, err := r.readFirst(pid)
	if err == nil {
		if n, ok := r.byFirst[first]; ok {
			return n
		}
		var mounts []nsinspect.Mount
		if mounts, err = r.readTable(pid, nil); err == nil {
			return r.add(nsinspect.MountTable{PID: pid, Mounts: mounts})
		}
	}
	if !leftTable(err) {
		r.s.gap(nsinspect.Gap{Subject: fmt.Sprintf("pid %d", pid), PID: pid, Fact: "mountinfo", Error: err.Error()})
	}
	return -1
}

// readTable reads the mounts that pid sees. With a view the process must still have it: an open mountinfo stays with
// the namespace and the root that the process had at open, so that is checked between the open and the read.
func (r *tableReader) readTable(pid int, view *mountView) ([]nsinspect.Mount, error) {
	f, err := r.s.openProc(pid, "mountinfo", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if view != nil {
		link, err := r.s.readlinkProc(pid, "ns/mnt")
		if err != nil {
			return nil, err
		}
		root, err := r.s.readlinkProc(pid, "root")
		if err != nil {
			return nil, err
		}
		if _, mnt, _ := parseNSLink(link); mnt != view.mnt || root != view.root {
			return nil, errMoved
		}
	}
	mounts, err := parseMountinfo(&cappedReader{f, maxMountinfo})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return mounts, nil
}

// readFirst reads as much of mountinfo as tells the first mount. The kernel prints no more lines than a read has room
// for, so this costs the same for long tables.
func (r *tableReader) readFirst(pid int) (firstMount, error) {
	f, err := r.s.openProc(pid, "mountinfo", unix.O_RDONLY)
	if err != nil {
		return firstMount{}, err
	}
	defer f.Close()
	head := make([]byte, 0, 256)
	for strings.Count(string(head), " ") < 5 && len(head) < maxMountLine {
		chunk := make([]byte, 256)
		n, err := f.Read(chunk)
		head = append(head, chunk[:n]...)
		if errors.Is(err, io.EOF) {
			return firstMount{}, nil // no mount below the root of this process
		}
		if err != nil {
			return firstMount{}, err
		}
	}
	fields := strings.SplitN(string(head), " ", 6)
	if len(fields) < 6 {
		return firstMount{}, fmt.Errorf("read %s: line 1: not a mount", f.Name())
	}
	// The rest of the line, cut short here, does not matter.
	m, err := (&mountParser{lists: map[string][]string{}}).parse(strings.Join(fields[:5], " ") + " rw - none none rw")
	if err != nil {
		return firstMount{}, fmt.Errorf("read %s: line 1: %w", f.Name(), err)
	}
	return firstOf([]nsinspect.Mount{m}), nil
}

// nameTables finds the mount namespace of tables read without links: one that shares a mount with a table of a known
// mount namespace is of that namespace. Mount ids may be given anew between two reads, so more than the id has to
// agree.
func (r *tableReader) nameTables() {
	type mountKey struct {
		id, parent int
		dev, root  string
	}
	known := map[mountKey]nsinspect.Inode{}
	for _, t := range r.out.tables {
		for _, m := range t.Mounts {
			if t.MntNS != 0 {
				known[mountKey{m.ID, m.Parent, m.Dev, m.Root}] = t.MntNS
			}
		}
	}
	for i := range r.out.tables {
		t := &r.out.tables[i]
		for _, m := range t.Mounts {
			if t.MntNS != 0 {
				break
			}
			t.MntNS = known[mountKey{m.ID, m.Parent, m.Dev, m.Root}]
		}
	}
}

// errMoved says that a process is not where it was when the snapshot began: it joined another namespace, or its PID is
// another process's now.
var errMoved = errors.New("the process moved on")

// leftTable says that an error only means that the process ended, or is about to (a zombie has no mounts: EINVAL), or moved.
func leftTable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) || errors.Is(err, errMoved)
}

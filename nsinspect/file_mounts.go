package nsinspect

import (
	"path"
	"slices"
	"strings"
)

// Place is where a file is in a file system, whoever mounts it where.
type Place struct {
	Dev  string // MAJOR:MINOR of the superblock (Mount.Dev)
	Path string // from the root of the file system
}

// Candidate is a path under which the processes of a mount table see a Place, if nothing is mounted over it.
type Candidate struct {
	Table int // index in Snapshot.MountTables
	Mount *Mount
	Path  string
}

// Atlas finds files in the mounts of a snapshot.
type Atlas struct {
	tables []mountIndex
}

// mountIndex is one mount table with what finds a mount in it.
type mountIndex struct {
	mounts  []Mount
	byID    map[int]int
	byChild map[mountedOn]int // a mount by its parent and mount point: at most one
	byDev   map[string][]int
	top     int // the mount at "/" that no other of the table carries, -1 without

	points []string            // mount points, sorted
	roots  map[string][]string // of the mounts of a superblock, sorted
}

type mountedOn struct {
	parent int
	point  string
}

// NewAtlas indexes the mount tables of s.
//
// mountinfo of a process with a root of its own (chroot) leaves out the mount that the root directory is on, unless it
// is that mount's root. Where another table of the mount namespace has it, it is filled in.
func NewAtlas(s *Snapshot) *Atlas {
	a := &Atlas{tables: make([]mountIndex, len(s.MountTables))}
	for i := range s.MountTables {
		a.tables[i] = indexMounts(s.MountTables[i].Mounts)
	}
	for i := range a.tables {
		if a.tables[i].top < 0 {
			if m, ok := a.rootOf(s, i); ok {
				a.tables[i] = indexMounts(append([]Mount{m}, s.MountTables[i].Mounts...))
			}
		}
	}
	return a
}

// rootOf is the mount on which the root directory of table i is, as that table would show it.
func (a *Atlas) rootOf(s *Snapshot, i int) (Mount, bool) {
	t := &s.MountTables[i]
	if t.RootMount != nil {
		return rootMount(t.RootMount, t.RootOn)
	}
	for j := range s.MountTables {
		o := &s.MountTables[j]
		if j == i || t.MntNS == 0 || o.MntNS != t.MntNS || a.tables[j].top < 0 {
			continue
		}
		below, ok := beneath(o.Root, t.Root)
		if !ok {
			continue
		}
		if m, ok := rootMount(a.tables[j].at(below), below); ok {
			return m, true
		}
	}
	return Mount{}, false
}

// rootMount is the mount on, as a process sees it whose root directory is path.
func rootMount(on *Mount, path string) (Mount, bool) {
	in, ok := beneath(on.Point, path)
	if !ok {
		return Mount{}, false
	}
	m := *on
	m.Root, m.Point = join(on.Root, in), "/"
	return m, true
}

func indexMounts(mounts []Mount) mountIndex {
	x := mountIndex{
		mounts: mounts, byID: make(map[int]int, len(mounts)), byChild: make(map[mountedOn]int, len(mounts)),
		byDev: make(map[string][]int), top: -1, points: make([]string, len(mounts)), roots: make(map[string][]string),
	}
	for i := range mounts {
		m := &mounts[i]
		x.byID[m.ID] = i
		if m.Parent != m.ID {
			x.byChild[mountedOn{m.Parent, m.Point}] = i
		}
		x.byDev[m.Dev] = append(x.byDev[m.Dev], i)
		x.roots[m.Dev] = append(x.roots[m.Dev], m.Root)
		x.points[i] = m.Point
	}
	slices.Sort(x.points)
	for _, roots := range x.roots {
		slices.Sort(roots)
	}
	for i := range mounts {
		m := &mounts[i]
		if _, carried := x.byID[m.Parent]; m.Point == "/" && (!carried || m.Parent == m.ID) {
			x.top = i
		}
	}
	return x
}

// at is the mount on which path is: the walk goes down from "/" and crosses every mount that it meets.
func (x *mountIndex) at(path string) *Mount {
	if x.top < 0 {
		return nil
	}
	on := x.top
	for prefix := range prefixes(path) {
		for range x.mounts { // mounts on mounts; no more than there are, whatever a table claims
			next, ok := x.byChild[mountedOn{x.mounts[on].ID, prefix}]
			if !ok || next == on {
				break
			}
			on = next
		}
	}
	return &x.mounts[on]
}

// Mount is the mount with that id in a table, nil when it is not there.
func (a *Atlas) Mount(ref MountRef) *Mount {
	if ref.Table < 0 || ref.Table >= len(a.tables) {
		return nil
	}
	x := &a.tables[ref.Table]
	if i, ok := x.byID[ref.Mount]; ok {
		return &x.mounts[i]
	}
	return nil
}

// Find looks for the mount with that id: in the table prefer, else in all. Mount ids are unique on a host.
func (a *Atlas) Find(id, prefer int) (MountRef, *Mount) {
	if m := a.Mount(MountRef{prefer, id}); m != nil {
		return MountRef{prefer, id}, m
	}
	for t := range a.tables {
		if m := a.Mount(MountRef{t, id}); m != nil {
			return MountRef{t, id}, m
		}
	}
	return MountRef{-1, id}, nil
}

// At is the mount on which a path of a table is, nil when the table has no mount at "/".
func (a *Atlas) At(table int, path string) *Mount {
	if table < 0 || table >= len(a.tables) {
		return nil
	}
	return a.tables[table].at(path)
}

// PlaceOf is where path, seen through m, is in m's file system. False when path is not below m's mount point.
func PlaceOf(m *Mount, path string) (Place, bool) {
	below, ok := beneath(m.Point, path)
	if !ok {
		return Place{}, false
	}
	return Place{Dev: m.Dev, Path: join(m.Root, below)}, true
}

// Candidates lists the paths that lead to p by the mounts of one table alone, in the order of its mounts: those of p's
// file system whose root is p or above it, and that nothing is mounted over.
func (a *Atlas) Candidates(table int, p Place) []Candidate {
	return a.FirstCandidates(table, p, -1)
}

// FirstCandidates are the first limit ones of Candidates.
func (a *Atlas) FirstCandidates(table int, p Place, limit int) []Candidate {
	var found []Candidate
	x := &a.tables[table]
	for _, i := range x.byDev[p.Dev] {
		if len(found) == limit {
			break
		}
		m := &x.mounts[i]
		below, ok := beneath(m.Root, p.Path)
		if !ok {
			continue
		}
		path := join(m.Point, below)
		if on := x.at(path); on == nil || on.ID != m.ID {
			continue
		}
		found = append(found, Candidate{Table: table, Mount: m, Path: path})
	}
	return found
}

// Tables is how many mount tables there are.
func (a *Atlas) Tables() int { return len(a.tables) }

// SubMounts are the mount points of a table strictly below path, relative to it, each once.
func (a *Atlas) SubMounts(table int, dir string) []string {
	if table < 0 || table >= len(a.tables) {
		return nil
	}
	return strictlyBelow(dir, a.tables[table].points)
}

// MountedBelow are the directories and files strictly below p, relative to it, that some mount of a table has as its
// root: what a container has mounted of a part of p. Each is listed once.
func (a *Atlas) MountedBelow(table int, p Place) []string {
	return strictlyBelow(p.Path, a.tables[table].roots[p.Dev])
}

// strictlyBelow finds what is below dir in a sorted list, where it stands together.
func strictlyBelow(dir string, sorted []string) []string {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	at, _ := slices.BinarySearch(sorted, prefix)
	var below []string
	for _, p := range sorted[at:] {
		if !strings.HasPrefix(p, prefix) {
			break
		}
		if rel, ok := beneath(dir, p); ok && rel != "/" && (len(below) == 0 || below[len(below)-1] != rel) {
			below = append(below, rel)
		}
	}
	return below
}

// beneath is the rest of path below dir, "/" when they are the same. Both are absolute and clean.
func beneath(dir, path string) (string, bool) {
	if dir == "/" {
		return path, strings.HasPrefix(path, "/")
	}
	rest, ok := strings.CutPrefix(path, dir)
	if !ok || dir == "" {
		return "", false
	}
	if rest == "" {
		return "/", true
	}
	return rest, rest[0] == '/'
}

// join puts an absolute path below a directory.
func join(dir, below string) string {
	if below == "/" {
		return dir
	}
	return path.Join(dir, below)
}

// prefixes yields "/", "/a", "/a/b" for "/a/b".
func prefixes(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if !yield("/") {
			return
		}
		for i := 1; i < len(path); i++ {
			if path[i] == '/' && !yield(path[:i]) {
				return
			}
		}
		if path != "/" {
			yield(path)
		}
	}
}

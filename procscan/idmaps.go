package procscan

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// mapTable collects the id maps of a scan: each user namespace's once, and where the namespace cannot be told, each
// content once. All workers use it.
type mapTable struct {
	mu     sync.Mutex
	list   []nsinspect.IDMaps
	byNS   map[nsinspect.Inode]int
	byText map[string]int // only of unknown namespaces

	// ownText is what the observer's own files say when that text proves that a process with the same is in the
	// observer's user namespace too; see own.
	ownText string
	own     int // index of the observer's, -1 when unknown
}

func newMapTable() *mapTable {
	return &mapTable{byNS: map[nsinspect.Inode]int{}, byText: map[string]int{}, own: -1}
}

// of is the index of the maps of the process whose directory is dir. ns is the user namespace that it is in, 0 when
// that cannot be told.
func (t *mapTable) of(w *worker, dir int, ns nsinspect.Inode) (int, error) {
	known, written := t.written(ns)
	if written {
		return known, nil
	}
	maps, text, err := w.readMaps(dir)
	if err != nil {
		return known, err
	}
	maps.UserNS = ns
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.own >= 0 && (ns == 0 || ns != t.list[t.own].UserNS) {
		// The text says the number of each extent's first id only.
		own := &t.list[t.own]
		maps.UID, maps.GID = maps.UID.AsReadBy(own.UID), maps.GID.AsReadBy(own.GID)
	}
	if ns != 0 {
		return t.putLocked(maps), nil
	}
	if t.own >= 0 && text == t.ownText {
		return t.own, nil
	}
	if i, ok := t.byText[text]; ok {
		return i, nil
	}
	t.byText[text] = t.add(maps)
	return t.byText[text], nil
}

// written is the index of the maps of a user namespace, -1 when none are known or ns is 0, and whether both are written: one
// where they are not may have been read between its creation and its map.
func (t *mapTable) written(ns nsinspect.Inode) (index int, written bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.byNS[ns]
	if !ok {
		return -1, false
	}
	return i, len(t.list[i].UID) > 0 && len(t.list[i].GID) > 0
}

// put enters the maps of a user namespace, in place of what it had before.
func (t *mapTable) put(m nsinspect.IDMaps) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.putLocked(m)
}

func (t *mapTable) putLocked(m nsinspect.IDMaps) int {
	if i, ok := t.byNS[m.UserNS]; ok {
		t.list[i] = m
		return i
	}
	t.byNS[m.UserNS] = t.add(m)
	return t.byNS[m.UserNS]
}

func (t *mapTable) add(m nsinspect.IDMaps) int {
	t.list = append(t.list, m)
	return len(t.list) - 1
}

// addOwn enters the observer's own maps.
//
// The file of a process in the reader's own user namespace shows the parent's ids outside, every other file the
// reader's (uid_m_show() in kernel/user_namespace.c). On the observer's side the ids of its own namespace are simply
// themselves, so that is what IDMaps says, and what the files say goes to ParentUID and ParentGID.
//
// It also tells who is in the observer's namespace when the ns links cannot be read: the file of any other namespace
// would show 4294967295 for an outside id that the observer's namespace does not map.
func (t *mapTable) addOwn(m nsinspect.IDMaps, text string, initial bool) int {
	if !initial {
		m.ParentUID, m.ParentGID = m.UID, m.GID
		m.UID, m.GID = ownSide(m.UID), ownSide(m.GID)
		if !allCovered(m.ParentUID, m.UID) || !allCovered(m.ParentGID, m.GID) {
			t.ownText = text
		}
	}
	t.own = t.add(m)
	if m.UserNS != 0 {
		t.byNS[m.UserNS] = t.own
	}
	return t.own
}

func ownSide(m idmap.Map) idmap.Map {
	own := make(idmap.Map, len(m))
	for i, e := range m {
		own[i] = idmap.Extent{Inside: e.Inside, Outside: idmap.Kernel(e.Inside), Count: e.Count}
	}
	return own
}

func allCovered(parent, own idmap.Map) bool {
	for _, e := range parent {
		if !own.ToInside(e.Outside).Mapped() {
			return false
		}
	}
	return true
}

// inOrder puts the list in the order in which the processes mention it, the observer's (whose index it returns) first:
// the order in which two workers come by is chance.
func (t *mapTable) inOrder(processes []nsinspect.Process) (list []nsinspect.IDMaps, own int) {
	list = make([]nsinspect.IDMaps, 0, len(t.list))
	place := make([]int, len(t.list)) // and one more than that
	visit := func(i int) int {
		if i < 0 {
			return -1
		}
		if place[i] == 0 {
			list = append(list, t.list[i])
			place[i] = len(list)
		}
		return place[i] - 1
	}
	own = visit(t.own)
	for i := range processes {
		processes[i].IDMaps = visit(processes[i].IDMaps)
	}
	return list, own
}

// maxIDMap bounds an id map: 340 lines of three numbers and their padding.
const maxIDMap = 64 << 10

// readMaps reads what the process whose directory is dir says of its id maps, and their text, which is equal for equal
// maps.
func (w *worker) readMaps(dir int) (nsinspect.IDMaps, string, error) {
	return readMaps(func(name string) ([]byte, error) { return readUpTo(dir, name, maxIDMap, &w.buf) })
}

// readMaps reads uid_map, gid_map and setgroups (user_namespaces(7)) by read, and returns their text too.
func readMaps(read func(name string) ([]byte, error)) (nsinspect.IDMaps, string, error) {
	var (
		m    nsinspect.IDMaps
		text []byte
	)
	for _, file := range []struct {
		name string
		into *idmap.Map
	}{{"uid_map", &m.UID}, {"gid_map", &m.GID}} {
		b, err := read(file.name)
		if err != nil {
			return m, "", err
		}
		if *file.into, err = idmap.Parse(bytes.NewReader(b)); err != nil {
			return m, "", fmt.Errorf("%s: %w", file.name, err)
		}
		text = append(append(text, b...), '-')
	}
	b, err := read("setgroups")
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return m, "", err
	}
	m.Setgroups = string(bytes.TrimSpace(b))
	return m, string(append(text, m.Setgroups...)), nil
}

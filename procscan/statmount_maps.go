package procscan

import (
	"errors"
	"fmt"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// features is a set of kernel interfaces that nsview can do without.
type features uint

const (
	featStatmount features = 1 << iota // statmount(2), listmount(2) with a mount namespace (Linux 6.11)
	featMountMaps                      // id maps by statmount(2) (Linux 6.15)
	featMntWalk                        // NS_MNT_GET_NEXT, NS_MNT_GET_PREV (Linux 6.12)
)

// What would lift a gap.
const (
	hintKernelMaps = "Linux 6.15 or later tells the map (statmount(2))"
	hintInitialNS  = "run in the initial user namespace"
	hintRoot       = "run as root"
)

// readMountMaps fills what mountinfo does not say about tables with idmapped mounts: the maps and the unique ids. What
// it cannot tell stays MapKnown false, with one gap for every table.
func (s *scanner) readMountMaps(tables []nsinspect.MountTable) {
	walked := map[nsinspect.Inode]map[int]mountStat{}
	for i := range tables {
		t := &tables[i]
		if !hasIdmapped(t) {
			continue
		}
		stats, ok := walked[t.MntNS]
		if !ok || t.MntNS == 0 {
			var err error
			if stats, err = s.statTable(t); err != nil {
				s.mapGap(t, err)
			}
			walked[t.MntNS] = stats
		}
		s.applyMountMaps(t, stats)
	}
}

func hasIdmapped(t *nsinspect.MountTable) bool {
	for i := range t.Mounts {
		if t.Mounts[i].Idmapped {
			return true
		}
	}
	return false
}

var (
	errNoMapsHere   = errors.New("the kernel shows only the parts of the map that have ids in the observer's user namespace")
	errNoMountMaps  = errors.New("statmount of this kernel does not tell the maps of idmapped mounts")
	errMntNSUnknown = errors.New("the mount namespace is not known")
)

// statTable asks statmount(2) about every mount of the table's mount namespace, by mountinfo's id.
func (s *scanner) statTable(t *nsinspect.MountTable) (map[int]mountStat, error) {
	if !s.snap.Observer.InitialNS {
		return nil, errNoMapsHere
	}
	nsID, err := s.mntNSID(t)
	if err != nil {
		return nil, err
	}
	mounts, err := s.statNS(nsID, statmountMntRoot|statmountIDMaps)
	if err != nil {
		return nil, err
	}
	byOldID := make(map[int]mountStat, len(mounts))
	for _, m := range mounts {
		byOldID[m.oldID] = m
	}
	return byOldID, nil
}

// mntNSID is the id of the table's mount namespace for statmount(2), 0 for the observer's own.
func (s *scanner) mntNSID(t *nsinspect.MountTable) (uint64, error) {
	if t.MntNS == 0 {
		return 0, errMntNSUnknown
	}
	if t.MntNS == s.snap.Observer.MntNS {
		return 0, nil
	}
	n, err := openNS(s.procPath(t.PID, "ns/mnt"))
	if err != nil {
		return 0, err
	}
	defer n.close()
	if n.inode != t.MntNS {
		return 0, errMoved
	}
	return n.mntID()
}

// statNS asks questions about every mount of the mount namespace with that id (0: the observer's own), also about those
// that no process can reach because they are outside its root or under another mount.
func (s *scanner) statNS(nsID, questions uint64) ([]mountStat, error) {
	if s.lacks&featStatmount != 0 {
		return nil, unix.ENOSYS
	}
	var buf []byte
	ids, err := s.mountIDs(nsID, &buf)
	if err != nil {
		return nil, err
	}
	out := make([]mountStat, 0, len(ids))
	err = eachMount(nsID, ids, questions|statmountMntBasic, &buf, func(m mountStat) {
		if s.lacks&featMountMaps != 0 {
			m.answered &^= statmountIDMaps
		}
		out = append(out, m)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// mountIDs are the unique ids of all mounts of the mount namespace with that id.
func (s *scanner) mountIDs(nsID uint64, buf *[]byte) ([]uint64, error) {
	top := s.topMount(nsID, buf)
	ids, err := listMounts(nsID, top)
	if err != nil {
		return nil, err
	}
	if top != listmountRoot {
		ids = append(ids, top) // listmount(2) lists what is below a mount, not the mount itself
	}
	return ids, nil
}

// nsfsMounts are root and point of the mounts of namespace files in the mount namespace with that id. Hardly a mount is
// one, so each is only asked what file system it is of.
func (s *scanner) nsfsMounts(nsID uint64, buf *[]byte) ([]mountStat, error) {
	if s.lacks&featStatmount != 0 {
		return nil, unix.ENOSYS
	}
	ids, err := s.mountIDs(nsID, buf)
	if err != nil {
		return nil, err
	}
	held := ids[:0]
	for _, id := range ids {
		magic, err := mountMagic(nsID, id, buf)
		switch {
		case err == nil:
			if magic == unix.NSFS_MAGIC {
				held = append(held, id)
			}
		case !errors.Is(err, unix.ENOENT):
			return nil, err
		}
	}
	var out []mountStat
	err = eachMount(nsID, held, statmountSBBasic|statmountMntRoot|statmountMntPoint, buf, func(m mountStat) {
		out = append(out, m)
	})
	return out, err
}

// topMount is the mount that everything in the namespace is below. For listmount(2) the root is the first mount on
// that one, or the observer's own root directory: what was mounted beside it (under a switch_root or a pivot_root), or
// is outside the observer's root, is only listed from the top. listmountRoot when it cannot be told.
func (s *scanner) topMount(nsID uint64, buf *[]byte) uint64 {
	ids, err := listMounts(nsID, listmountRoot)
	if err != nil || len(ids) == 0 {
		return listmountRoot
	}
	top := ids[0]
	for range maxMountDepth {
		m, err := statMount(nsID, top, statmountMntBasic, buf)
		if err != nil {
			return listmountRoot
		}
		if m.parent == m.id || m.parent == 0 {
			return top
		}
		top = m.parent
	}
	return listmountRoot
}

// applyMountMaps copies what statmount(2) said to the mounts it is about. A mount id may be given anew between the two
// reads: the mounted directory has to agree.
func (s *scanner) applyMountMaps(t *nsinspect.MountTable, stats map[int]mountStat) {
	untold := false
	for i := range t.Mounts {
		m := &t.Mounts[i]
		st, ok := stats[m.ID]
		if !ok || st.root != m.Root || st.idmapped != m.Idmapped {
			continue
		}
		m.UniqueID = st.id
		if !m.Idmapped {
			continue
		}
		if st.answered&statmountIDMaps != statmountIDMaps {
			untold = true
			continue
		}
		m.UIDMap, m.GIDMap, m.MapKnown = st.uids, st.gids, true
	}
	if untold {
		s.mapGap(t, errNoMountMaps)
	}
}

func (s *scanner) mapGap(t *nsinspect.MountTable, err error) {
	g := nsinspect.Gap{
		Subject: fmt.Sprintf("mount namespace %v", t.MntNS), PID: t.PID, Fact: "maps of idmapped mounts", Error: err.Error(),
	}
	switch {
	case leftTable(err) && !errors.Is(err, unix.EINVAL):
		return
	case errors.Is(err, errNoMapsHere):
		g.Hint = hintInitialNS
	case errors.Is(err, errNoMountMaps), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.E2BIG), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		g.Error = errNoMountMaps.Error()
		g.Hint = hintKernelMaps
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, errMntNSUnknown):
		g.Hint = hintRoot
	}
	s.gap(g)
}

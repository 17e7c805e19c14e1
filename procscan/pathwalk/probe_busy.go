package pathwalk

import (
	"path"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// victim completes what is known of a name that is to go: whether something is mounted on it, and then what is below that,
// which is what the operation is about.
func (r *trail) victim(s *sighted, name string) {
	dir := r.mounts[r.atID.mount]
	text, err := r.p.fdText(r.at)
	at, ok := placeIn(dir, path.Join(text, name))
	if err != nil || !ok {
		if s.mountRoot && s.place.mount != r.atID.mount {
			r.w.Missing = "what is mounted on " + s.node.Path
			return
		}
		s.node.Busy = access.No // on a mount that is in no mount namespace
		return
	}
	crossed := s.mountRoot && s.place.mount != r.atID.mount
	busy, err := crossed && !dir.Foreign, error(nil)
	if !busy {
		if busy, err = r.isMountPoint(dir, at); err != nil {
			r.w.Missing = "what is mounted on " + s.node.Path + ": " + err.Error()
			return
		}
	}
	if crossed {
		covered, err := r.covered(name, at, s.node.Path)
		if err != nil {
			r.w.Missing = "what is below the mount on " + s.node.Path + ": " + err.Error()
			return
		}
		s.node = covered
		s.place = place{mount: r.atID.mount, inode: covered.Inode, dev: covered.Dev}
	}
	s.node.Busy = access.FactOf(busy)
}

// isMountPoint reports whether something is mounted on a place of a mount's file system in the target's mount namespace.
// That counts by whichever mount the target comes there; mounts in other namespaces do not (is_local_mountpoint() in
// fs/namespace.c). Where they are is read for every question: a directory above one may get another name, of which the
// kernel tells nobody.
func (q *question) isMountPoint(m *access.Mount, at nsinspect.Place) (bool, error) {
	if !q.p.mountinfo {
		if q.task.MntNS == q.p.snap.Observer.MntNS && !m.Foreign {
			if n, err := q.p.shown(at.Dev); err == nil && n == 1 {
				return false, nil // it would have been crossed
			}
		}
		busy, err := procscan.IsMountPoint(q.task.MntID, at, m.ID, &q.p.buf)
		if err == nil {
			return busy, nil
		}
	}
	mounts, err := q.table(q.task)
	if err != nil {
		return false, err
	}
	byID := make(map[int]*nsinspect.Mount, len(mounts))
	for i := range mounts {
		byID[mounts[i].ID] = &mounts[i]
	}
	for i := range mounts {
		parent := byID[mounts[i].Parent]
		if parent == nil || parent == &mounts[i] {
			continue
		}
		if place, ok := nsinspect.PlaceOf(parent, mounts[i].Point); ok && place == at {
			return true, nil
		}
	}
	return false, nil
}

// covered looks at what a mount hides: through a copy of the mount that it is on, which nobody sees and which has nothing
// mounted on it, or where the observer's own mounts show the same place.
func (r *trail) covered(name string, at nsinspect.Place, where string) (*access.Node, error) {
	tree, err := unix.OpenTree(r.at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err == nil {
		defer unix.Close(tree)
		var x unix.Statx_t
		if err := unix.Statx(tree, "", unix.AT_EMPTY_PATH, r.p.mountBit(), &x); err != nil {
			return nil, err
		}
		r.mounts[x.Mnt_id] = r.mounts[r.atID.mount]
		defer delete(r.mounts, x.Mnt_id)
		fd, err := unix.Openat(tree, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer r.p.closeAsked(fd)
		s, err := r.look(fd, where, true)
		if err == nil && r.task.MntNS == r.p.snap.Observer.MntNS {
			s.node.Host = "" // what the observer has there is the mount
		}
		return s.node, err
	}
	for _, c := range r.p.atlas.Candidates(r.p.snap.Observer.MountTable, at) {
		if n := r.throughHost(&c, where); n != nil {
			return n, nil
		}
	}
	return nil, err
}

// throughHost is a file of the target's as the observer's own mount shows it, with the ids that the target's mount would
// show. nil when the observer's mounts are others by now.
func (r *trail) throughHost(c *nsinspect.Candidate, where string) *access.Node {
	fd, err := unix.Open(c.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer r.p.closeAsked(fd)
	var x unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &x); err != nil || int(x.Mnt_id) != c.Mount.ID {
		return nil
	}
	s, err := r.describe(fd, where, c.Path, true)
	if err != nil {
		return nil
	}
	r.lookLast(s.node, selfFD(fd))
	n, target := s.node, r.node.Mount
	switch {
	case !target.Idmapped && !n.Mount.Idmapped:
	case n.Mount.Idmapped || !target.MapKnown || n.Mount.Super.UserNSAssumed:
		n.UID.Known, n.GID.Known = false, false
	default:
		n.UID, n.GID = throughMount(target.UIDMap, uint32(n.UID.Seen)), throughMount(target.GIDMap, uint32(n.GID.Seen))
		if n.ACL != nil {
			n.ACL, n.ACLMissing = nil, "it is seen through another mount only"
		}
	}
	n.Mount, n.Host = target, c.Path
	return n
}

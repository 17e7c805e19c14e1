package pathwalk

import (
	"path"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// ids are the ids of a file in two faces. 65534 may be an id or stand for one that is not mapped: the maps tell.
func (r *trail) ids(m *access.Mount, uid, gid uint32) (u, g access.ID) {
	o := &r.p.snap.Observer
	return r.id(m, idmap.UID, uid, o.OverflowUID), r.id(m, idmap.GID, gid, o.OverflowGID)
}

func (r *trail) id(m *access.Mount, kind idmap.Kind, raw, overflow uint32) access.ID {
	id := access.ID{OnDisk: idmap.UnmappedDisk, Seen: idmap.Kernel(raw), Known: true}
	maps, sb := m.IDs(r.host, kind), r.host.UserNS[m.Super.UserNS]
	if raw == overflow {
		switch {
		case !r.host.InitialNS, m.Idmapped && !m.MapKnown, sb == nil:
			id.Known = false
			return id
		case m.Idmapped && !maps.OnDisk(id.Seen).Mapped():
			id.Seen = idmap.UnmappedKernel
			return id
		case m.Idmapped:
			id.Known = false // mapped by the mount, and what an unmapped id looks like too
			return id
		case !sb.Initial && isFUSE(m.Super.FSType):
			// Its server speaks of ids inside the user namespace.
			if maps.OnDisk(id.Seen).Mapped() {
				id.Known = false
			} else {
				id.Seen = idmap.UnmappedKernel
			}
			return id
		}
		// The other file systems that a user namespace may mount take the kernel's ids of who made a file or gave it away,
		// whether the namespace has them or not.
	}
	if sb != nil && (!m.Idmapped || m.MapKnown) {
		id.OnDisk = maps.OnDisk(id.Seen)
	}
	return id
}

func isFUSE(fsType string) bool {
	return fsType == "fuse" || fsType == "fuseblk" || strings.HasPrefix(fsType, "fuse.") || strings.HasPrefix(fsType, "fuseblk.")
}

// placeIn is where a name, as readlink of a descriptor gives it, is in the file system of its mount.
func placeIn(m *access.Mount, name string) (nsinspect.Place, bool) {
	below, ok := trimRoot(m.Point, name)
	if !ok || m.Root == "" {
		return nsinspect.Place{}, false
	}
	return nsinspect.Place{Dev: m.Super.Dev, Path: path.Join(m.Root, below)}, true
}

// hostPath is the path by which the observer reaches an open file: where its own mounts show the same directory of the
// file system, confirmed by looking. "" when it has none.
func (r *trail) hostPath(name string, m *access.Mount, x *unix.Statx_t) string {
	if r.task.MntNS == r.p.snap.Observer.MntNS {
		return name
	}
	host := ""
	r.onHost(name, m, x, func(c *nsinspect.Candidate, _ *unix.Statx_t) bool {
		host = c.Path
		return true
	})
	return host
}

// onHost calls found for the observer's paths to a file until it is content.
func (r *trail) onHost(name string, m *access.Mount, x *unix.Statx_t, found func(*nsinspect.Candidate, *unix.Statx_t) bool) {
	place, ok := placeIn(m, name)
	if !ok {
		return
	}
	for _, c := range r.p.atlas.Candidates(r.p.snap.Observer.MountTable, place) {
		var there unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, c.Path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &there)
		if err == nil && there.Ino == x.Ino && there.Dev_major == x.Dev_major && there.Dev_minor == x.Dev_minor && int(there.Mnt_id) == c.Mount.ID && found(&c, &there) {
			return
		}
	}
}

// askElsewhere finds out the ids of a file that its idmapped mount does not tell: a mount of the observer's that is not
// idmapped shows what is on disk.
func (r *trail) askElsewhere(n *access.Node, name string, m *access.Mount, x *unix.Statx_t) {
	sb := r.host.UserNS[m.Super.UserNS]
	if !m.Idmapped || !m.MapKnown || sb == nil || !sb.Initial {
		return
	}
	r.onHost(name, m, x, func(c *nsinspect.Candidate, there *unix.Statx_t) bool {
		if c.Mount.Idmapped {
			return false
		}
		n.UID = throughMount(m.UIDMap, there.Uid)
		n.GID = throughMount(m.GIDMap, there.Gid)
		return true
	})
}

func throughMount(m idmap.MountMap, disk uint32) access.ID {
	return access.ID{OnDisk: idmap.Disk(disk), Seen: m.SeenAs(idmap.Disk(disk)), Known: true}
}

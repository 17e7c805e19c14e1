package procscan

import (
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// idJudge tells an id that really is the overflow id (65534) from one that has no mapping in the observer's user
// namespace: procfs writes the overflow id for both (from_kuid_munged() in kernel/user_namespace.c).
//
//   - In the initial user namespace every id is mapped: it is the number it reads as.
//   - Where the observer's own map does not cover the overflow id, nothing mapped can read as it: it is unmapped.
//   - Otherwise it may be either, and no interface tells an observer that is not in the initial namespace. It is taken
//     for unmapped, and a gap says so. (Supplementary groups of a rootless container's processes are the usual case.)
type idJudge struct {
	initial  bool
	uid, gid struct {
		overflow idmap.Kernel
		covered  bool // the observer's map has an id with the overflow id's number
	}
}

func newIDJudge(o *nsinspect.Observer, own nsinspect.IDMaps) idJudge {
	j := idJudge{initial: o.InitialNS}
	j.uid.overflow, j.gid.overflow = idmap.Kernel(o.OverflowUID), idmap.Kernel(o.OverflowGID)
	// Without the observer's own map nothing rules the overflow id out.
	unknown := o.IDMaps < 0
	j.uid.covered = unknown || own.UID.Covers(idmap.Inside(o.OverflowUID))
	j.gid.covered = unknown || own.GID.Covers(idmap.Inside(o.OverflowGID))
	return j
}

// judge replaces ids that are unmapped, and reports whether one of them was in doubt.
func (j *idJudge) judge(c *nsinspect.Credentials) (doubtful bool) {
	if j.initial {
		return false
	}
	for _, id := range []*idmap.Kernel{&c.UID.Real, &c.UID.Effective, &c.UID.Saved, &c.UID.FS} {
		if *id == j.uid.overflow {
			*id = idmap.UnmappedKernel
			doubtful = doubtful || j.uid.covered
		}
	}
	judgeGID := func(id *idmap.Kernel) {
		if *id == j.gid.overflow {
			*id = idmap.UnmappedKernel
			doubtful = doubtful || j.gid.covered
		}
	}
	for _, id := range []*idmap.Kernel{&c.GID.Real, &c.GID.Effective, &c.GID.Saved, &c.GID.FS} {
		judgeGID(id)
	}
	for i := range c.Groups {
		judgeGID(&c.Groups[i])
	}
	return doubtful
}

// ownID is the observer's own id, as a system call returned it.
func (j *idJudge) ownID(id, overflow uint32, own idmap.Map) idmap.Inside {
	if !j.initial && id == overflow && !own.Covers(idmap.Inside(id)) {
		return idmap.UnmappedInside
	}
	return idmap.Inside(id)
}

package access

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// fuseAllows is fuse_allow_current_process() (fs/fuse/dir.c): who may use a FUSE file system at all. Without allow_other
// that is a process all of whose ids are those of who mounted it; with it, whoever is in the user namespace that it was
// mounted in, or in one below.
func (j *judge) fuseAllows(n *Node) bool {
	s := n.Mount.Super
	if !isFUSE(s) {
		return true
	}
	ns, told := j.superNS(n)
	if !told {
		return j.unknown(n.Path, RuleFUSE, "the user namespace that the FUSE file system at "+n.Mount.Point+" was mounted in")
	}
	refusal := "a FUSE file system without allow_other is for who mounted it only, not even for root"
	if slices.Contains(s.Options, "allow_other") {
		if j.within(ns.Inode) {
			return true
		}
		refusal = "allow_other of a FUSE file system ends where the user namespace ends that it was mounted in"
	} else {
		uid, uidTold := fuseID(s.Options, "user_id=", ns, idmap.UID)
		gid, gidTold := fuseID(s.Options, "group_id=", ns, idmap.GID)
		if !uidTold || !gidTold {
			return j.unknown(n.Path, RuleFUSE, "who mounted the FUSE file system at "+n.Mount.Point)
		}
		u, g := &j.s.Cred.UID, &j.s.Cred.GID
		if u.Real == uid && u.Effective == uid && u.Saved == uid && g.Real == gid && g.Effective == gid && g.Saved == gid {
			return true
		}
	}
	if j.initCap(capSysAdmin) {
		switch s.FUSEAdmin {
		case Yes:
			return j.pass(n, RuleCap+"CAP_SYS_ADMIN", "the module parameter allow_sys_admin_access of fuse is on")
		case NotTold:
			return j.unknown(n.Path, RuleFUSE, "the module parameter allow_sys_admin_access of fuse")
		}
	}
	return j.deny(n, RuleFUSE, "EACCES", refusal)
}

// fuseID is an id of the mount options, which are written for the user namespace that the file system was mounted in.
func fuseID(options []string, key string, ns *UserNS, kind idmap.Kind) (idmap.Kernel, bool) {
	for _, o := range options {
		if v, ok := strings.CutPrefix(o, key); ok {
			id, err := strconv.ParseUint(v, 10, 32)
			if err != nil {
				return idmap.UnmappedKernel, false
			}
			out := ns.outside(kind, idmap.Inside(id))
			return out, out.Mapped()
		}
	}
	return idmap.UnmappedKernel, false
}

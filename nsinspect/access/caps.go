package access

import (
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// The capabilities that file access is about (include/uapi/linux/capability.h).
const (
	capChown         = 0
	capDACOverride   = 1
	capDACReadSearch = 2
	capFowner        = 3
	capFsetid        = 4
	capNetAdmin      = 12
	capSysPtrace     = 19
	capSysAdmin      = 21
	capSysResource   = 24
	capMknod         = 27
	capSetfcap       = 31

	capCheckpointRestore = 40
)

// rootOf are uid and gid 0 of a user namespace, the initial one's for nil and for one that maps no 0.
func rootOf(ns *UserNS) (idmap.Kernel, idmap.Kernel) {
	if ns == nil {
		return 0, 0
	}
	uid, gid := ns.outside(idmap.UID, 0), ns.outside(idmap.GID, 0)
	if !uid.Mapped() {
		uid = 0
	}
	if !gid.Mapped() {
		gid = 0
	}
	return uid, gid
}

// nsCap is ns_capable(): whether the subject has a capability over a user namespace.
func (j *judge) nsCap(target nsinspect.Inode, bit int) bool {
	set, _ := CapsIn(j.host.UserNS, j.caps, j.euid, j.s.UserNS, target)
	return set&(1<<bit) != 0
}

// within is current_in_userns(): the subject's user namespace is this one or below it.
func (j *judge) within(inode nsinspect.Inode) bool {
	return j.ns.Inode == inode || IsAncestor(j.host.UserNS, inode, j.ns.Inode)
}

// superNS is the user namespace that owns the file system of a file; false when it is not known. No interface shows it:
// one that was inferred is noted.
func (j *judge) superNS(n *Node) (*UserNS, bool) {
	s := n.Mount.Super
	ns := j.host.UserNS[s.UserNS]
	if ns != nil && s.UserNSAssumed {
		j.assume("the " + s.FSType + " file system at " + n.Mount.Point + " belongs to the user namespace that owns its mount namespace")
	}
	return ns, ns != nil
}

// superCap is ns_capable() over the user namespace that owns the file system of a file.
func (j *judge) superCap(n *Node, bit int) bool {
	ns, told := j.superNS(n)
	return told && j.nsCap(ns.Inode, bit)
}

// initCap is capable(): over the initial user namespace.
func (j *judge) initCap(bit int) bool { return j.ns.Initial && j.caps&(1<<bit) != 0 }

// held is whether the subject has a capability in its own user namespace.
func (j *judge) held(bit int) bool { return j.caps&(1<<bit) != 0 }

// uidMapped and gidMapped are kuid_has_mapping() and kgid_has_mapping() in the subject's user namespace.
func (j *judge) uidMapped(id idmap.Kernel) bool { return j.ns.maps(idmap.UID, id) }

func (j *judge) gidMapped(id idmap.Kernel) bool { return j.ns.maps(idmap.GID, id) }

// maps is k[ug]id_has_mapping() (include/linux/uidgid.h).
func (ns *UserNS) maps(kind idmap.Kind, id idmap.Kernel) bool {
	return id.Mapped() && (ns.Initial || ns.Map(kind).ToInside(id).Mapped())
}

// capOver is capable_wrt_inode_uidgid(): a capability counts for an inode whose ids are both mapped.
func (j *judge) capOver(n *Node, bit int) bool {
	return j.held(bit) && j.uidMapped(n.UID.Seen) && j.gidMapped(n.GID.Seen)
}

// owner reports whether the subject owns the file.
func (j *judge) owner(n *Node) bool { return n.UID.Seen.Mapped() && n.UID.Seen == j.fsuid }

// ownerOrCap is inode_owner_or_capable(): of the ids only the owner's has to be mapped.
func (j *judge) ownerOrCap(n *Node) bool {
	return j.owner(n) || j.held(capFowner) && j.uidMapped(n.UID.Seen)
}

// needOwner denies with EPERM unless the subject owns the file or has CAP_FOWNER for it.
func (j *judge) needOwner(n *Node) bool {
	switch {
	case !n.UID.Known:
		return j.unsure(RuleNotOwner, "the owner of "+n.Path, n)
	case j.owner(n):
		return j.pass(n, RuleModeOwner, "the target owns it")
	case j.ownerOrCap(n):
		return j.pass(n, RuleCap+"CAP_FOWNER", "the target is not its owner, CAP_FOWNER stands in for that")
	case j.held(capFowner):
		return j.deny(n, RuleCapUnmappedInode, "EPERM", "owner only: CAP_FOWNER is held, but the owner is not mapped in the target's user namespace")
	}
	return j.deny(n, RuleNotOwner, "EPERM", "owner only: the target is not its owner and has no CAP_FOWNER")
}

// unmapped is HAS_UNMAPPED_ID(): an id of the file is not mapped by the mount or by the superblock's user namespace.
func unmapped(n *Node) bool { return !n.UID.Seen.Mapped() || !n.GID.Seen.Mapped() }

// known reports whether both ids of the file are known, and ends the decision if not.
func (j *judge) known(n *Node) bool {
	if !n.UID.Known || !n.GID.Known {
		return j.unsure(RuleIdmapUnmapped, "the owner of "+n.Path+" as its mount shows it", n)
	}
	return true
}

// needMapped refuses a file of which an id is unmapped.
func (j *judge) needMapped(n *Node, errno Errno) bool {
	switch {
	case !j.known(n):
		return false
	case unmapped(n):
		return j.deny(n, RuleIdmapUnmapped, errno, "the mount maps no id to its owner or group on disk")
	}
	return true
}

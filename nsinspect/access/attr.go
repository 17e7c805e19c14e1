package access

import "github.com/nsview/nsview/idmap"

// chmod is chmod(2) (chmod_common(), setattr_prepare()).
func (j *judge) chmod() {
	at, ok := j.reach(j.w)
	if !ok {
		return
	}
	n := at.node
	if j.wantWrite(n) && j.flags(n) && j.needMapped(n, "EOVERFLOW") && j.setattr(n, attrMode) && (j.askServer(n) || j.needOwner(n)) {
		_ = j.changed(n) && j.mounterSets(n, attrMode)
	}
}

// chown is chown(2) and lchown(2) (chown_common() in fs/open.c, chown_ok() and chgrp_ok() in fs/attr.c).
func (j *judge) chown() {
	at, ok := j.reach(j.w)
	if !ok || !j.wantWrite(at.node) {
		return
	}
	n := at.node
	setUID, setGID := j.op.UID.Mapped(), j.op.GID.Mapped()
	uid, gid := j.ns.outside(idmap.UID, j.op.UID), j.ns.outside(idmap.GID, j.op.GID)
	if (setUID && !uid.Mapped() || setGID && !gid.Mapped()) &&
		!j.deny(n, RuleChownUnmappedCaller, "EINVAL", "the new owner is not mapped in the target's user namespace") {
		return
	}
	killing := n.Type != Directory && (n.Mode&0o4000 != 0 || n.Mode&0o2010 == 0o2010 || n.Mode&0o2000 != 0 && j.host.Kernel.Since(6, 2) && !j.inGroup(n.GID.Seen) && !j.capOver(n, capFsetid))
	// may_setattr() asks for the flags before notify_change() adds the mode without set-id bits.
	if (setUID || setGID) && !j.flags(n) {
		return
	}
	if !j.fitsMount(n, uid, setUID, gid, setGID) || !j.known(n) {
		return
	}
	if (!setUID && !n.UID.Seen.Mapped() || !setGID && !n.GID.Seen.Mapped()) &&
		!j.deny(n, RuleIdmapUnmapped, "EOVERFLOW", "an id that is to stay is not mapped by the mount") {
		return
	}
	if !j.flagsOfFS(n, killing) {
		return
	}
	changed := 0
	if setUID || setGID {
		changed = attrOwner
	}
	if killing {
		changed |= attrMode
	}
	if !j.setattr(n, changed) {
		return
	}
	if j.askServer(n) {
		return
	}
	if setUID && !j.mayGive(n, j.owner(n) && uid == n.UID.Seen, !n.UID.Seen.Mapped() && j.superCap(n, capChown)) {
		return
	}
	if setGID && !j.mayGive(n, j.owner(n) && (gid == n.GID.Seen || j.inGroup(gid)), !n.GID.Seen.Mapped() && j.superCap(n, capChown)) {
		return
	}
	if killing && !j.ownerOrCap(n) && !j.deny(n, RuleSUIDKill, "EPERM", "its set-id bits go with a new owner, which only its owner or CAP_FOWNER may do") {
		return
	}
	if j.changed(n) && (!setUID && !setGID || j.mounterSets(n, attrOwner)) && n.Overlay != nil && n.Overlay.Upper && n.Overlay.Real != nil {
		j.flagsOfFS(n.Overlay.Real, killing) // ovl_setattr() has it changed there
	}
}

// flagsOfFS is what ext4_setattr() and f2fs_setattr() ask besides: nothing changes of an immutable file, not even when
// nothing is to change, and no set-id bit goes from one that is append-only.
func (j *judge) flagsOfFS(n *Node, killing bool) bool {
	switch n.Mount.Super.FSType {
	case "ext4", "ext3", "f2fs":
	default:
		return true
	}
	if n.Immutable == Yes && !j.deny(n, RuleImmutable, "EPERM", "the file is immutable") {
		return false
	}
	return !killing || n.Append != Yes || j.deny(n, RuleAppend, "EPERM", "the file is append-only")
}

// fitsMount: the new owner has to be representable through an idmapped mount.
func (j *judge) fitsMount(n *Node, uid idmap.Kernel, setUID bool, gid idmap.Kernel, setGID bool) bool {
	m := n.Mount
	if !m.Idmapped {
		return true
	}
	if !m.MapKnown {
		j.hinge(n.Path, RuleChownUnmappedFS, "EOVERFLOW", "the id map of the mount at "+m.Point)
		return true
	}
	fits := func(kind idmap.Kind, id idmap.Kernel) bool { return m.IDs(j.host, kind).OnDisk(id).Mapped() }
	if _, told := j.superNS(n); !told {
		j.hinge(n.Path, RuleChownUnmappedFS, "EOVERFLOW", "whether the user namespace that owns the file system at "+m.Point+" has an id for the new owner")
	}
	if setUID && !fits(idmap.UID, uid) || setGID && !fits(idmap.GID, gid) {
		return j.deny(n, RuleChownUnmappedFS, "EOVERFLOW", "the mount's map has no id on disk for the new owner")
	}
	return true
}

// mayGive is chown_ok() or chgrp_ok(): own says that the owner may do it, orphan that the id is unmapped and CAP_CHOWN
// counts over the file system.
func (j *judge) mayGive(n *Node, own, orphan bool) bool {
	switch {
	case own:
		return j.pass(n, RuleModeOwner, "the target owns it")
	case j.capOver(n, capChown) || orphan:
		return j.pass(n, RuleCap+"CAP_CHOWN", "CAP_CHOWN")
	case j.held(capChown):
		return j.deny(n, RuleCapUnmappedInode, "EPERM", "CAP_CHOWN is held, but the file's ids are not both mapped in the target's user namespace")
	}
	return j.deny(n, RuleNotOwner, "EPERM", "a new owner needs CAP_CHOWN; a new group of one's own file, membership in it")
}

// utimes is utimensat(2) (vfs_utimes() in fs/utimes.c): now, for which W is enough, or explicit times.
func (j *judge) utimes() {
	at, ok := j.reach(j.w)
	if !ok || !j.wantWrite(at.node) {
		return
	}
	n := at.node
	if j.op.Op == OpUtimes {
		if j.flags(n) && j.needMapped(n, "EOVERFLOW") && j.setattr(n, attrTimes) && (j.askServer(n) || j.needOwner(n)) {
			_ = j.changed(n) && j.mounterSets(n, attrTimes)
		}
		return
	}
	if n.Immutable == Yes && !j.deny(n, RuleImmutable, "EPERM", "the file is immutable") {
		return
	}
	if n.Immutable == NotTold {
		j.immutableNotTold(n)
	}
	if !n.UID.Known {
		j.known(n)
		return
	}
	if j.ownerOrCap(n) || j.permission(n, wantW) {
		if j.needMapped(n, "EOVERFLOW") && j.setattr(n, attrTimes) {
			j.askServer(n)
			_ = j.changed(n) && j.mounterSets(n, attrTimes)
		}
	}
}

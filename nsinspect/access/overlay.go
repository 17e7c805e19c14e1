package access

import (
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// mounterPermission is the second half of ovl_permission() (fs/overlayfs/inode.c): whoever mounted the overlay needs the
// same of the file in its layer. What is only in a lower layer will be copied up, for which it is read.
func (j *judge) mounterPermission(n *Node, want uint32) bool {
	o := n.Overlay
	if o == nil || o.Unhindered {
		return true
	}
	changes := want&wantW != 0 && (n.Type == Regular || n.Type == Directory || n.Type == Symlink)
	if changes && o.Upper && !j.upperWritable(n) {
		return false
	}
	mounter := j.mounter(o)
	if mounter == nil {
		j.assume("who mounted the overlay may use its layers")
		return true
	}
	if o.Real == nil {
		if !mounter.ns.Initial {
			return j.unknown(n.Path, RuleOverlayMounter, "the layers of the overlay at "+n.Mount.Point+": "+o.Missing)
		}
		j.assume("who mounted the overlay may use its layers")
		return true
	}
	if !o.Upper && changes {
		want = want&^wantW | wantR
	}
	return j.asMounter(mounter, n, func() bool { return mounter.permission(o.Real, want) })
}

// mounter is the judge of the one who mounted an overlay. No interface shows its credentials: it is taken to be root of
// the user namespace that it was mounted in, with all capabilities. nil without an overlay and where that is not known.
func (j *judge) mounter(o *Overlay) *judge {
	if o == nil {
		return nil
	}
	ns := j.host.UserNS[o.MounterNS]
	if ns == nil {
		return nil
	}
	m := &judge{s: &Subject{Target: "the mounter of the overlay", UserNS: o.MounterNS}, w: j.w, host: j.host, ns: ns, without: j.without, caps: EveryCap}
	m.fsuid, m.fsgid = ns.outside(idmap.UID, 0), ns.outside(idmap.GID, 0)
	if !ns.Initial {
		j.assume("who mounted the overlay is root of its user namespace, with all capabilities")
	}
	m.euid = m.fsuid
	m.s.Cred.UID = nsinspect.IDs{Real: m.fsuid, Effective: m.fsuid, Saved: m.fsuid, FS: m.fsuid}
	m.s.Cred.GID = nsinspect.IDs{Real: m.fsgid, Effective: m.fsgid, Saved: m.fsgid, FS: m.fsgid}
	return m
}

// asMounter makes a check as the mounter and takes its refusal as the subject's. The groups of who mounted the overlay are
// not shown either (a rootless engine keeps those of its user): where they matter, the answer is unknown.
func (j *judge) asMounter(m *judge, n *Node, check func() bool) bool {
	ok := check()
	if !m.ns.Initial && m.v.Verdict != Unknown {
		was, hinges := m.v, m.hinges
		m.v, m.everyGroup = Verdict{}, true
		other := check()
		unknown := m.v.Verdict == Unknown
		m.v, m.hinges, m.everyGroup = was, hinges, false
		if other != ok && !unknown {
			return j.unknown(n.Path, RuleOverlayMounter, "which groups who mounted the overlay is in, of those that its layer asks for")
		}
	}
	if ok {
		j.hinges = append(j.hinges, m.hinges...)
		return true
	}
	last := m.v.Steps[len(m.v.Steps)-1]
	if m.v.Verdict == Unknown {
		j.doubts = m.doubts
		return j.unknown(n.Path, RuleOverlayMounter, m.v.Missing)
	}
	return j.deny(n, RuleOverlayMounter, last.Errno, "who mounted the overlay is refused by its layer: "+last.Detail)
}

// upperWritable refuses a change where the file system of the upper layer is read-only.
func (j *judge) upperWritable(n *Node) bool {
	switch n.Overlay.UpperReadOnly {
	case Yes:
		return j.deny(n, RuleROSuper, "EROFS", "the file system of the overlay's upper layer is read-only")
	case NotTold:
		j.assume("the file system of the overlay's upper layer is writable")
	}
	return true
}

// changed is what a change to a file of an overlay comes to last: it is copied up unless it is in the upper layer already,
// and the change is made there (ovl_want_write() in fs/overlayfs/util.c).
func (j *judge) changed(n *Node) bool {
	return n.Overlay == nil || j.copyUp(n) && j.upperWritable(n)
}

// copyUp is what a change to a file of a lower layer needs first: its parents and itself are made in the upper layer, by
// who mounted the overlay (fs/overlayfs/copy_up.c).
func (j *judge) copyUp(n *Node) bool {
	o := n.Overlay
	if o.Unhindered || o.Upper || o.Real == nil {
		if o.Real == nil && !o.Unhindered {
			j.assume("what the overlay has to copy up can be")
		}
		return true
	}
	m := j.mounter(o)
	if m == nil || !j.host.Kernel.Since(6, 2) {
		return true
	}
	for _, real := range append(o.CopyUp[:len(o.CopyUp):len(o.CopyUp)], o.Real) {
		// ovl_copy_up_one() asks for the owner before it wants to write, and for the rest after that.
		if !j.ownerCopies(m, n, real) || !j.upperWritable(n) {
			return false
		}
		if !m.ns.Initial && (real.Type == CharDevice || real.Type == BlockDevice) { // vfs_mknod()
			return j.deny(n, RuleOverlayCopyUp, "EPERM", "copy-up of "+real.Path+": whoever mounted the overlay may make no devices")
		}
		if !j.aclsCopy(m, n, real) {
			return false
		}
	}
	// ovl_copy_xattr() reads them as the mounter.
	if !m.seesFileCaps(o.Real) {
		return j.deny(n, RuleOverlayCopyUp, "EOVERFLOW", "copy-up of "+o.Real.Path+": its file capabilities are for a root that is none for who mounted the overlay")
	}
	return true
}

// ownerCopies refuses a copy of a file whose owner has no number for who mounted the overlay.
func (j *judge) ownerCopies(m *judge, n, real *Node) bool {
	switch {
	case !real.UID.Known || !real.GID.Known:
		j.hinge(n.Path, RuleOverlayCopyUp, "EOVERFLOW", "the owner of "+real.Path+" as its mount shows it")
	case !m.uidMapped(real.UID.Seen) || !m.gidMapped(real.GID.Seen):
		return j.deny(n, RuleOverlayCopyUp, "EOVERFLOW", "copy-up of "+real.Path+": its owner is not mapped in the user namespace of who mounted the overlay")
	}
	return true
}

// aclsCopy refuses a copy of a file whose ACLs name who has no number for who mounted the overlay.
func (j *judge) aclsCopy(m *judge, n, real *Node) bool {
	if real.ACLMissing != "" && !m.ns.Initial {
		j.hinge(n.Path, RuleOverlayCopyUp, "EINVAL", "the ACL of "+real.Path+": "+real.ACLMissing)
	}
	for _, a := range []*ACL{real.ACL, real.DefaultACL} {
		if a == nil {
			continue
		}
		for _, e := range a.Entries {
			if e.Tag == ACLUser && !m.uidMapped(e.ID) || e.Tag == ACLGroup && !m.gidMapped(e.ID) {
				return j.deny(n, RuleOverlayCopyUp, "EINVAL", "copy-up of "+real.Path+": its ACL names an id that is not mapped in the user namespace of who mounted the overlay")
			}
		}
	}
	return true
}

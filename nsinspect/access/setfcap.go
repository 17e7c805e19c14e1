package access

import "github.com/nsview/nsview/idmap"

// setFileCaps is cap_convert_nscap() (security/commoncap.c): CAP_SETFCAP, and a root for whom the capabilities are to
// count. That is uid 0 of the subject's user namespace, which the mount and the file system have to have an id for, unless
// the subject may speak for the whole file system.
func (j *judge) setFileCaps(n *Node) bool {
	switch {
	case j.capOver(n, capSetfcap):
	case !j.held(capSetfcap):
		return j.deny(n, RuleCap+"CAP_SETFCAP", "EPERM", "file capabilities need CAP_SETFCAP")
	default:
		return j.deny(n, RuleCapUnmappedInode, "EPERM", "CAP_SETFCAP is held, but the file's ids are not both mapped in the target's user namespace")
	}
	m := n.Mount
	if !m.Idmapped && j.nsCap(m.Super.UserNS, capSetfcap) {
		return true
	}
	root := j.ns.outside(idmap.UID, 0)
	switch {
	case !root.Mapped():
		return j.deny(n, RuleFileCaps, "EINVAL", "file capabilities are for a root, and the target's user namespace has no uid 0")
	case m.Idmapped && !m.MapKnown:
		return j.unknown(n.Path, RuleFileCaps, "the id map of the mount at "+m.Point)
	case !m.IDs(j.host, idmap.UID).OnDisk(root).Mapped():
		return j.deny(n, RuleFileCaps, "EINVAL", "file capabilities are for a root, and the mount or file system has no id for that of the target's user namespace")
	}
	return true
}

// fileCapsShown is cap_inode_getsecurity() (security/commoncap.c): file capabilities that were set for a root whom the
// subject's user namespace has no id for, and who is root of none above it, are not shown to it.
func (j *judge) fileCapsShown(n *Node) bool {
	switch {
	case n.CapsMissing != "":
		return j.unknown(n.Path, RuleFileCaps, "the file capabilities of "+n.Path+": "+n.CapsMissing)
	case n.Caps != nil && !j.host.InitialNS:
		return j.unknown(n.Path, RuleFileCaps, "for whose root the file capabilities of "+n.Path+" are")
	case j.seesFileCaps(n):
		return true
	}
	return j.deny(n, RuleFileCaps, "EOVERFLOW", "the target's user namespace has no id for the root that the file capabilities are for")
}

// seesFileCaps reports whether reading file capabilities gives any, or that there are none.
func (j *judge) seesFileCaps(n *Node) bool {
	return n.Caps == nil || j.uidMapped(n.Caps.RootID) || j.capsFor(n)
}

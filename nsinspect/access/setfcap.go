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
	root := idmap.Kernel(0)
	if !j.ns.Initial {
		root = j.ns.UID.ToOutside(0)
	}
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

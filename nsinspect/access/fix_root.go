package access

import (
	"github.com/nsview/nsview/idmap"
)

// deed is what a command of a fix does to one file. Root of the observer carries it out, whom the kernel may refuse too:
// capabilities do not help against a flag, a read-only mount, or an overlay whose mounter has no id for the owner.
type deed struct {
	node *Node
	op   Operation
	ids  []idmap.Kernel // that are written: whoever mounted an overlay must have them
}

// chmodOf, aclOf and chownOf are the deeds of chmod, setfacl, and of chown and chgrp. An id that is unmapped stays.
func chmodOf(n *Node) deed { return deed{node: n, op: Operation{Op: OpChmod, Mode: n.Mode}} }

func aclOf(n *Node, ids ...idmap.Kernel) deed {
	return deed{node: n, op: Operation{Op: OpSetxattr, Name: aclAccess}, ids: ids}
}

func chownOf(n *Node, uid, gid idmap.Kernel) deed {
	return deed{node: n, op: Operation{Op: OpChown, UID: idmap.Inside(uid), GID: idmap.Inside(gid)}, ids: []idmap.Kernel{uid, gid}}
}

// rootMay reports whether root of the observer may do all of a change, as things are in the walk.
func (c *change) rootMay(s *Subject, w *Walk) bool {
	for _, d := range c.deeds {
		if !d.rootMay(s, w) {
			return false
		}
	}
	return true
}

func (d *deed) rootMay(s *Subject, w *Walk) bool {
	var initial *UserNS
	if w.Host != nil {
		for _, ns := range w.Host.UserNS {
			if ns.Initial {
				initial = ns
			}
		}
	}
	if initial == nil {
		return true // the observer is in a user namespace: its root is not known
	}
	now := d.node
	eachNode(w, func(x *Node) {
		if x.Path == d.node.Path && sameFile(x, d.node) {
			now = x
		}
	})
	n := *now
	op := d.op
	if at := placeOf(s, &n); !at.same && n.Mount != nil {
		// Through another mount, of which it is only known that it is not idmapped.
		uids, gids := n.Mount.IDs(w.Host, idmap.UID), n.Mount.IDs(w.Host, idmap.GID)
		plain := *n.Mount
		plain.Idmapped, plain.ReadOnly = false, false
		n.Mount = &plain
		n.UID.Seen, n.GID.Seen = elsewhere(uids, n.UID), elsewhere(gids, n.GID)
		if op.Op == OpChown {
			op.UID, op.GID = written(uids, op.UID), written(gids, op.GID)
		}
	}
	if o := n.Overlay; o != nil {
		m := w.Host.UserNS[o.MounterNS]
		if o.Missing != "" || m == nil {
			return false
		}
		uids, gids := append([]idmap.Kernel{n.UID.Seen}, d.ids...), append([]idmap.Kernel{n.GID.Seen}, d.ids...)
		if op.Op == OpChown {
			uids, gids = []idmap.Kernel{n.UID.Seen, d.ids[0]}, []idmap.Kernel{n.GID.Seen, d.ids[1]}
		}
		if !m.Initial && (!hasAll(m.UID, uids) || !hasAll(m.GID, gids)) {
			return false
		}
	}
	root := Subject{UserNS: initial.Inode}
	root.Cred.CapEff, root.Cred.CapPrm, root.Cred.CapBnd = 1<<64-1, 1<<64-1, 1<<64-1
	return Decide(&root, &Walk{Host: w.Host, Path: n.Path, Start: &n}, op).Verdict == Allow
}

// elsewhere is an id as a mount without a map shows it.
func elsewhere(t idmap.MountIDs, id ID) idmap.Kernel {
	if !t.Idmapped {
		return id.Seen
	}
	t.Idmapped = false
	return t.SeenAs(id.OnDisk)
}

// written is an id that is given through a mount with a map, as one without has to be told it.
func written(t idmap.MountIDs, id idmap.Inside) idmap.Inside {
	if !t.Idmapped || !id.Mapped() {
		return id
	}
	disk := t.OnDisk(idmap.Kernel(id))
	t.Idmapped = false
	return idmap.Inside(t.SeenAs(disk))
}

func hasAll(m idmap.Map, ids []idmap.Kernel) bool {
	for _, id := range ids {
		if id.Mapped() && !m.ToInside(id).Mapped() {
			return false
		}
	}
	return true
}

package access

// An overlay makes a change in its upper layer as who mounted it, and the kernel asks that one as it would ask anybody. It
// has all capabilities in its user namespace, so that this matters only where a file has ids which that does not map. In a
// lower layer the copy-up has failed before.

// mounterRemoves is may_delete() for the mounter, of a name that the upper layer has or will have (ovl_do_remove() and
// ovl_rename() in fs/overlayfs/dir.c).
func (j *judge) mounterRemoves(dir, n *Node) bool {
	m := j.mounterOf(n)
	if m == nil || dir.Overlay == nil || dir.Overlay.Real == nil {
		return true
	}
	return j.asMounter(m, n, func() bool { return m.sticky(dir.Overlay.Real, n.Overlay.Real) })
}

// mounterSets is setattr_prepare() for the mounter (ovl_setattr() in fs/overlayfs/inode.c).
func (j *judge) mounterSets(n *Node, what int) bool {
	m := j.mounterOf(n)
	if m == nil {
		return true
	}
	real := n.Overlay.Real
	return j.asMounter(m, n, func() bool {
		switch {
		case what == attrOwner:
			return m.mayGive(real, false, false)
		case j.op.Op == OpTouch:
			return m.ownerOrCap(real) || m.permission(real, wantW)
		}
		return m.needOwner(real)
	})
}

// mounterOf is who mounted the overlay of a file in its upper layer, nil for any other file.
func (j *judge) mounterOf(n *Node) *judge {
	if n.Overlay == nil || n.Overlay.Real == nil || !n.Overlay.Upper {
		return nil
	}
	return j.mounter(n.Overlay)
}

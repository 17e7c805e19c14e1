package access

// rename is renameat2(2) (do_renameat2() and vfs_rename() in fs/namei.c).
func (j *judge) rename() {
	if !j.hasNew() {
		return
	}
	from, ok := j.walk(toLast(j.w))
	if !ok {
		return
	}
	to, ok := j.walk(toLast(j.w.New))
	if !ok {
		return
	}
	if from.dir != nil && to.dir != nil && from.dir.Mount.ID != to.dir.Mount.ID {
		j.denyAt(to.path, "", RuleXDev, "EXDEV", "the two paths are on different mounts")
		return
	}
	if j.w.Last != "" || j.w.New.Last != "" || from.dir == nil || to.dir == nil {
		errno := Errno("EBUSY")
		if j.op.Op == OpNoreplace && (j.w.Last == "" && from.dir != nil) {
			errno = "EEXIST"
		}
		j.denyAt(from.path, "", RuleBusy, errno, "the path names no entry of a directory")
		return
	}
	for _, w := range []*Walk{j.w, j.w.New} {
		if failsLast(w) {
			j.failed(w)
			return
		}
	}
	if j.wantWrite(from.dir) && j.renamed(from, to) {
		j.moved(from, to)
	}
}

// failsLast reports whether it is the lookup of the last name that an overlay refuses.
func failsLast(w *Walk) bool { return w.Fail == "EROFS" && len(w.Rest) == 0 && len(w.Steps) > 0 }

// toLast is a walk without what the lookup of its last name comes to: the last names of a rename are looked up after both
// paths are walked to their directories and these are found to be on one mount.
func toLast(w *Walk) *Walk {
	if !failsLast(w) {
		return w
	}
	to := *w
	to.Fail = ""
	return &to
}

// hasNew reports whether the second path is among the facts, and ends the decision if not.
func (j *judge) hasNew() bool {
	return j.w.New != nil || j.unknown(j.op.New, RuleNone, "what the second path is")
}

// renamed are the checks of the two names.
func (j *judge) renamed(from, to found) bool {
	exchange := j.op.Op == OpExchange
	switch {
	case from.node == nil:
		return j.absent(from)
	case to.node == nil && (!j.notRemoved(to) || !j.mayBeNew(to)):
		return false
	case to.node != nil && j.op.Op == OpNoreplace:
		return j.deny(to.node, RuleExists, "EEXIST", "the new name is there")
	case to.node == nil && exchange:
		return j.absent(to)
	case exchange && to.node.Type != Directory && j.w.New.TrailingSlash:
		return j.deny(to.node, RuleNotDir, "ENOTDIR", "the path ends in a slash")
	case from.node.Type != Directory && j.w.TrailingSlash:
		return j.deny(from.node, RuleNotDir, "ENOTDIR", "the path ends in a slash")
	case from.node.Type != Directory && !exchange && j.w.New.TrailingSlash:
		return j.denyAt(to.path, "", RuleNotDir, "ENOTDIR", "the path ends in a slash")
	case j.w.Ancestor == "old":
		return j.denyAt(to.path, "", RuleInvalid, "EINVAL", "a directory is not moved into itself")
	case j.w.Ancestor == "new" && exchange:
		return j.denyAt(from.path, "", RuleInvalid, "EINVAL", "a directory is not exchanged with what is in it")
	case j.w.Ancestor == "new":
		return j.denyAt(to.path, "", RuleNotEmpty, "ENOTEMPTY", "the new name is a directory above the old one")
	}
	return true
}

// moved is vfs_rename().
func (j *judge) moved(from, to found) {
	if j.w.SameFile {
		j.pass(from.node, RuleNone, "both names are one file: nothing is done")
		return
	}
	exchange := j.op.Op == OpExchange
	dir := from.node.Type == Directory
	if !j.mayDelete(from.dir, from.node, dir) {
		return
	}
	if to.node == nil {
		if !j.mayCreate(to.dir) {
			return
		}
	} else {
		want := dir
		if exchange {
			want = to.node.Type == Directory
		}
		if !j.mayDelete(to.dir, to.node, want) {
			return
		}
	}
	if !j.hasOp(from.dir, fsRename) {
		return
	}
	if !j.w.SameDir {
		// The entry ".." of a directory changes with it.
		if dir && !j.permission(from.node, wantW) {
			return
		}
		if exchange && to.node.Type == Directory && !j.permission(to.node, wantW) {
			return
		}
	}
	if !j.notBusy(from.node) || to.node != nil && !j.notBusy(to.node) {
		return
	}
	if !j.doneBy(from.dir, fsRename) {
		return
	}
	if !j.redirected(from.node) || exchange && !j.redirected(to.node) {
		return
	}
	if to.node != nil && !exchange && to.node.Type == Directory && !j.empty(to.node) {
		return
	}
	if j.changed(from.node) && j.madeIn(from.dir) && j.madeIn(to.dir) && (!exchange || j.changed(to.node)) && j.mounterRemoves(from.dir, from.node) && to.node != nil {
		j.mounterRemoves(to.dir, to.node)
	}
}

// redirected is whether an overlay can give a directory of a lower layer another name (ovl_can_move()).
func (j *judge) redirected(n *Node) bool {
	if o := n.Overlay; o == nil || n.Type != Directory || !o.Merged && o.Upper {
		return true
	}
	switch n.Overlay.Redirect {
	case No:
		return j.deny(n, RuleXDev, "EXDEV", "the overlay gives no other name to a directory of a lower layer (redirect_dir=off)")
	case NotTold:
		return j.unknown(n.Path, RuleXDev, "whether the overlay redirects directories (redirect_dir); else it is EXDEV")
	}
	return true
}

// link is linkat(2) without following (do_linkat(), may_linkat(), vfs_link()).
func (j *judge) link() {
	from, ok := j.reach(j.w)
	if !ok || !j.hasNew() {
		return
	}
	to, ok := j.walk(j.w.New)
	if !ok {
		return
	}
	if j.w.New.Last != "" || to.dir == nil {
		j.denyAt(to.path, "", RuleExists, "EEXIST", "the path names no entry of a directory")
		return
	}
	if !j.newName(to, j.w.New, false) {
		return
	}
	n := from.node
	if n.Mount.ID != to.dir.Mount.ID && !j.denyAt(to.path, "", RuleXDev, "EXDEV", "the two paths are on different mounts") {
		return
	}
	if !j.needMapped(n, "EOVERFLOW") || !j.protectedHardlink(n) || !j.mayCreate(to.dir) || !j.flags(n) || !j.hasOp(to.dir, fsLink) {
		return
	}
	if n.Type == Directory {
		j.deny(n, RuleIsDir, "EPERM", "a directory has one name only")
		return
	}
	if j.changed(n) {
		j.madeIn(to.dir)
	}
}

// protectedHardlink is may_linkat(): fs.protected_hardlinks.
func (j *judge) protectedHardlink(n *Node) bool {
	if j.host.ProtectedHardlinks == 0 || j.ownerOrCap(n) {
		return true
	}
	safe := n.Type == Regular && n.Mode&0o4000 == 0 && n.Mode&0o2010 != 0o2010
	if safe {
		probe := *j
		probe.v.Steps = nil
		switch {
		case probe.permission(n, wantR|wantW):
			j.hinges = probe.hinges
			return true
		case probe.v.Verdict == Unknown:
			j.doubts = probe.doubts
			return j.unknown(n.Path, RuleProtectedHardlinks, probe.v.Missing)
		}
	}
	if j.host.ProtectedHardlinks < 0 {
		return j.unknown(n.Path, RuleProtectedHardlinks, "fs.protected_hardlinks")
	}
	return j.deny(n, RuleProtectedHardlinks, "EPERM", "fs.protected_hardlinks: neither the target's own nor one that it may read and write")
}

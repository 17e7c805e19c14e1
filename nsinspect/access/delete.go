package access

// remove is unlink(2) and rmdir(2) (do_unlinkat(), do_rmdir()).
func (j *judge) remove() {
	at, ok := j.walk(j.w)
	if !ok {
		return
	}
	rmdir := j.op.Op == OpRmdir
	if j.w.Last != "" || at.dir == nil {
		errno := Errno("EISDIR")
		if rmdir {
			errno = map[string]Errno{".": "EINVAL", "..": "ENOTEMPTY"}[j.w.Last]
			if errno == "" {
				errno = "EBUSY"
			}
		}
		j.denyAt(at.path, "", RuleInvalid, errno, "the path names no entry of a directory")
		return
	}
	if !j.wantWrite(at.dir) {
		return
	}
	if at.node == nil {
		j.absent(at)
		return
	}
	n := at.node
	if !rmdir && j.w.TrailingSlash {
		if n.Type == Directory {
			j.deny(n, RuleIsDir, "EISDIR", "it is a directory")
		} else {
			j.deny(n, RuleNotDir, "ENOTDIR", "the path ends in a slash")
		}
		return
	}
	op := fsUnlink
	if rmdir {
		op = fsRmdir
	}
	if !j.mayDelete(at.dir, n, rmdir) || !j.hasOp(at.dir, op) || !j.notBusy(n) || !j.doneBy(at.dir, op) {
		return
	}
	if rmdir && !j.empty(n) {
		return
	}
	if j.madeIn(at.dir) {
		j.mounterRemoves(at.dir, n)
	}
}

// mayDelete is may_delete() (fs/namei.c). Permissions of the victim itself do not matter.
func (j *judge) mayDelete(dir, victim *Node, directory bool) bool {
	if !j.needMapped(victim, "EOVERFLOW") || !j.permission(dir, wantW|wantX) {
		return false
	}
	if dir.Append == Yes && !j.deny(dir, RuleAppend, "EPERM", "the directory is append-only") {
		return false
	}
	if !j.sticky(dir, victim) || !j.flags(victim) {
		return false
	}
	switch {
	case directory && victim.Type != Directory:
		return j.deny(victim, RuleNotDir, "ENOTDIR", "it is no directory")
	case !directory && victim.Type == Directory:
		return j.deny(victim, RuleIsDir, "EISDIR", "it is a directory")
	}
	return true
}

// sticky is check_sticky(): CAP_FOWNER is asked for the victim, with both its ids.
func (j *judge) sticky(dir, victim *Node) bool {
	if dir.Mode&0o1000 == 0 {
		return true
	}
	if !j.known(dir) || !j.known(victim) {
		return false
	}
	switch {
	case j.owner(victim) || j.owner(dir):
		return true
	case j.capOver(victim, capFowner):
		return j.pass(victim, RuleCap+"CAP_FOWNER", "the directory is sticky, CAP_FOWNER overrides that")
	}
	return j.deny(victim, RuleSticky, "EPERM", "the directory is sticky, and neither it nor the file is the target's")
}

// notBusy refuses a mount point.
func (j *judge) notBusy(n *Node) bool {
	return n.Busy != Yes || j.deny(n, RuleBusy, "EBUSY", "something is mounted on it")
}

// empty refuses a directory with entries. An overlay reads the layers for that, as who mounted it.
func (j *judge) empty(n *Node) bool {
	if n.Overlay != nil && n.Overlay.Real != nil {
		m := j.mounter(n.Overlay)
		for _, real := range append([]*Node{n.Overlay.Real}, n.Overlay.Below...) {
			if m != nil && !j.asMounter(m, n, func() bool { return m.permission(real, wantR) }) {
				return false
			}
		}
	}
	switch n.Empty {
	case No:
		return j.deny(n, RuleNotEmpty, "ENOTEMPTY", "the directory has entries")
	case NotTold:
		return j.unknown(n.Path, RuleNotEmpty, "whether the directory "+n.Path+" is empty")
	}
	return true
}

package access

import "github.com/nsview/nsview/idmap"

// maxInterpreters is how many "#!" are followed (BINPRM_MAX_RECURSION in fs/exec.c).
const maxInterpreters = 5

// exec is execve(2): the file, its interpreters, and what its set-id bits and capabilities come to.
func (j *judge) exec() {
	w := j.w
	for depth := 0; ; depth++ {
		at, ok := j.reach(w)
		if !ok {
			return
		}
		n := at.node
		if n.Type != Regular {
			if n.Type == Symlink {
				j.deny(n, RuleSymlinkLoop, "ELOOP", "a symbolic link is not executed")
				return
			}
			j.deny(n, RuleInvalid, "EACCES", "only a regular file is executed")
			return
		}
		if !j.mayExec(n) || !j.permission(n, wantX) {
			return
		}
		j.assume(n.Path + " is not open for writing (ETXTBSY)")
		if !j.mounterReads(n) {
			return
		}
		switch {
		case n.Exec == nil:
			j.unknown(n.Path, RuleFormat, "what kind of program "+n.Path+" is")
			return
		case n.Exec.Missing != "":
			j.unknown(n.Path, RuleFormat, "what kind of program "+n.Path+" is: "+n.Exec.Missing)
			return
		case n.Exec.Format == "unknown":
			j.deny(n, RuleFormat, Errno(orElse(string(n.Exec.Fail), "ENOEXEC")), "the kernel knows no such format")
			return
		case n.Exec.Format == "script" && depth == maxInterpreters:
			j.deny(n, RuleSymlinkLoop, "ELOOP", "too many interpreters")
			return
		case n.Exec.Interpreter == nil:
			j.gains(n)
			return
		}
		w = n.Exec.Interpreter
		if n.Exec.Format == "elf" {
			j.loader(w, n)
			return
		}
	}
}

// loader is the ELF interpreter: it needs x only, and gives no ids.
func (j *judge) loader(w *Walk, program *Node) {
	at, ok := j.reach(w)
	if ok && at.node.Type != Regular {
		j.deny(at.node, RuleInvalid, "EACCES", "only a regular file is executed")
		return
	}
	if !ok || !j.mayExec(at.node) || !j.permission(at.node, wantX) || !j.mounterReads(at.node) {
		return
	}
	switch e := at.node.Exec; {
	case e == nil || e.Missing != "":
		j.assume(at.node.Path + " is an ELF interpreter")
	case e.Format == "script":
		j.deny(at.node, RuleFormat, "ELIBBAD", "an ELF interpreter is an ELF program itself")
		return
	case e.Loader != "":
		j.deny(at.node, RuleFormat, e.Loader, "it is no ELF interpreter")
		return
	}
	j.gains(program)
}

// mounterReads: an overlay opens the real file with the mounter's credentials, for which x alone is not enough.
func (j *judge) mounterReads(n *Node) bool {
	if n.Overlay == nil || n.Overlay.Real == nil {
		return true
	}
	m := j.mounter(n.Overlay)
	return m == nil || j.asMounter(m, n, func() bool { return m.permission(n.Overlay.Real, wantR) })
}

// gains is the one way in which what a program would gain can refuse it (cap_bprm_creds_from_file() in
// security/commoncap.c): file capabilities with the effective flag that the bounding set does not let it have.
func (j *judge) gains(n *Node) {
	if n.CapsMissing != "" {
		j.assume(n.Path + " has no file capabilities: " + n.CapsMissing)
		return
	}
	if o := n.Overlay; o != nil && o.Real != nil && j.maySUID(n) {
		// An overlay reads them as who mounted it (ovl_xattr_get()).
		if m := j.mounter(o); m != nil && !m.seesFileCaps(o.Real) {
			j.deny(n, RuleFileCaps, "EOVERFLOW", "its file capabilities are for a root that is none for who mounted the overlay")
			return
		}
	}
	if n.Caps == nil || !n.Caps.Effective || !j.maySUID(n) || !j.capsFor(n) {
		return
	}
	c := &j.s.Cred
	permitted := c.CapBnd&n.Caps.Permitted | c.CapInh&n.Caps.Inheritable
	if n.Caps.Permitted&^permitted != 0 {
		j.deny(n, RuleFileCaps, "EPERM", "its file capabilities are not all in the target's bounding set")
	}
}

// maySUID is mnt_may_suid(): whether set-id bits and file capabilities of the mount count for the subject.
func (j *judge) maySUID(n *Node) bool {
	if n.Mount.NoSUID || n.Mount.Foreign {
		return false
	}
	ns, told := j.superNS(n)
	return told && j.within(ns.Inode)
}

// capsFor reports whether the root for whom the file's capabilities were set is root of the subject's user namespace or
// of one above it.
func (j *judge) capsFor(n *Node) bool {
	root := n.Caps.RootID // 0 for revision 2: the kernel shows an observer whose root it is not a revision 3
	for ns, at := j.ns, 0; ns != nil && at <= len(j.host.UserNS); ns, at = j.host.UserNS[ns.Parent], at+1 {
		if root.Mapped() && ns.outside(idmap.UID, 0) == root {
			return true
		}
	}
	return false
}

package access

import "strconv"

// What is wanted of a file: bits as in a mode.
const (
	wantX = 1
	wantW = 2
	wantR = 4
)

// search is may_lookup(): the directory that a name is looked up in has to be searchable.
func (j *judge) search(dir *Node) bool {
	before := len(j.v.Steps)
	if j.permission(dir, wantX) {
		if len(j.v.Steps) > before { // a rule that is left out leaves no step
			j.v.Steps[len(j.v.Steps)-1].Rule = RuleWalkX
		}
		return true
	}
	if j.v.Verdict == Deny {
		last := j.v.Steps[len(j.v.Steps)-1]
		j.v.Steps = append(j.v.Steps[:len(j.v.Steps)-1],
			Step{Component: dir.Path, Rule: RuleWalkX, Result: Deny, Errno: last.Errno, Detail: "search (x) of the directory"}, last)
	}
	return false
}

// permission is inode_permission() (fs/namei.c): R, W and X of one file, at once.
func (j *judge) permission(n *Node, want uint32) bool {
	if want&wantW != 0 && !j.writable(n) {
		return false
	}
	if name, ok := sysctlName(n); ok {
		return j.sysctl(n, name, want)
	}
	if n.OwnFDs { // proc_fd_permission() in fs/proc/fd.c
		return j.pass(n, RuleNone, "the target's own descriptors, of which procfs lets it do anything")
	}
	if !j.fuseAllows(n) {
		return false
	}
	if j.askServer(n) {
		return j.served(n, want)
	}
	j.ownChecks(n, want)
	return j.generic(n, want) && j.mounterPermission(n, want)
}

// writable is what is asked before any mode when W is wanted.
func (j *judge) writable(n *Node) bool {
	if n.Mount.Super.ReadOnly && (n.Type == Regular || n.Type == Directory || n.Type == Symlink) &&
		!j.deny(n, RuleROSuper, "EROFS", "write (w): the file system is read-only") {
		return false
	}
	switch n.Immutable {
	case Yes:
		if !j.deny(n, RuleImmutable, "EPERM", "write (w): the file is immutable") {
			return false
		}
	case NotTold:
		j.immutableNotTold(n)
	}
	return j.needMapped(n, "EACCES")
}

func (j *judge) immutableNotTold(n *Node) {
	switch n.Mount.Super.FSType {
	case "ext4", "ext3", "ext2", "xfs", "btrfs", "tmpfs", "f2fs", "overlay":
		j.assume(n.Path + " is neither immutable nor append-only: its attributes could not be read")
	}
}

// generic is generic_permission(): the one class that the subject is in, then capabilities.
func (j *judge) generic(n *Node, want uint32) bool {
	if !j.known(n) {
		return false
	}
	rule, perm, detail := j.class(n, want)
	if rule == RuleNone {
		return false // unknown
	}
	if detail == "" {
		detail = permText(want) + " wanted: mode " + modeText(n) + ", of which " + permText(perm) + " counts"
	}
	if want&^perm == 0 {
		return j.pass(n, rule, detail)
	}
	bit, name := j.override(n, want)
	if bit >= 0 {
		return j.pass(n, RuleCap+Rule(name), detail+"; "+name+" overrides it")
	}
	if name != "" {
		return j.deny(n, RuleCapUnmappedInode, "EACCES", detail+"; "+name+" is held, but the file's ids are not both mapped in the target's user namespace")
	}
	return j.deny(n, rule, "EACCES", detail)
}

// modeText is a mode as chmod(1) takes it.
func modeText(n *Node) string { return strconv.FormatUint(uint64(n.Mode&0o7777|0o10000), 8)[1:] }

// class is which bits count for the subject. RuleNone: not known.
func (j *judge) class(n *Node, want uint32) (rule Rule, perm uint32, detail string) {
	switch {
	case j.owner(n):
		return RuleModeOwner, n.Mode >> 6 & 7, ""
	case n.ACLMissing != "" && n.Mode&0o070 != 0:
		j.unsure(RuleACLUser, "the ACL of "+n.Path+": "+n.ACLMissing, n)
		return RuleNone, 0, ""
	case n.ACL != nil && n.Mode&0o070 != 0:
		return j.acl(n.ACL, n, want)
	case j.inGroup(n.GID.Seen):
		return RuleModeGroup, n.Mode >> 3 & 7, ""
	}
	return RuleModeOther, n.Mode & 7, ""
}

// override is what a capability adds: its bit and name, or -1 and the name of one that is held but does not count.
func (j *judge) override(n *Node, want uint32) (int, string) {
	readSearch, all := want == wantR, want&wantX == 0 || n.Mode&0o111 != 0
	if n.Type == Directory {
		readSearch, all = want&wantW == 0, true
	}
	switch {
	case readSearch && j.capOver(n, capDACReadSearch):
		return capDACReadSearch, "CAP_DAC_READ_SEARCH"
	case all && j.capOver(n, capDACOverride):
		return capDACOverride, "CAP_DAC_OVERRIDE"
	case all && j.held(capDACOverride):
		return -1, "CAP_DAC_OVERRIDE"
	case readSearch && j.held(capDACReadSearch):
		return -1, "CAP_DAC_READ_SEARCH"
	}
	return -1, ""
}

// wantWrite is mnt_want_write(): EROFS of the file system or of the mount.
func (j *judge) wantWrite(n *Node) bool {
	return j.writableSuper(n) && j.writableMount(n)
}

func (j *judge) writableSuper(n *Node) bool {
	return !n.Mount.Super.ReadOnly || j.deny(n, RuleROSuper, "EROFS", "the file system is read-only")
}

func (j *judge) writableMount(n *Node) bool {
	return !n.Mount.ReadOnly || j.deny(n, RuleROMount, "EROFS", "the mount is read-only")
}

// flags refuses a change to an immutable or append-only file.
func (j *judge) flags(n *Node) bool {
	switch {
	case n.Immutable == Yes && !j.deny(n, RuleImmutable, "EPERM", "the file is immutable"):
		return false
	case n.Append == Yes && !j.deny(n, RuleAppend, "EPERM", "the file is append-only"):
		return false
	case n.Immutable == NotTold || n.Append == NotTold:
		j.immutableNotTold(n)
	}
	return true
}

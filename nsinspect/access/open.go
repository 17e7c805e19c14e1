package access

import (
	"strings"

	"github.com/nsview/nsview/idmap"
)

// open is open(2) of what is there or, with O_CREAT, of what is not (do_open() and lookup_open() in fs/namei.c).
func (j *judge) open() {
	creat := j.op.Op == OpCreate || j.op.Op == OpOpencreat
	if creat && j.endsInSlash() {
		return
	}
	at, ok := j.walk(j.w)
	switch {
	case !ok:
	case at.node == nil && creat:
		j.createFile(at)
	case at.node == nil:
		j.absent(at)
	case j.w.TrailingSlash && at.node.Type != Directory:
		j.deny(at.node, RuleNotDir, "ENOTDIR", "the path ends in a slash")
	case creat && !j.existing(at):
	default:
		j.openNode(at.node)
	}
}

// endsInSlash refuses, for O_CREAT, a path whose last name has a slash behind it, or a trailing symbolic link with such a
// text. The name is not looked up any more (lookup_fast_for_open()); its directory has been searched.
func (j *judge) endsInSlash() bool {
	slash := strings.HasSuffix(j.w.Path, "/")
	for i := range j.w.Steps {
		l := &j.w.Steps[i]
		if !l.Trailing {
			continue
		}
		if slash && l.Name != "." && l.Name != ".." {
			short := *j.w
			short.Steps, short.Rest, short.Fail, short.Missing = j.w.Steps[:i], nil, "", ""
			if _, ok := j.walk(&short); ok && j.search(l.Dir) {
				j.denyAt(join(l.Dir.Path, l.Name), "", RuleIsDir, "EISDIR", "the path ends in a slash")
			}
			return true
		}
		if !l.Followed {
			return false
		}
		slash = strings.HasSuffix(l.Found.Link, "/")
	}
	return false
}

// existing is what O_CREAT asks of a name that is there: O_EXCL, fs.protected_regular and fs.protected_fifos.
func (j *judge) existing(at found) bool {
	n, dir := at.node, at.dir
	if j.op.Op == OpCreate {
		return j.deny(n, RuleExists, "EEXIST", "the name is there")
	}
	if j.w.Last != "" || n.Type == Directory {
		return j.deny(n, RuleIsDir, "EISDIR", "it is a directory")
	}
	if dir == nil || dir.Mode&0o1000 == 0 {
		return true
	}
	level, rule := 0, RuleNone
	switch n.Type {
	case FIFO:
		level, rule = j.host.ProtectedFifos, RuleProtectedFifos
	case Regular:
		level, rule = j.host.ProtectedRegular, RuleProtectedRegular
	default:
		// No setting is about other files: where everybody may write they are always protected.
		level, rule = 1, RuleProtectedRegular
	}
	if level == 0 {
		return true
	}
	if !n.UID.Known || !dir.UID.Known {
		return j.unsure(rule, "the owner of "+n.Path, n, dir)
	}
	mine := n.UID.Seen.Mapped() && (n.UID.Seen == j.fsuid || n.UID.Seen == dir.UID.Seen)
	exposed := dir.Mode&0o002 != 0 || dir.Mode&0o020 != 0 && (level >= 2 || level < 0)
	switch {
	case mine || !exposed:
		return true
	case level < 0:
		return j.unknown(n.Path, rule, "fs.protected_regular and fs.protected_fifos")
	}
	return j.deny(n, rule, "EACCES", "fs."+string(rule)+": O_CREAT on a file of another user in a sticky directory that others may write to")
}

// openNode opens a file that is there.
func (j *judge) openNode(n *Node) {
	want := uint32(wantR)
	switch j.op.Op {
	case OpWrite, OpAppend, OpOpencreat, OpOpentrunc:
		want = wantW
	case OpRdwr:
		want = wantR | wantW
	}
	trunc := j.op.Op == OpOpentrunc
	if trunc && n.Type == Regular && !j.wantWrite(n) {
		return
	}
	switch n.Type {
	case Symlink:
		j.deny(n, RuleSymlinkLoop, "ELOOP", "a symbolic link is not opened")
		return
	case Directory:
		if want&wantW != 0 {
			j.deny(n, RuleIsDir, "EISDIR", "a directory is not written to")
			return
		}
	case CharDevice, BlockDevice:
		if !j.device(n) {
			return
		}
	}
	if !j.permission(n, want) {
		return
	}
	if n.Append == Yes && (want&wantW != 0 && j.op.Op != OpAppend || trunc) && !j.deny(n, RuleAppend, "EPERM", "the file is append-only") {
		return
	}
	if j.op.Op == OpNoatime && !j.needOwner(n) {
		return
	}
	if !j.attributeOpens(n, want) {
		return
	}
	j.opened(n, want)
}

// device is may_open_dev(): whether devices open on this mount.
func (j *judge) device(n *Node) bool {
	if n.Mount.NoDev && !j.deny(n, RuleNoDev, "EACCES", "the mount is nodev") {
		return false
	}
	switch ns, told := j.superNS(n); {
	case n.Mount.Super.FSType == "devpts":
		// devpts_fill_super() in fs/devpts/inode.c takes SB_I_NODEV away: terminals open in every user namespace.
	case !told:
		j.hinge(n.Path, RuleSBNoDev, "EACCES", "whether a user namespace owns the file system at "+n.Mount.Point+", on which devices do not open then")
	case !ns.Initial:
		return j.deny(n, RuleSBNoDev, "EACCES", "devices do not open on a file system of a user namespace")
	}
	j.assume("the device cgroup lets the target open " + n.Path)
	return true
}

// attributeOpens is kernfs_fop_open() (fs/kernfs/file.c) for sysfs: a file whose mode gives something to nobody is not
// opened for it, whatever capabilities there are.
func (j *judge) attributeOpens(n *Node, want uint32) bool {
	if n.Mount.Super.FSType != "sysfs" || n.Type != Regular {
		return true
	}
	for _, bit := range []uint32{wantR, wantW} {
		if want&bit != 0 && n.Mode&(bit*0o111) == 0 {
			return j.deny(n, RuleFSLacks, "EACCES", "sysfs opens for "+permText(bit)+" only what has that in its mode: "+modeText(n))
		}
	}
	return true
}

// opened is vfs_open(): what is asked last.
func (j *judge) opened(n *Node, want uint32) {
	if want&wantW != 0 {
		if n.Type == Regular || n.Type == Directory {
			if !j.writableMount(n) {
				return
			}
			if n.Type == Regular {
				j.assume(n.Path + " is not being executed (ETXTBSY)")
			}
		}
		if n.Type == Regular && !j.changed(n) {
			return
		}
	}
	switch {
	case n.Type == Socket:
		j.deny(n, RuleNoPeer, "ENXIO", "a socket is not opened")
	case n.Type == CharDevice && n.Rdev == "0:0":
		j.deny(n, RuleNoPeer, "ENXIO", "device 0:0, a whiteout, has no driver")
	case n.Type == CharDevice || n.Type == BlockDevice:
		j.assume("a driver answers for the device " + n.Rdev)
	}
}

// truncate is truncate(2) (vfs_truncate() in fs/open.c).
func (j *judge) truncate() {
	at, ok := j.reach(j.w)
	if !ok {
		return
	}
	n := at.node
	switch n.Type {
	case Regular:
	case Directory:
		j.deny(n, RuleIsDir, "EISDIR", "it is a directory")
		return
	default:
		j.deny(n, RuleInvalid, "EINVAL", "it is no regular file")
		return
	}
	if j.host.Kernel.Since(6, 14) {
		ok = j.permission(n, wantW) && j.wantWrite(n)
	} else {
		ok = j.wantWrite(n) && j.permission(n, wantW)
	}
	if ok && (n.Append != Yes || j.deny(n, RuleAppend, "EPERM", "the file is append-only")) {
		j.assume(n.Path + " is not being executed (ETXTBSY)")
		j.changed(n)
	}
}

// access is faccessat2(2): with the real ids, or with AT_EACCESS the effective ones (fs/open.c).
func (j *judge) access() {
	if j.op.Op == OpAccess {
		c := &j.s.Cred
		j.fsuid, j.fsgid = c.UID.Real, c.GID.Real
		j.caps = 0
		if root := j.ns.outside(idmap.UID, 0); root.Mapped() && root == c.UID.Real {
			j.caps = c.CapPrm &^ j.noCaps
		}
		j.assume("the target's securebits do not have SECBIT_NO_SETUID_FIXUP")
	}
	at, ok := j.reach(j.w)
	if !ok {
		return
	}
	n := at.node
	if j.op.Mode == 0 {
		j.fuseAllows(n)
		return
	}
	if j.op.Mode&wantX != 0 && n.Type == Regular && !j.mayExec(n) {
		return
	}
	if !j.permission(n, j.op.Mode) {
		return
	}
	if j.op.Mode&wantW != 0 && (n.Type == Regular || n.Type == Directory || n.Type == Symlink) {
		j.writableMount(n)
	}
}

// mayExec is path_noexec().
func (j *judge) mayExec(n *Node) bool {
	if n.Mount.NoExec && !j.deny(n, RuleNoExec, "EACCES", "the mount is noexec") {
		return false
	}
	switch n.Mount.Super.FSType {
	case "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts":
		return j.deny(n, RuleNoExec, "EACCES", "nothing is executed from "+n.Mount.Super.FSType)
	}
	return true
}

// connect is connect(2) to a socket by its path (unix_find_bsd() in net/unix/af_unix.c).
func (j *judge) connect() {
	at, ok := j.reach(j.w)
	if !ok || !j.permission(at.node, wantW) {
		return
	}
	if at.node.Type != Socket {
		j.deny(at.node, RuleNoPeer, "ECONNREFUSED", "it is no socket")
		return
	}
	j.assume("something listens on " + at.node.Path)
}

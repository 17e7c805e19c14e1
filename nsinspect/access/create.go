package access

import "github.com/nsview/nsview/idmap"

// mayCreate is may_create() (fs/namei.c): a new name in a directory.
func (j *judge) mayCreate(dir *Node) bool {
	return j.idsFit(dir) && j.permission(dir, wantW|wantX)
}

// idsFit is fsuidgid_has_mapping(): the ids of what the subject makes have to be representable on disk.
func (j *judge) idsFit(dir *Node) bool {
	m := dir.Mount
	if m.Idmapped {
		if !m.MapKnown {
			j.hinge(dir.Path, RuleFsidUnmapped, "EOVERFLOW", "the id map of the mount at "+m.Point)
			return true
		}
		if !m.UIDMap.OnDisk(j.fsuid).Mapped() || !m.GIDMap.OnDisk(j.fsgid).Mapped() {
			return j.deny(dir, RuleFsidUnmapped, "EOVERFLOW", "the mount's map has no id on disk for the target's uid or gid")
		}
	}
	ns, told := j.superNS(dir)
	switch {
	case !told:
		j.hinge(dir.Path, RuleFsidUnmapped, "EOVERFLOW", "whether the user namespace that owns the file system at "+m.Point+" has an id for the target's uid and gid")
		return true
	case ns.Initial:
		return true
	case m.Idmapped && (!ns.UID.Covers(idmap.Inside(m.UIDMap.OnDisk(j.fsuid))) || !ns.GID.Covers(idmap.Inside(m.GIDMap.OnDisk(j.fsgid)))):
		return j.deny(dir, RuleFsidUnmapped, "EOVERFLOW", "what the mount maps the target's uid or gid to is no id of the user namespace that owns the file system")
	case m.Idmapped:
		return true
	case !ns.UID.ToInside(j.fsuid).Mapped() || !ns.GID.ToInside(j.fsgid).Mapped():
		return j.deny(dir, RuleFsidUnmapped, "EOVERFLOW", "the user namespace that owns the file system has no id for the target's uid or gid")
	}
	return true
}

// createFile is open(2) with O_CREAT of a name that is not there (lookup_open()). The new file is opened without a look at
// its mode.
func (j *judge) createFile(at found) {
	if j.notRemoved(at) && j.mayBeNew(at) && j.wantWrite(at.dir) && j.mayCreate(at.dir) && j.hasOp(at.dir, fsCreate) {
		j.madeIn(at.dir)
	}
}

// madeIn is what the file system does when a directory gets an entry.
func (j *judge) madeIn(dir *Node) bool { return j.changed(dir) }

// make is mkdir(2), mknod(2), symlink(2) (filename_create() and vfs_*()).
func (j *judge) make() {
	at, ok := j.walk(j.w)
	if !ok {
		return
	}
	if j.w.Last != "" || at.dir == nil {
		j.denyAt(at.path, "", RuleExists, "EEXIST", "the path names no entry of a directory")
		return
	}
	if !j.newName(at, j.w, j.op.Op == OpMkdir) || !j.mayCreate(at.dir) {
		return
	}
	if j.op.Op == OpMknod && !j.initCap(capMknod) {
		j.deny(at.dir, RuleInitCap, "EPERM", "a device node needs CAP_MKNOD of the initial user namespace")
		return
	}
	op := map[Op]fsOp{OpMkdir: fsMkdir, OpSymlink: fsSymlink}[j.op.Op]
	if op == "" {
		op = fsMknod
	}
	if !j.hasOp(at.dir, op) {
		return
	}
	if j.op.Op == OpWhiteout {
		if !j.host.Kernel.Since(5, 8) && !j.initCap(capMknod) {
			j.deny(at.dir, RuleInitCap, "EPERM", "a whiteout needs CAP_MKNOD of the initial user namespace before Linux 5.8")
			return
		}
		if at.dir.Mount.Super.FSType == "overlay" {
			j.deny(at.dir, RuleInvalid, "EPERM", "an overlay makes no whiteouts")
			return
		}
	}
	if j.doneBy(at.dir, op) {
		j.madeIn(at.dir)
	}
}

// newName is filename_create(): a name that is there beats a read-only file system.
func (j *judge) newName(at found, w *Walk, directory bool) bool {
	switch {
	case at.node != nil:
		return j.deny(at.node, RuleExists, "EEXIST", "the name is there")
	case w.TrailingSlash && !directory:
		return j.absent(at)
	}
	return j.notRemoved(at) && j.mayBeNew(at) && j.wantWrite(at.dir)
}

// notRemoved refuses a new name in a directory that was removed while somebody stayed in it (IS_DEADDIR()).
func (j *judge) notRemoved(at found) bool {
	return !at.dir.Removed || j.denyAt(at.path, "", RuleNotFound, "ENOENT", "its directory was removed")
}

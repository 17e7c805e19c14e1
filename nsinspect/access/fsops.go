package access

import (
	"slices"
	"strings"
)

// fsOp is an operation of a directory (struct inode_operations in include/linux/fs.h).
type fsOp string

const (
	fsCreate  fsOp = "create"
	fsMkdir   fsOp = "mkdir"
	fsMknod   fsOp = "mknod"
	fsSymlink fsOp = "symlink"
	fsLink    fsOp = "link"
	fsUnlink  fsOp = "unlink"
	fsRmdir   fsOp = "rmdir"
	fsRename  fsOp = "rename"
)

// directoryOps are the operations of the directories of file systems that do not have all of them: fs/proc,
// fs/kernfs/dir.c (sysfs, cgroup), simple_dir_inode_operations in fs/libfs.c, ipc/mqueue.c.
func directoryOps(fsType string) (ops []fsOp, restricted bool) {
	switch fsType {
	case "proc", "devpts", "securityfs", "debugfs", "binfmt_misc", "fusectl":
		return nil, true
	case "sysfs":
		return []fsOp{fsMkdir, fsRmdir, fsRename}, true // kernfs has them; sysfs then refuses
	case "cgroup", "cgroup2":
		return []fsOp{fsMkdir, fsRmdir, fsRename}, true
	case "mqueue":
		return []fsOp{fsCreate, fsUnlink}, true
	}
	return nil, false
}

// hasOp refuses what the file system of a directory cannot do. The kernel asks that after the permission to do it, of
// root as of everybody (vfs_create(), vfs_mkdir() and their relatives in fs/namei.c).
func (j *judge) hasOp(dir *Node, op fsOp) bool {
	fs := dir.Mount.Super.FSType
	ops, restricted := directoryOps(fs)
	if !restricted || slices.Contains(ops, op) {
		return true
	}
	errno := Errno("EPERM")
	if op == fsCreate {
		errno = "EACCES"
	}
	return j.deny(dir, RuleFSLacks, errno, "a "+fs+" file system has no "+string(op))
}

// doneBy is the answer of a file system that has the operation and refuses it: sysfs is a kernfs whose directories are the
// kernel's own (kernfs_iop_mkdir(), kernfs_iop_rmdir() and kernfs_iop_rename() in fs/kernfs/dir.c).
func (j *judge) doneBy(dir *Node, op fsOp) bool {
	fs := dir.Mount.Super.FSType
	switch {
	case fs == "sysfs" && op == fsRename && (j.op.Op == OpNoreplace || j.op.Op == OpExchange):
		return j.deny(dir, RuleFSLacks, "EINVAL", "a sysfs file system has no rename with flags")
	case fs == "sysfs" && (op == fsMkdir || op == fsRmdir || op == fsRename):
		return j.deny(dir, RuleFSLacks, "EPERM", "a sysfs file system has no "+string(op))
	}
	return true
}

// mayBeNew refuses a name that is not there where no lookup lets one be made: procfs answers ENOENT instead of a name that
// could be filled (proc_lookup_de(), proc_sys_lookup(), proc_pid_lookup()), before any permission is asked.
func (j *judge) mayBeNew(at found) bool {
	if at.node != nil || at.dir == nil || at.dir.Mount.Super.FSType != "proc" {
		return true
	}
	return j.denyAt(at.path, "", RuleFSLacks, "ENOENT", "there is no such name, and in procfs none is made")
}

// storesNoOwners tells a file system without owners by its type.
func storesNoOwners(fs string) bool {
	return slices.Contains([]string{"vfat", "msdos", "exfat", "hfs", "ntfs", "ntfs3"}, fs)
}

// What a change of attributes changes.
const (
	attrMode = 1 << iota
	attrOwner
	attrTimes
)

// setattr is what the ->setattr() of a file system refuses by itself: that of procfs (proc_sys_setattr() in
// fs/proc/proc_sysctl.c, and proc_setattr() in fs/proc/base.c for what belongs to processes), and of FUSE for whoever it is
// not for (fuse_setattr() in fs/fuse/dir.c). What stores no owners has those of its mount options, which none of the facts
// tell.
func (j *judge) setattr(n *Node, what int) bool {
	switch fs := n.Mount.Super.FSType; {
	case !j.fuseAllows(n):
		return false
	case storesNoOwners(fs) && what&(attrMode|attrOwner) != 0:
		j.hinge(n.Path, RuleFS, "", "what the "+fs+" file system, which stores neither owner nor mode, makes of it (the mount options uid, gid and quiet)")
		return true
	case fs != "proc":
		return true
	}
	if _, ok := sysctlName(n); ok && what&(attrMode|attrOwner) != 0 {
		return j.deny(n, RuleFSLacks, "EPERM", "mode and owner of a sysctl do not change")
	}
	if what&attrMode != 0 && ofProcess(inFS(n)) {
		return j.deny(n, RuleFSLacks, "EPERM", "modes of a process's files do not change")
	}
	return true
}

// ofProcess reports whether a path in procfs is one of a process's own files: what is below "net" in its directory is its
// network namespace's.
func ofProcess(where string) bool {
	names := strings.Split(strings.TrimPrefix(where, "/"), "/")
	if names[0] == "" || strings.Trim(names[0], "0123456789") != "" {
		return false
	}
	return !slices.Contains(names[1:max(1, len(names)-1)], "net")
}

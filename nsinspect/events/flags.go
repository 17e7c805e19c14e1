package events

import (
	"strconv"

	"github.com/nsview/nsview/nsinspect"
)

// flag is a bit and its name.
type flag struct {
	bit  uint64
	name string
}

// Flags of clone(2), unshare(2) and setns(2): include/uapi/linux/sched.h.
var cloneFlags = []flag{
	{0x10000000, "CLONE_NEWUSER"},
	{0x20000000, "CLONE_NEWPID"},
	{0x00020000, "CLONE_NEWNS"},
	{0x40000000, "CLONE_NEWNET"},
	{0x04000000, "CLONE_NEWUTS"},
	{0x08000000, "CLONE_NEWIPC"},
	{0x02000000, "CLONE_NEWCGROUP"},
	{0x00000080, "CLONE_NEWTIME"},
	{0x00000100, "CLONE_VM"},
	{0x00000200, "CLONE_FS"},
	{0x00000400, "CLONE_FILES"},
	{0x00000800, "CLONE_SIGHAND"},
	{0x00001000, "CLONE_PIDFD"},
	{0x00002000, "CLONE_PTRACE"},
	{0x00004000, "CLONE_VFORK"},
	{0x00008000, "CLONE_PARENT"},
	{0x00010000, "CLONE_THREAD"},
	{0x00040000, "CLONE_SYSVSEM"},
	{0x00080000, "CLONE_SETTLS"},
	{0x00100000, "CLONE_PARENT_SETTID"},
	{0x00200000, "CLONE_CHILD_CLEARTID"},
	{0x00400000, "CLONE_DETACHED"},
	{0x00800000, "CLONE_UNTRACED"},
	{0x01000000, "CLONE_CHILD_SETTID"},
	{0x80000000, "CLONE_IO"},
	{0x100000000, "CLONE_CLEAR_SIGHAND"},
	{0x200000000, "CLONE_INTO_CGROUP"},
}

// mountFlags are those of mount(2): include/uapi/linux/mount.h.
var mountFlags = []flag{
	{1, "MS_RDONLY"},
	{2, "MS_NOSUID"},
	{4, "MS_NODEV"},
	{8, "MS_NOEXEC"},
	{16, "MS_SYNCHRONOUS"},
	{32, "MS_REMOUNT"},
	{64, "MS_MANDLOCK"},
	{128, "MS_DIRSYNC"},
	{256, "MS_NOSYMFOLLOW"},
	{1024, "MS_NOATIME"},
	{2048, "MS_NODIRATIME"},
	{4096, "MS_BIND"},
	{8192, "MS_MOVE"},
	{16384, "MS_REC"},
	{32768, "MS_SILENT"},
	{1 << 16, "MS_POSIXACL"},
	{1 << 17, "MS_UNBINDABLE"},
	{1 << 18, "MS_PRIVATE"},
	{1 << 19, "MS_SLAVE"},
	{1 << 20, "MS_SHARED"},
	{1 << 21, "MS_RELATIME"},
	{1 << 24, "MS_STRICTATIME"},
	{1 << 25, "MS_LAZYTIME"},
}

var umountFlags = []flag{{1, "MNT_FORCE"}, {2, "MNT_DETACH"}, {4, "MNT_EXPIRE"}, {8, "UMOUNT_NOFOLLOW"}}

// mountAttrs are the attributes of mount_setattr(2) and fsmount(2).
var mountAttrs = []flag{
	{0x1, "MOUNT_ATTR_RDONLY"},
	{0x2, "MOUNT_ATTR_NOSUID"},
	{0x4, "MOUNT_ATTR_NODEV"},
	{0x8, "MOUNT_ATTR_NOEXEC"},
	{0x10, "MOUNT_ATTR_NOATIME"},
	{0x20, "MOUNT_ATTR_STRICTATIME"},
	{0x80, "MOUNT_ATTR_NODIRATIME"},
	{0x100000, "MOUNT_ATTR_IDMAP"},
	{0x200000, "MOUNT_ATTR_NOSYMFOLLOW"},
}

var openTreeFlags = []flag{{1, "OPEN_TREE_CLONE"}, {0x80000, "OPEN_TREE_CLOEXEC"}, {0x8000, "AT_RECURSIVE"}, {0x1000, "AT_EMPTY_PATH"}, {0x100, "AT_SYMLINK_NOFOLLOW"}}

var moveMountFlags = []flag{
	{0x1, "MOVE_MOUNT_F_SYMLINKS"},
	{0x2, "MOVE_MOUNT_F_AUTOMOUNTS"},
	{0x4, "MOVE_MOUNT_F_EMPTY_PATH"},
	{0x10, "MOVE_MOUNT_T_SYMLINKS"},
	{0x20, "MOVE_MOUNT_T_AUTOMOUNTS"},
	{0x40, "MOVE_MOUNT_T_EMPTY_PATH"},
	{0x100, "MOVE_MOUNT_SET_GROUP"},
	{0x200, "MOVE_MOUNT_BENEATH"},
}

// names lists the set bits by name, and what has none as one number.
func names(bits uint64, flags []flag) []string {
	list := []string{}
	for _, f := range flags {
		if bits&f.bit != 0 {
			list = append(list, f.name)
			bits &^= f.bit
		}
	}
	if bits != 0 {
		list = append(list, "0x"+strconv.FormatUint(bits, 16))
	}
	return list
}

// CloneFlags names the flags of clone, unshare and setns. The signal that a child ends with, the low byte of a clone's
// flags, is to be left out by the caller.
func CloneFlags(bits uint64) []string {
	if bits == 0 {
		return []string{}
	}
	return names(bits, cloneFlags)
}

// MountFlags names the flags of mount(2).
func MountFlags(bits uint64) []string {
	const magic = 0xC0ED0000 // MS_MGC_VAL, which means nothing since Linux 2.4
	if bits&0xffff0000 == magic {
		bits &^= 0xffff0000
	}
	return names(bits, mountFlags)
}

// UmountFlags names the flags of umount2(2).
func UmountFlags(bits uint64) []string { return names(bits, umountFlags) }

// MountAttrs names attributes of a mount, as mount_setattr(2) sets them.
func MountAttrs(bits uint64) []string { return names(bits, mountAttrs) }

// OpenTreeFlags names the flags of open_tree(2).
func OpenTreeFlags(bits uint64) []string { return names(bits, openTreeFlags) }

// MoveMountFlags names the flags of move_mount(2).
func MoveMountFlags(bits uint64) []string { return names(bits, moveMountFlags) }

// newFlag is the flag that makes a new namespace of that kind.
func newFlag(kind nsinspect.Type) string {
	switch kind {
	case nsinspect.User:
		return "CLONE_NEWUSER"
	case nsinspect.PID:
		return "CLONE_NEWPID"
	case nsinspect.Mnt:
		return "CLONE_NEWNS"
	case nsinspect.Net:
		return "CLONE_NEWNET"
	case nsinspect.UTS:
		return "CLONE_NEWUTS"
	case nsinspect.IPC:
		return "CLONE_NEWIPC"
	case nsinspect.Cgroup:
		return "CLONE_NEWCGROUP"
	case nsinspect.Time:
		return "CLONE_NEWTIME"
	}
	return ""
}

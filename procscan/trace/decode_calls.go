package trace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
)

// csignal is CSIGNAL of include/uapi/linux/sched.h: the signal in the flags of clone(2).
const csignal = 0xff

// cloneName is the system call that a process was made by.
func cloneName(nr uint32) string {
	switch {
	case nr == unix.SYS_CLONE3:
		return "clone3"
	case isFork(nr):
		return "fork"
	case isVfork(nr):
		return "vfork"
	}
	return "clone"
}

// cloneFlags are the flags of a call that makes processes, 0 where they are not known.
func (r *record) cloneFlags() uint64 {
	switch {
	case r.Nr == unix.SYS_CLONE:
		return r.Args[0] &^ csignal
	case r.Nr == unix.SYS_CLONE3 && len(r.texts[0]) >= 8:
		return binary.LittleEndian.Uint64(r.texts[0])
	case isVfork(r.Nr):
		return unix.CLONE_VFORK | unix.CLONE_VM
	}
	return 0
}

// toldAtOnce reports whether the call is a birth or an exec: when one succeeds, that is told before the call returns.
func toldAtOnce(nr uint32) bool {
	switch nr {
	case unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXECVE, unix.SYS_EXECVEAT:
		return true
	}
	return isFork(nr) || isVfork(nr)
}

// isWrite reports whether a call writes to a file, and isWritev whether it is given what to write in parts, of which the first
// is read.
func isWrite(nr uint32) bool { return nr == unix.SYS_WRITE || nr == unix.SYS_PWRITE64 || isWritev(nr) }

func isWritev(nr uint32) bool {
	return nr == unix.SYS_WRITEV || nr == unix.SYS_PWRITEV || nr == unix.SYS_PWRITEV2
}

// call decodes a system call that is not told by a tracepoint of its own.
func (r *record) call(e *events.Event) {
	a := &e.Args
	switch r.Nr {
	case unix.SYS_UNSHARE:
		e.Type, e.Name, e.Flags = events.Unshare, "unshare", events.CloneFlags(r.Args[0])
	case unix.SYS_SETNS:
		fd := int(int32(r.Args[0]))
		e.Type, e.Name, e.Flags = events.Setns, "setns", events.CloneFlags(r.Args[1]&0xffffffff)
		a.FD, a.NS = &fd, nsinspect.Inode(r.X[0])
	case unix.SYS_CLONE, unix.SYS_CLONE3:
		e.Type, e.Name, e.Flags = events.Clone, cloneName(r.Nr), events.CloneFlags(r.cloneFlags())
	case unix.SYS_EXECVE:
		e.Type, e.Name, a.Path = events.Exec, "execve", r.text(0, a)
	case unix.SYS_EXECVEAT:
		e.Type, e.Name, a.Path = events.Exec, "execveat", r.text(0, a)
	case unix.SYS_PRCTL:
		e.Type, e.Name, a.Name = events.Name, "prctl", r.text(0, a)
		if len(a.Name) > 15 { // TASK_COMM_LEN
			a.Name, a.Truncated = a.Name[:15], false
		}
	default:
		if isFork(r.Nr) || isVfork(r.Nr) {
			e.Type, e.Name = events.Clone, cloneName(r.Nr)
			return
		}
		if !r.mount(e) {
			r.cred(e)
		}
	}
}

// mount decodes the calls that change what is mounted.
func (r *record) mount(e *events.Event) bool {
	a := &e.Args
	e.Type = events.Mount
	switch r.Nr {
	case unix.SYS_MOUNT:
		e.Name, e.Flags = "mount", events.MountFlags(r.Args[3])
		a.Source, a.Point, a.FSType, a.Options = r.text(0, a), r.text(1, a), r.text(2, a), r.text(3, a)
		if at, known := placeOf(r.texts[4]); known {
			a.PointPath = at.path
		}
	case unix.SYS_UMOUNT2:
		e.Name, e.Flags, a.Point = "umount", events.UmountFlags(r.Args[1]&0xffffffff), r.text(0, a)
	case unix.SYS_PIVOT_ROOT:
		e.Name, a.Source, a.Point = "pivot_root", r.text(0, a), r.text(1, a)
	case unix.SYS_CHROOT:
		e.Name, a.Path = "chroot", r.text(0, a)
	case unix.SYS_MOVE_MOUNT:
		e.Name, e.Flags = "move_mount", events.MoveMountFlags(r.Args[4]&0xffffffff)
		a.Source, a.Point = r.text(0, a), r.text(1, a)
	case unix.SYS_OPEN_TREE:
		e.Name, e.Flags, a.Path = "open_tree", events.OpenTreeFlags(r.Args[2]&0xffffffff), r.text(0, a)
	case unix.SYS_FSOPEN:
		e.Name, a.FSType = "fsopen", r.text(0, a)
	case unix.SYS_FSMOUNT:
		e.Name, e.Flags = "fsmount", events.MountAttrs(r.Args[2]&0xffffffff)
	case unix.SYS_MOUNT_SETATTR:
		e.Name, a.Point, a.NS = "mount_setattr", r.text(0, a), nsinspect.Inode(r.X[0])
		if len(r.texts[1]) >= 8 {
			e.Flags = events.MountAttrs(binary.LittleEndian.Uint64(r.texts[1]))
		}
	default:
		return false
	}
	return true
}

// cred decodes the calls that change ids.
func (r *record) cred(e *events.Event) {
	e.Type = events.Cred
	n := 1
	switch r.Nr {
	case unix.SYS_SETUID:
		e.Name = "setuid"
	case unix.SYS_SETGID:
		e.Name = "setgid"
	case unix.SYS_SETFSUID:
		e.Name = "setfsuid"
	case unix.SYS_SETFSGID:
		e.Name = "setfsgid"
	case unix.SYS_SETREUID:
		e.Name, n = "setreuid", 2
	case unix.SYS_SETREGID:
		e.Name, n = "setregid", 2
	case unix.SYS_SETRESUID:
		e.Name, n = "setresuid", 3
	case unix.SYS_SETRESGID:
		e.Name, n = "setresgid", 3
	case unix.SYS_SETGROUPS:
		e.Name, n = "setgroups", 0
		for list := r.texts[0]; len(list) >= 4; list = list[4:] {
			e.Args.IDs = append(e.Args.IDs, idArg(uint64(binary.LittleEndian.Uint32(list))))
		}
		e.Args.Truncated = r.Args[0]*4 > uint64(len(r.texts[0]))
	}
	for _, arg := range r.Args[:n] {
		e.Args.IDs = append(e.Args.IDs, idArg(arg))
	}
	if r.Nr == unix.SYS_SETFSUID || r.Nr == unix.SYS_SETFSGID {
		e.Errno = "" // they return the old id, and never fail
	}
}

// idArg is an id as it was asked for; the one that keeps what is there is -1.
func idArg(arg uint64) int64 {
	if uint32(arg) == noID {
		return -1
	}
	return int64(uint32(arg))
}

// mapFiles are the files of a user namespace in /proc/PID, numbered as in bpf/trace.bpf.c.
func mapFiles() [5]string { return [5]string{"", "uid_map", "gid_map", "projid_map", "setgroups"} }

// mapWrite decodes a write to one of them.
func (r *record) mapWrite(e *events.Event) {
	a := &e.Args
	e.Type, e.Name = events.Map, "map_write"
	a.File = mapFiles()[min(r.X[7]&15, 4)]
	a.Content, a.Target = cString(r.texts[0]), int(r.X[0]) // runc writes a NUL, at which the kernel stops reading
	a.TargetNS, a.ParentNS = nsinspect.Inode(r.X[1]), nsinspect.Inode(r.X[2])
	a.Truncated = uint64(len(r.texts[0])) < r.Args[2] && !isWritev(r.Nr)
	written := r.X[7]
	e.ExplainMap(events.MapFacts{
		OpenerNS: nsinspect.Inode(r.X[4]), EUID: idmap.Kernel(r.X[5]), EGID: idmap.Kernel(r.X[6]), Caps: r.Y, Owner: idmap.Kernel(r.X[3]),
		UIDWritten: written&16 != 0, GIDWritten: written&32 != 0, Setgroups: written&64 != 0, ParentSetcap: written&128 != 0,
	}, extents(r.texts[1]))
}

// extents are those of a map in the kernel: inside id, kernel's id, count.
func extents(b []byte) idmap.Map {
	var m idmap.Map
	for ; len(b) >= 12; b = b[12:] {
		m = append(m, idmap.Extent{
			Inside:  idmap.Inside(binary.LittleEndian.Uint32(b)),
			Outside: idmap.Kernel(binary.LittleEndian.Uint32(b[4:])),
			Count:   binary.LittleEndian.Uint32(b[8:]),
		})
	}
	return m
}

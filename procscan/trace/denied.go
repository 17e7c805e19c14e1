package trace

import (
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/events"
)

// denied decodes a refused file system call.
func (r *record) denied(e *events.Event) {
	a := &e.Args
	d := &events.Denial{Cut: int(r.X[7])*4 > len(r.texts[0]), Root: events.Root{Mount: int(r.X[2]), Inode: r.Y}}
	e.Type, e.Denial = events.Denied, d
	for list := r.texts[0]; len(list) >= 4; list = list[4:] {
		d.Groups = append(d.Groups, idmap.Kernel(binary.LittleEndian.Uint32(list)))
	}
	for _, bit := range r.X[3 : 3+min(r.X[0], 4)] {
		d.Refused = append(d.Refused, access.CapNames(1<<bit)...)
	}
	if r.X[0] > 0 {
		d.AskedIn = nsinspect.Inode(r.X[1])
		d.Check = r.symbols.checkOf(r.texts[1])
	}
	call := r.calls[r.Nr] // the programs tell of no other
	e.Name = call.name
	base, known := placeOf(r.texts[4])
	first, second := r.text(2, a), r.text(3, a)
	if call.socket { // not always with a NUL at its end: struct sockaddr_un says how long it is
		first = first[:min(uint64(len(first)), max(r.Args[2], 2)-2)]
	}
	a.Path, d.Base = absolute(first, base, known)
	if call.named {
		d.Ops = call.ops(r, second)
	} else {
		if call.path2 != 0 {
			if call.dir2 != 0 && call.dir != 0 && int32(r.Args[call.dir2-1]) != int32(r.Args[call.dir-1]) {
				base, known = placeOf(r.texts[5])
			}
			a.New, d.NewBase = absolute(second, base, known)
		}
		d.Ops = call.ops(r, a.New)
	}
	d.Why = r.why
	switch {
	case r.unread(call.path, 2) || r.unread(call.path2, 3):
		a.Path, a.New = "", ""
		d.Why = "its path was not in the memory of the process any more when it returned"
	case a.Truncated:
		d.Why = "its path is longer than what is kept of it"
	case call.socket && first == "":
		d.Why = "its socket has a name that is no path"
	case !strings.HasPrefix(a.Path, "/") || call.path2 != 0 && !call.named && !strings.HasPrefix(a.New, "/"):
		d.Why = "what its path begins at has been removed, is not below the root directory of the process, or was not told"
	case len(d.Ops) == 0 && d.Why == "":
		d.Why = "nsview access has no such question"
	}
	if d.Why != "" {
		d.Ops = nil
	}
}

// unread reports whether a call was given a string by that argument, counted from 1, which the program could not read.
func (r *record) unread(arg uint8, text int) bool {
	return arg != 0 && r.Args[arg-1] != 0 && len(r.texts[text]) == 0 // an empty string has its NUL
}

// absolute is a path from the root of the process, and what of it was not looked up. Where the directory that it begins in is
// not known it stays relative.
func absolute(path string, base place, known bool) (whole string, begun events.Begun) {
	if strings.HasPrefix(path, "/") || !known {
		return path, events.Begun{}
	}
	begun = events.Begun{Names: strings.Count(strings.TrimRight(base.path, "/"), "/"), Mount: base.mount}
	if path == "" {
		return base.path, begun
	}
	return strings.TrimSuffix(base.path, "/") + "/" + path, begun
}

// place is what a relative path begins at: its path from the root of the process, and the id of its mount.
type place struct {
	path  string
	mount int
}

// placeOf is the one of which the program has told the mount and the names, the last first. Without an empty name at the end
// it did not get to the root: the place is not below it, or the path is too long. Of what has been removed it tells nothing.
func placeOf(b []byte) (p place, known bool) {
	if len(b) < 4 {
		return place{}, false
	}
	p.mount, b = int(binary.LittleEndian.Uint32(b)), b[4:]
	if len(b) == 0 || b[len(b)-1] != 0 || len(b) > 1 && b[len(b)-2] != 0 {
		return place{}, false
	}
	names := strings.Split(strings.Trim(string(b), "\x00"), "\x00")
	slices.Reverse(names)
	p.path = "/" + strings.Join(names, "/")
	return p, true
}

// fsCall is a file system call that is watched: which arguments are paths, counted from 1, and the operations that it is.
type fsCall struct {
	name                   string
	dir, path, dir2, path2 uint8
	named                  bool // path2 is no path but a name, of an attribute
	socket                 bool // path is the address of one
	ops                    func(r *record, second string) [][]string
}

func one(words ...string) func(*record, string) [][]string {
	return func(*record, string) [][]string { return [][]string{words} }
}

func xattr(op string) func(*record, string) [][]string {
	return func(_ *record, name string) [][]string { return [][]string{{op, name}} }
}

func unfollowed(r *record, _ string) [][]string {
	return r.unasked("it follows no link at the end of its path, as the question of nsview access does")
}

func noQuestion(*record, string) [][]string { return nil }

// unasked says why a call is no question to nsview access.
func (r *record) unasked(why string) [][]string {
	r.why = why
	return nil
}

// fsCalls are the calls that are watched, by number.
func fsCalls() map[uint32]fsCall {
	calls := map[uint32]fsCall{
		unix.SYS_OPENAT: {"openat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return openOps(r, r.Args[2]) }},
		unix.SYS_OPENAT2: {"openat2", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string {
			// Of the other flags none changes what these errors are about: they are refused with ELOOP, EXDEV or EAGAIN.
			if r.Args[3]&unix.RESOLVE_IN_ROOT != 0 {
				return r.unasked("its path is resolved with its directory as the root (RESOLVE_IN_ROOT)")
			}
			return openOps(r, r.Args[2])
		}},
		unix.SYS_NEWFSTATAT: {"fstatat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return statOps(r.Args[3]) }},
		unix.SYS_STATX:      {"statx", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return statOps(r.Args[2]) }},
		unix.SYS_FACCESSAT:  {"faccessat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return accessOps(r.Args[2], 0) }},
		unix.SYS_FACCESSAT2: {"faccessat2", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return accessOps(r.Args[2], r.Args[3]) }},
		unix.SYS_CHDIR:      {"chdir", 0, 1, 0, 0, false, false, one("chdir")},
		unix.SYS_FCHDIR:     {"fchdir", 1, 0, 0, 0, false, false, one("chdir")},
		unix.SYS_STATFS:     {"statfs", 0, 1, 0, 0, false, false, one("lookup")},
		unix.SYS_READLINKAT: {"readlinkat", 1, 2, 0, 0, false, false, one("readlink")},
		unix.SYS_EXECVE:     {"execve", 0, 1, 0, 0, false, false, one("exec")},
		unix.SYS_EXECVEAT:   {"execveat", 1, 2, 0, 0, false, false, one("exec")},
		unix.SYS_MKDIRAT:    {"mkdirat", 1, 2, 0, 0, false, false, one("mkdir")},
		unix.SYS_MKNODAT:    {"mknodat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return mknodOps(r.Args[2], r.Args[3]) }},
		unix.SYS_SYMLINKAT:  {"symlinkat", 2, 3, 0, 0, false, false, one("symlink")},
		unix.SYS_UNLINKAT: {"unlinkat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string {
			if r.Args[2]&unix.AT_REMOVEDIR != 0 {
				return [][]string{{"rmdir"}}
			}
			return [][]string{{"unlink"}}
		}},
		unix.SYS_RENAMEAT2: {"renameat2", 1, 2, 3, 4, false, false, func(r *record, second string) [][]string { return renameOps(r.Args[4], second) }},
		unix.SYS_LINKAT:    {"linkat", 1, 2, 3, 4, false, false, func(_ *record, second string) [][]string { return [][]string{{"link", second}} }},
		unix.SYS_TRUNCATE:  {"truncate", 0, 1, 0, 0, false, false, one("truncate")},
		unix.SYS_FCHMOD:    {"fchmod", 1, 0, 0, 0, false, false, func(r *record, _ string) [][]string { return chmodOps(r.Args[1]) }},
		unix.SYS_FCHMODAT:  {"fchmodat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return chmodOps(r.Args[2]) }},
		unix.SYS_FCHMODAT2: {"fchmodat2", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return chmodOps(r.Args[2]) }},
		unix.SYS_FCHOWN:    {"fchown", 1, 0, 0, 0, false, false, func(r *record, _ string) [][]string { return chownOps("chown", r.Args[1], r.Args[2]) }},
		unix.SYS_FCHOWNAT: {"fchownat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string {
			if r.Args[4]&unix.AT_SYMLINK_NOFOLLOW != 0 {
				return chownOps("lchown", r.Args[2], r.Args[3])
			}
			return chownOps("chown", r.Args[2], r.Args[3])
		}},
		unix.SYS_UTIMENSAT: {"utimensat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return utimesOps(r.Args[2]) }},
		// What removes an attribute asks for what sets it: xattr_permission of fs/xattr.c, cap_inode_removexattr.
		unix.SYS_SETXATTR:     {"setxattr", 0, 1, 0, 2, true, false, xattr("setxattr")},
		unix.SYS_FSETXATTR:    {"fsetxattr", 1, 0, 0, 2, true, false, xattr("setxattr")},
		unix.SYS_LSETXATTR:    {"lsetxattr", 0, 1, 0, 2, true, false, unfollowed},
		unix.SYS_REMOVEXATTR:  {"removexattr", 0, 1, 0, 2, true, false, xattr("setxattr")},
		unix.SYS_FREMOVEXATTR: {"fremovexattr", 1, 0, 0, 2, true, false, xattr("setxattr")},
		unix.SYS_LREMOVEXATTR: {"lremovexattr", 0, 1, 0, 2, true, false, unfollowed},
		unix.SYS_GETXATTR:     {"getxattr", 0, 1, 0, 2, true, false, xattr("getxattr")},
		unix.SYS_FGETXATTR:    {"fgetxattr", 1, 0, 0, 2, true, false, xattr("getxattr")},
		unix.SYS_LGETXATTR:    {"lgetxattr", 0, 1, 0, 2, true, false, unfollowed},
		unix.SYS_LISTXATTR:    {"listxattr", 0, 1, 0, 0, false, false, one("lookup")}, // of the file itself nothing is asked
		unix.SYS_LLISTXATTR:   {"llistxattr", 0, 1, 0, 0, false, false, one("lstat")},
		unix.SYS_INOTIFY_ADD_WATCH: {"inotify_add_watch", 0, 2, 0, 0, false, false, func(r *record, second string) [][]string {
			if r.Args[2]&unix.IN_DONT_FOLLOW != 0 {
				return unfollowed(r, second)
			}
			return [][]string{{"eaccess", "r"}}
		}},
		unix.SYS_CHROOT:        {"chroot", 0, 1, 0, 0, false, false, noQuestion},
		unix.SYS_MOUNT:         {"mount", 0, 2, 0, 0, false, false, noQuestion},
		unix.SYS_UMOUNT2:       {"umount2", 0, 1, 0, 0, false, false, noQuestion},
		unix.SYS_PIVOT_ROOT:    {"pivot_root", 0, 1, 0, 2, false, false, noQuestion},
		unix.SYS_OPEN_TREE:     {"open_tree", 1, 2, 0, 0, false, false, noQuestion},
		unix.SYS_MOVE_MOUNT:    {"move_mount", 1, 2, 3, 4, false, false, noQuestion},
		unix.SYS_MOUNT_SETATTR: {"mount_setattr", 1, 2, 0, 0, false, false, noQuestion},
		unix.SYS_CONNECT: {"connect", 0, 2, 0, 0, false, true, func(r *record, _ string) [][]string {
			if r.Ret == -int64(unix.EPERM) {
				return r.unasked("it is the peer of a datagram socket that refuses, not the file")
			}
			return [][]string{{"connect"}}
		}},
		unix.SYS_BIND: {"bind", 0, 2, 0, 0, false, true, one("mkfifo")}, // a socket asks for the same
	}
	for nr, call := range oldCalls() {
		calls[nr] = call
	}
	return calls
}

package trace

import "golang.org/x/sys/unix"

// oldCalls are those that newer architectures do not have.
func oldCalls() map[uint32]fsCall {
	return map[uint32]fsCall{
		unix.SYS_OPEN:      {"open", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return openOps(r, r.Args[1]) }},
		unix.SYS_CREAT:     {"creat", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return openOps(r, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC) }},
		unix.SYS_STAT:      {"stat", 0, 1, 0, 0, false, false, one("lookup")},
		unix.SYS_LSTAT:     {"lstat", 0, 1, 0, 0, false, false, one("lstat")},
		unix.SYS_ACCESS:    {"access", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return accessOps(r.Args[1], 0) }},
		unix.SYS_READLINK:  {"readlink", 0, 1, 0, 0, false, false, one("readlink")},
		unix.SYS_MKDIR:     {"mkdir", 0, 1, 0, 0, false, false, one("mkdir")},
		unix.SYS_RMDIR:     {"rmdir", 0, 1, 0, 0, false, false, one("rmdir")},
		unix.SYS_UNLINK:    {"unlink", 0, 1, 0, 0, false, false, one("unlink")},
		unix.SYS_SYMLINK:   {"symlink", 0, 2, 0, 0, false, false, one("symlink")},
		unix.SYS_MKNOD:     {"mknod", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return mknodOps(r.Args[1], r.Args[2]) }},
		unix.SYS_RENAME:    {"rename", 0, 1, 0, 2, false, false, func(_ *record, second string) [][]string { return renameOps(0, second) }},
		unix.SYS_RENAMEAT:  {"renameat", 1, 2, 3, 4, false, false, func(_ *record, second string) [][]string { return renameOps(0, second) }},
		unix.SYS_LINK:      {"link", 0, 1, 0, 2, false, false, func(_ *record, second string) [][]string { return [][]string{{"link", second}} }},
		unix.SYS_CHMOD:     {"chmod", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return chmodOps(r.Args[1]) }},
		unix.SYS_CHOWN:     {"chown", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return chownOps("chown", r.Args[1], r.Args[2]) }},
		unix.SYS_UTIME:     {"utime", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return utimesOps(r.Args[1]) }},
		unix.SYS_UTIMES:    {"utimes", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return utimesOps(r.Args[1]) }},
		unix.SYS_FUTIMESAT: {"futimesat", 1, 2, 0, 0, false, false, func(r *record, _ string) [][]string { return utimesOps(r.Args[2]) }},
		unix.SYS_LCHOWN:    {"lchown", 0, 1, 0, 0, false, false, func(r *record, _ string) [][]string { return chownOps("lchown", r.Args[1], r.Args[2]) }},
	}
}

package access

import "slices"

// OpInfo describes an operation for help texts and completion.
type OpInfo struct {
	Op   Op
	Args []string // the names of its arguments: "NEW", "MODE", ...
	Call string   // the system call that the target would make
}

// Operations lists every operation, in the order in which help shows them.
func Operations() []OpInfo {
	return []OpInfo{
		{OpLookup, nil, "stat"},
		{OpLstat, nil, "lstat"},
		{OpChdir, nil, "chdir"},
		{OpRead, nil, "open O_RDONLY"},
		{OpWrite, nil, "open O_WRONLY"},
		{OpRdwr, nil, "open O_RDWR"},
		{OpAppend, nil, "open O_WRONLY|O_APPEND"},
		{OpOpentrunc, nil, "open O_WRONLY|O_TRUNC"},
		{OpNoatime, nil, "open O_RDONLY|O_NOATIME"},
		{OpExec, nil, "execve"},
		{OpCreate, nil, "open O_CREAT|O_EXCL|O_WRONLY, 0666"},
		{OpOpencreat, nil, "open O_CREAT|O_WRONLY, 0666"},
		{OpMkdir, nil, "mkdir 0777"},
		{OpMkfifo, nil, "mknod of a fifo"},
		{OpMknod, nil, "mknod of character device 1:3"},
		{OpWhiteout, nil, "mknod of character device 0:0"},
		{OpSymlink, nil, "symlink"},
		{OpUnlink, nil, "unlink"},
		{OpRmdir, nil, "rmdir"},
		{OpRename, []string{"NEW"}, "rename"},
		{OpNoreplace, []string{"NEW"}, "renameat2 RENAME_NOREPLACE"},
		{OpExchange, []string{"NEW"}, "renameat2 RENAME_EXCHANGE"},
		{OpLink, []string{"NEW"}, "link"},
		{OpTruncate, nil, "truncate to 0"},
		{OpChmod, []string{"MODE"}, "chmod"},
		{OpChown, []string{"UID", "GID"}, "chown"},
		{OpLchown, []string{"UID", "GID"}, "lchown"},
		{OpTouch, nil, "utimensat, now"},
		{OpUtimes, nil, "utimensat, explicit times"},
		{OpSetxattr, []string{"NAME"}, "setxattr"},
		{OpGetxattr, []string{"NAME"}, "getxattr"},
		{OpGetACL, nil, "getxattr system.posix_acl_access"},
		{OpReadlink, nil, "readlink"},
		{OpAccess, []string{"RWX"}, "access, with the real ids"},
		{OpEaccess, []string{"RWX"}, "faccessat2 AT_EACCESS"},
		{OpConnect, nil, "connect to a socket"},
	}
}

// infoOf finds an operation by its name.
func infoOf(op Op) (OpInfo, bool) {
	list := Operations()
	i := slices.IndexFunc(list, func(o OpInfo) bool { return o.Op == op })
	if i < 0 {
		return OpInfo{}, false
	}
	return list[i], true
}

// habit is what people call an operation that has another name here.
func habit(word string) []string {
	switch word {
	case "stat":
		return []string{"lookup"}
	case "open", "cat", "ls", "readdir", "list", "r":
		return []string{"read"}
	case "w":
		return []string{"write"}
	case "rw", "readwrite":
		return []string{"rdwr"}
	case "x", "run", "execute":
		return []string{"exec"}
	case "cd", "search", "enter", "traverse":
		return []string{"chdir"}
	case "rm", "delete", "remove":
		return []string{"unlink", "rmdir"}
	case "mv", "move":
		return []string{"rename"}
	case "ln", "hardlink":
		return []string{"link", "symlink"}
	case "creat":
		return []string{"opencreat", "create"}
	case "trunc":
		return []string{"truncate", "opentrunc"}
	case "chgrp":
		return []string{"chown - GID"}
	case "utime":
		return []string{"utimes", "touch"}
	case "getfacl":
		return []string{"getacl"}
	case "setfacl":
		return []string{"setxattr system.posix_acl_access"}
	}
	return nil
}

package access

import "github.com/nsview/nsview/idmap"

// Op names an operation by the system call that the target would make.
type Op string

// The operations. Every open has O_NONBLOCK too, and ENXIO of a fifo without a peer counts as allowed.
const (
	OpLookup    Op = "lookup"    // stat(2)
	OpLstat     Op = "lstat"     // lstat(2)
	OpChdir     Op = "chdir"     // chdir(2)
	OpRead      Op = "read"      // open(2) O_RDONLY
	OpWrite     Op = "write"     // O_WRONLY
	OpRdwr      Op = "rdwr"      // O_RDWR
	OpAppend    Op = "append"    // O_WRONLY|O_APPEND
	OpOpentrunc Op = "opentrunc" // O_WRONLY|O_TRUNC
	OpNoatime   Op = "noatime"   // O_RDONLY|O_NOATIME
	OpExec      Op = "exec"      // execve(2)
	OpCreate    Op = "create"    // O_CREAT|O_EXCL|O_WRONLY, 0666
	OpOpencreat Op = "opencreat" // O_CREAT|O_WRONLY, 0666
	OpMkdir     Op = "mkdir"     // 0777
	OpMkfifo    Op = "mkfifo"
	OpMknod     Op = "mknod"    // character device 1:3
	OpWhiteout  Op = "whiteout" // character device 0:0
	OpSymlink   Op = "symlink"
	OpUnlink    Op = "unlink"
	OpRmdir     Op = "rmdir"
	OpRename    Op = "rename"    // renameat2(2) NEW
	OpNoreplace Op = "noreplace" // RENAME_NOREPLACE
	OpExchange  Op = "exchange"  // RENAME_EXCHANGE
	OpLink      Op = "link"      // linkat(2) NEW
	OpTruncate  Op = "truncate"  // to 0
	OpChmod     Op = "chmod"     // MODE
	OpChown     Op = "chown"     // UID GID
	OpLchown    Op = "lchown"
	OpTouch     Op = "touch"  // utimensat(2), now
	OpUtimes    Op = "utimes" // explicit times
	OpSetxattr  Op = "setxattr"
	OpGetxattr  Op = "getxattr"
	OpGetACL    Op = "getacl"
	OpReadlink  Op = "readlink"
	OpAccess    Op = "access"  // faccessat2(2), real ids
	OpEaccess   Op = "eaccess" // AT_EACCESS
	OpConnect   Op = "connect" // connect(2) to a socket
)

// Operation is an operation with its arguments.
type Operation struct {
	Op   Op
	Args []string // as they were given

	New  string       // rename, noreplace, exchange, link: the second path
	Mode uint32       // chmod; access, eaccess: rwx as 4, 2, 1
	UID  idmap.Inside // chown, lchown: in the target's user namespace; unmapped keeps the owner (-1)
	GID  idmap.Inside
	Name string // setxattr, getxattr
}

package access

// StoredOps are the operations whose walks a snapshot stores of a path. [StoredAs] is which of them another operation asks
// the same facts as.
func StoredOps() []Operation {
	return []Operation{{Op: OpEaccess, Args: []string{"rwx"}, Mode: 7}, {Op: OpLstat}, {Op: OpUnlink}}
}

// StoredAs is the operation whose walk has what op asks of a path, one of [StoredOps], "" when none has: op looks at a
// second path, at the program or at extended attributes.
func StoredAs(op Op) Op {
	switch op {
	case OpExec, OpGetxattr, OpSetxattr, OpRename, OpNoreplace, OpExchange, OpLink:
		return ""
	case OpUnlink, OpRmdir:
		return OpUnlink
	case OpLstat, OpReadlink, OpLchown, OpCreate, OpMkdir, OpMkfifo, OpMknod, OpWhiteout, OpSymlink:
		return OpLstat
	}
	return OpEaccess
}

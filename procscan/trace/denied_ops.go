package trace

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// openOps are the operations that an open stands for. One that also creates asks for different things depending on whether
// the file is there, so both are named.
func openOps(r *record, flags uint64) [][]string {
	mode, has := flags&unix.O_ACCMODE, func(bit uint64) bool { return flags&bit != 0 }
	exists := []string{"read"}
	switch {
	case flags&unix.O_TMPFILE == unix.O_TMPFILE:
		return r.unasked("it makes a file without a name (O_TMPFILE)")
	case has(unix.O_PATH):
		return [][]string{{"lookup"}}
	case mode == unix.O_WRONLY && has(unix.O_TRUNC):
		exists = []string{"opentrunc"}
	case mode == unix.O_WRONLY && has(unix.O_APPEND):
		exists = []string{"append"}
	case mode == unix.O_WRONLY:
		exists = []string{"write"}
	case mode == unix.O_RDWR:
		exists = []string{"rdwr"}
	case has(unix.O_NOATIME):
		exists = []string{"noatime"}
	}
	switch {
	case has(unix.O_CREAT) && has(unix.O_EXCL):
		return [][]string{{"create"}}
	case has(unix.O_CREAT):
		return [][]string{exists, {"opencreat"}}
	}
	return [][]string{exists}
}

func statOps(flags uint64) [][]string {
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		return [][]string{{"lstat"}}
	}
	return [][]string{{"lookup"}}
}

func accessOps(mode, flags uint64) [][]string {
	letters := ""
	for i, letter := range []string{"r", "w", "x"} {
		if mode&(4>>i) != 0 {
			letters += letter
		}
	}
	switch {
	case letters == "":
		return [][]string{{"lookup"}}
	case flags&unix.AT_EACCESS != 0:
		return [][]string{{"eaccess", letters}}
	}
	return [][]string{{"access", letters}}
}

func mknodOps(mode, dev uint64) [][]string {
	switch {
	case mode&unix.S_IFMT == unix.S_IFCHR && dev == 0:
		return [][]string{{"whiteout"}}
	case mode&unix.S_IFMT == unix.S_IFCHR || mode&unix.S_IFMT == unix.S_IFBLK:
		return [][]string{{"mknod"}}
	}
	return [][]string{{"mkfifo"}} // a socket and a regular file ask for the same
}

func renameOps(flags uint64, second string) [][]string {
	switch {
	case flags&unix.RENAME_EXCHANGE != 0:
		return [][]string{{"exchange", second}}
	case flags&unix.RENAME_NOREPLACE != 0:
		return [][]string{{"noreplace", second}}
	}
	return [][]string{{"rename", second}}
}

func chmodOps(mode uint64) [][]string { return [][]string{{"chmod", fmt.Sprintf("%04o", mode&0o7777)}} }

func chownOps(op string, uid, gid uint64) [][]string {
	id := func(arg uint64) string {
		if id := idArg(arg); id >= 0 {
			return strconv.FormatInt(id, 10)
		}
		return "-"
	}
	return [][]string{{op, id(uid), id(gid)}}
}

func utimesOps(times uint64) [][]string {
	if times == 0 {
		return [][]string{{"touch"}}
	}
	return [][]string{{"utimes"}, {"touch"}}
}

package procscan

import (
	"errors"
	"io/fs"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A scan makes a million system calls. These are those of package unix without what each of its calls allocates: a copy
// of the name that ends in NUL.

// entry is the name of a file below a directory, as system calls take it.
type entry struct {
	name string
	nul  []byte // name and a NUL
}

func entryOf(name string) entry { return entry{name, append([]byte(name), 0)} }

// The files of every process's directory.
type entries struct {
	stat, status, cgroup, root entry
}

func newEntries() entries {
	return entries{entryOf("stat"), entryOf("status"), entryOf("cgroup"), entryOf("root")}
}

// openDirFlags open a directory to find things in.
const openDirFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC

func openEntry(dir int, nul []byte, flags int) (int, error) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&nul[0])), uintptr(flags), 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// readlinkEntry reads a symbolic link into buf. A target that fills buf may have been cut short.
func readlinkEntry(dir int, nul, buf []byte) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&nul[0])),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// openPID opens the directory of a process or a task below dir.
func (w *worker) openPID(dir, pid int) (int, error) {
	w.name = append(strconv.AppendInt(w.name[:0], int64(pid), 10), 0)
	return openEntry(dir, w.name, openDirFlags)
}

// procNUL is procName as system calls take it, valid until the next.
func (w *worker) procNUL(pid int, name string) []byte {
	w.name = append(strconv.AppendInt(w.name[:0], int64(pid), 10), '/')
	w.name = append(append(w.name, name...), 0)
	return w.name
}

// readEntry reads a whole file below the directory dir into buf, which grows as it must.
func readEntry(dir int, e entry, limit int, buf *[]byte) ([]byte, error) {
	fd, err := openEntry(dir, e.nul, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: e.name, Err: err}
	}
	defer unix.Close(fd)
	for n := 0; ; {
		if n == len(*buf) {
			if n > limit {
				return nil, &fs.PathError{Op: "read", Path: e.name, Err: errTooLarge}
			}
			*buf = append(*buf, make([]byte, len(*buf))...)
		}
		m, err := unix.Read(fd, (*buf)[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: e.name, Err: err}
		}
		n += m
		if m == 0 || wholeAtOnce(e.name) && n < len(*buf) {
			return (*buf)[:n], nil
		}
	}
}

// readUpTo is readEntry for a file that is not read of every process.
func readUpTo(dir int, name string, limit int, buf *[]byte) ([]byte, error) {
	return readEntry(dir, entryOf(name), limit, buf)
}

// wholeAtOnce says of which files the kernel makes the whole text before the first read (single_open()): a read that
// does not fill the buffer was the last, and the one that would say "end of file" is saved. The id maps come line by
// line and are not among them.
func wholeAtOnce(name string) bool { return name == "stat" || name == "status" || name == "cgroup" }

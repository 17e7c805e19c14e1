package procscan

import (
	"bytes"
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// maxArgs is how much of a command line is kept: what one argument may have (MAX_ARG_STRLEN). A process may show up to 6
// MiB, or with prctl(PR_SET_MM_ARG_END) any amount, and there may be thousands of such processes.
const maxArgs = 128 << 10

var (
	errArgsCut  = errors.New("longer than 128 KiB, the rest is left out")
	errArgsHang = errors.New("no answer within 5 seconds, the process has its memory locked")
)

// args reads /proc/PID/cmdline (proc_pid_cmdline(5)): the arguments, each ended by a NUL. What the process wrote over
// them later is there instead (setproctitle(3)), and is one argument when it has no NUL. It is nil for kernel threads
// and zombies. With errArgsCut the arguments are what there was room for.
//
// The kernel takes the process's mmap_lock for this (get_mm_cmdline() in fs/proc/base.c), which the process holds while
// it maps or unmaps a file, however long the file's FUSE or NFS server takes for its part: pool watches over the time.
func (w *worker) args(dir int) ([]string, error) {
	fd, err := unix.Openat(dir, "cmdline", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "cmdline", Err: err}
	}
	defer unix.Close(fd)
	n := 0
	for n <= maxArgs {
		if n == len(w.buf) {
			w.buf = append(w.buf, make([]byte, len(w.buf))...)
		}
		m, err := unix.Read(fd, w.buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: "cmdline", Err: err}
		}
		if m == 0 {
			return splitArgs(w.buf[:n]), nil
		}
		n += m
	}
	return splitArgs(w.buf[:maxArgs]), errArgsCut
}

// splitArgs undoes how the kernel joins arguments. An empty last argument is one: only the NUL that ends the last is
// not followed by another.
func splitArgs(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	all := string(bytes.TrimSuffix(b, []byte{0})) // one allocation for all
	args := make([]string, 0, bytes.Count(b, []byte{0})+1)
	for {
		i := 0
		for i < len(all) && all[i] != 0 {
			i++
		}
		args = append(args, all[:i])
		if i == len(all) {
			return args
		}
		all = all[i+1:]
	}
}

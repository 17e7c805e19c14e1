package trace_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

func TestMain(m *testing.M) {
	helpers := map[string]func() error{
		"clone3":            clone3,
		"changed-path":      func() error { return changedPath("/bin/", nil) },
		"changed-long-path": func() error { return changedPath(longBin, nil) },
		"waiting":           func() error { return changedPath("/bin/", told) },
		"unread-path":       unreadPath,
		"vectored-maps":     vectoredMaps,
		"open":              openBPF,
	}
	if help := helpers[os.Getenv("NSVIEW_TRACE_HELPER")]; help != nil {
		if err := help(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	proctest.HeedSignals()
	os.Exit(m.Run())
}

// openBPF fails as [trace.OpenBPF] does.
func openBPF() error {
	source, err := trace.OpenBPF(trace.Options{})
	if err != nil {
		return err
	}
	return source.Close()
}

const manyFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// clone3 makes a child in eight new namespaces, which ends at once, and waits for it. Before that it asks for what cannot be.
func clone3() error {
	refused := [11]uint64{0: unix.CLONE_NEWNS | unix.CLONE_FS, 4: uint64(unix.SIGCHLD)}
	if _, errno := rawClone3(&refused); errno != unix.EINVAL {
		return fmt.Errorf("clone3(CLONE_NEWNS|CLONE_FS): %w", errno)
	}
	args := [11]uint64{0: manyFlags, 4: uint64(unix.SIGCHLD)} // struct clone_args
	pid, errno := rawClone3(&args)
	if errno != 0 {
		return errno
	}
	_, err := unix.Wait4(pid, nil, 0, nil)
	return err
}

// rawClone3 forks with clone3(2). The child is a copy of one thread of a Go program, so all that it does is to end.
//
//go:nosplit
func rawClone3(args *[11]uint64) (pid int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if r == 0 && errno == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 7, 0, 0)
		}
	}
	return int(r), errno
}

// longBin is /bin/, longer than what the programs keep of a call with the call itself.
var longBin = strings.Repeat("/.", 200) + "/bin/"

// changedPath executes "true" in a directory, a path that another thread changes during the call: after the kernel has read
// it, and before the call fails. The kernel waits for that thread at the arguments, whose memory that thread provides
// (userfaultfd(2)), after wait if there is one.
func changedPath(dir string, wait func() error) error {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return fmt.Errorf("userfaultfd: %w", errno)
	}
	page := os.Getpagesize()
	args, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	argv := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(args))))
	const ( // include/uapi/linux/userfaultfd.h
		api, uffdioAPI     = 0xAA, 0xc018aa3f
		missing, uffdioReg = 1, 0xc020aa00
		uffdioCopy         = 0xc028aa03
	)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdioAPI, uintptr(unsafe.Pointer(&[3]uint64{api}))); errno != 0 {
		return fmt.Errorf("UFFDIO_API: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdioReg, uintptr(unsafe.Pointer(&[4]uint64{argv, uint64(page), missing}))); errno != 0 {
		return fmt.Errorf("UFFDIO_REGISTER: %w", errno)
	}
	path := []byte(dir + "true\x00")
	go func() {
		if _, err := unix.Read(int(fd), make([]byte, 32)); err != nil { // waits for the fault
			panic(err)
		}
		if wait != nil {
			if err := wait(); err != nil {
				panic(err)
			}
		}
		copy(path, dir+"lies")
		wrong := make([]byte, page)
		wrong[0] = 1 // the address of the first argument
		from := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(wrong))))
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, uffdioCopy, uintptr(unsafe.Pointer(&[5]uint64{argv, from, uint64(page)}))); errno != 0 {
			panic(errno)
		}
	}()
	_, _, errno = unix.Syscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(&path[0])), uintptr(argv), 0)
	if errno != unix.EFAULT || string(path) != dir+"lies\x00" {
		return fmt.Errorf("execve: %w, path %q", errno, path)
	}
	return nil
}

// told says that a call is going on, and waits until stdin ends.
func told() error {
	fmt.Println("waiting")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// unreadPath executes a path of which the memory has not been used before.
func unreadPath() error {
	f, err := os.CreateTemp("", "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteString("/nosuch/unread\x00"); err != nil {
		return err
	}
	path, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(unsafe.SliceData(path))), 0, 0); errno != unix.ENOENT {
		return fmt.Errorf("execve: %w", errno)
	}
	return nil
}

// vectoredMaps writes to its id map with the calls that are given parts. The map of the initial user namespace takes none, and
// no map takes one at an offset (ESPIPE).
func vectoredMaps() error {
	fd, err := unix.Open("/proc/self/uid_map", unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	content := func(call string) [][]byte { return [][]byte{[]byte("0 0 1 by " + call)} }
	for call, write := range map[string]func() (int, error){
		"writev":   func() (int, error) { return unix.Writev(fd, content("writev")) },
		"pwritev":  func() (int, error) { return unix.Pwritev(fd, content("pwritev"), 0) },
		"pwritev2": func() (int, error) { return unix.Pwritev2(fd, content("pwritev2"), -1, 0) },
	} {
		if n, err := write(); err == nil {
			return fmt.Errorf("%s wrote %d bytes to the map", call, n)
		}
	}
	return nil
}

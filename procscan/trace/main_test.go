package trace_test

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

func TestMain(m *testing.M) {
	if os.Getenv("NSVIEW_TRACE_HELPER") == "clone3" {
		if err := clone3(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	proctest.HeedSignals()
	os.Exit(m.Run())
}

const manyFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// clone3 makes a child in eight new namespaces, which ends at once, and waits for it.
func clone3() error {
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

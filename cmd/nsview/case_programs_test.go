package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The programs of case scripts that no distribution has: they change themselves and then execute the rest of their
// arguments.

// deafFUSEMain is deaf-fuse DIR UID COMMAND...: mounts on DIR a FUSE file system of that user, without allow_other, whose
// server answers nothing.
func deafFUSEMain() {
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR, 0) // stays open in COMMAND: its end is that of the file system
	if err == nil {
		options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%s,group_id=%[2]s", dev, os.Args[2])
		err = unix.Mount("deaf", os.Args[1], "fuse", 0, options)
	}
	become(err, os.Args[3:])
}

// landlockedMain is landlocked COMMAND...: forbids itself to open any file for writing (landlock(7)).
func landlockedMain() {
	runtime.LockOSThread() // the domain is the thread's, and goes with it through execve
	rules := struct{ handled uint64 }{unix.LANDLOCK_ACCESS_FS_WRITE_FILE}
	set, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules), 0)
	if errno == 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			become(err, nil)
		}
		_, _, errno = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0)
	}
	if errno != 0 {
		become(errno, nil)
	}
	become(nil, os.Args[1:])
}

func become(err error, args []string) {
	path := ""
	if err == nil {
		if path, err = exec.LookPath(args[0]); err == nil {
			err = syscall.Exec(path, args, os.Environ())
		}
	}
	fmt.Fprintln(os.Stderr, os.Args[0]+":", err)
	os.Exit(2)
}

package runner

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
)

// withUserNS makes a user namespace with the given maps for as long as use runs, which gets its file descriptor: that is
// how mount_setattr(2) is told an id map. A child holds it.
func withUserNS(uid, gid idmap.Map, use func(fd int) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], holdArg}, &syscall.ProcAttr{
		Env:   []string{},
		Files: []uintptr{r.Fd(), 1, 2},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: sysMap(uid),
			GidMappings: sysMap(gid),
			Pdeathsig:   syscall.SIGKILL,
			// setgroups is left denied: nobody does anything in there, and to allow it is an error where it is denied above.
		},
	})
	if err != nil {
		w.Close()
		return fmt.Errorf("make a user namespace with the maps %v and %v: %w", uid, gid, err)
	}
	defer func() {
		w.Close()
		_ = reap(pid)
	}()
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/proc/" + strconv.Itoa(pid) + "/ns/user", Err: err}
	}
	defer unix.Close(fd)
	return use(fd)
}

func sysMap(m idmap.Map) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(m))
	for i, e := range m {
		out[i] = syscall.SysProcIDMap{ContainerID: int(e.Inside), HostID: int(e.Outside), Size: int(e.Count)}
	}
	return out
}

// reap waits for a child to end.
func reap(pid int) unix.WaitStatus {
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if err != unix.EINTR {
			return ws
		}
	}
}

// holdSaysUp makes hold print this when it runs.
const holdSaysUp = "up"

// hold is a process in a user namespace that does nothing until its stdin ends.
func hold(args []string) int {
	if len(args) > 0 && args[0] == holdSaysUp {
		fmt.Print(holdSaysUp)
	}
	b := make([]byte, 1)
	_, _ = os.Stdin.Read(b)
	return 0
}

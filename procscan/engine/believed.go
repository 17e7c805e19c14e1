package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// believed reports whether who makes a claim may speak for its process. Root may. Others may where they own the
// process's user namespace (NS_GET_OWNER_UID of ioctl_nsfs(2)), and in the observer's own user namespace, which may be
// the initial one, for processes that run as them.
//
// Where the observer may not read whose user namespace it is, nobody but root is believed, and a gap says so.
func believed(ctx context.Context, snap *nsinspect.Snapshot, f *Found, o Options) (bool, *nsinspect.Gap) {
	p := snap.Process(f.InitPID)
	if f.By == 0 {
		return true, nil
	}
	if p.Namespaces.User != 0 && p.Namespaces.User == snap.Observer.UserNS {
		uid := p.Cred.UID.Real
		if !uid.Mapped() { // or it was not read, see procscan.Beside
			uid = realUID(ctx, o.Proc, p)
		}
		return f.By == uint32(uid) && uid.Mapped(), nil
	}
	owner, err := userNSOwner(o.Proc, f.InitPID)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH):
		return false, nil // it ended
	case err != nil:
		return false, &nsinspect.Gap{
			Subject: "pid " + strconv.Itoa(f.InitPID), PID: f.InitPID, Fact: "owner of the user namespace",
			Error: reason(err), Hint: hint(err),
		}
	}
	if !snap.Observer.InitialNS && owner == snap.Observer.OverflowUID {
		return false, nil // an owner that has no mapping here cannot be compared
	}
	return owner == f.By, nil
}

// realUID asks again whose process it is. It is unmapped also where it has ended.
func realUID(ctx context.Context, proc string, p *nsinspect.Process) idmap.Kernel {
	s, err := procscan.Scan(ctx, procscan.Options{Proc: proc, PIDs: []int{p.PID}, Facts: procscan.Brief})
	if err != nil {
		return idmap.UnmappedKernel
	}
	if now := s.Process(p.PID); now != nil && now.StartTime == p.StartTime {
		return now.Cred.UID.Real
	}
	return idmap.UnmappedKernel
}

// userNSOwner is the uid of who made the user namespace of a process, as the observer sees it.
func userNSOwner(proc string, pid int) (uint32, error) {
	f, err := os.Open(proc + "/" + strconv.Itoa(pid) + "/ns/user")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var uid uint32
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.NS_GET_OWNER_UID, uintptr(unsafe.Pointer(&uid))); errno != 0 {
		return 0, os.NewSyscallError("ioctl NS_GET_OWNER_UID", errno)
	}
	return uid, nil
}

// reason is an error as a Gap has it: without the path, which is the gap's subject.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "did not answer within a second"
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

func hint(err error) string {
	switch {
	case !errors.Is(err, fs.ErrPermission):
		return ""
	case os.Geteuid() == 0: // in a container
		return "run with CAP_SYS_PTRACE and all the capabilities of that process"
	}
	return "run as root"
}

package procscan

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// Requests of ioctl_nsfs(2) that golang.org/x/sys does not name (include/uapi/linux/nsfs.h, Linux 6.12):
// _IOR(0xb7, 11 and 12, struct mnt_ns_info), spelled as what differs from _IOR(0xb7, 5, __u64), because the bits of the
// direction are not the same on every architecture.
const (
	nsMntGetNext = unix.NS_GET_MNTNS_ID + 6 + (mntNSInfoSize-8)<<16
	nsMntGetPrev = unix.NS_GET_MNTNS_ID + 7 + (mntNSInfoSize-8)<<16

	mntNSInfoSize = 16
)

// mntNSInfo is struct mnt_ns_info.
type mntNSInfo struct {
	Size    uint32
	NMounts uint32
	MntNSID uint64
}

// nsFile is an open namespace file: a file descriptor on nsfs, for the questions of ioctl_nsfs(2). Opening one neither
// joins the namespace nor changes it; it does keep it alive, so it is closed as soon as the questions are asked.
type nsFile struct {
	fd    int
	inode nsinspect.Inode
	dev   uint64 // of nsfs, the same for every namespace
}

// openNS opens the namespace file at path, /proc/PID/ns/TYPE for instance. It fails when path is no namespace.
func openNS(path string) (*nsFile, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	n, err := newNSFile(fd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

var errNotNS = errors.New("not a namespace")

// newNSFile takes over fd, and closes it when it is no namespace.
func newNSFile(fd int) (*nsFile, error) {
	var (
		st   unix.Stat_t
		stfs unix.Statfs_t
	)
	err := unix.Fstat(fd, &st)
	if err == nil {
		err = unix.Fstatfs(fd, &stfs)
	}
	if err == nil && stfs.Type != unix.NSFS_MAGIC {
		err = errNotNS
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written to it
		return nil, err
	}
	return &nsFile{fd: fd, inode: nsinspect.Inode(st.Ino), dev: st.Dev}, nil
}

func (n *nsFile) close() { _ = unix.Close(n.fd) }

// typ is NS_GET_NSTYPE (Linux 4.11): what kind of namespace it is, "" for a kind that nsview does not know.
func (n *nsFile) typ() (nsinspect.Type, error) {
	flag, err := n.ioctl("NS_GET_NSTYPE", unix.NS_GET_NSTYPE, nil)
	if err != nil {
		return "", err
	}
	switch flag {
	case unix.CLONE_NEWUSER:
		return nsinspect.User, nil
	case unix.CLONE_NEWPID:
		return nsinspect.PID, nil
	case unix.CLONE_NEWNS:
		return nsinspect.Mnt, nil
	case unix.CLONE_NEWNET:
		return nsinspect.Net, nil
	case unix.CLONE_NEWUTS:
		return nsinspect.UTS, nil
	case unix.CLONE_NEWIPC:
		return nsinspect.IPC, nil
	case unix.CLONE_NEWCGROUP:
		return nsinspect.Cgroup, nil
	case unix.CLONE_NEWTIME:
		return nsinspect.Time, nil
	}
	return "", nil
}

// parent is NS_GET_PARENT (Linux 4.9), for user and PID namespaces. EPERM is the answer at the top and also where the
// parent is outside the observer's own namespace.
func (n *nsFile) parent() (*nsFile, error) {
	return n.related("NS_GET_PARENT", unix.NS_GET_PARENT, nil)
}

// owner is NS_GET_USERNS (Linux 4.9): the user namespace that owns it, for a user namespace its parent. EPERM as for
// parent.
func (n *nsFile) owner() (*nsFile, error) { return n.related("NS_GET_USERNS", unix.NS_GET_USERNS, nil) }

// ownerUID is NS_GET_OWNER_UID (Linux 4.11): the creator of a user namespace, as an id of the observer's user
// namespace; the overflow id when it has no mapping there.
func (n *nsFile) ownerUID() (uint32, error) {
	var uid uint32
	_, err := n.ioctl("NS_GET_OWNER_UID", unix.NS_GET_OWNER_UID, unsafe.Pointer(&uid))
	return uid, err
}

// id is NS_GET_ID (Linux 6.18): a number that is never given twice between two boots. ENOTTY before.
func (n *nsFile) id() (uint64, error) {
	var id uint64
	_, err := n.ioctl("NS_GET_ID", unix.NS_GET_ID, unsafe.Pointer(&id))
	return id, err
}

// mntID is NS_GET_MNTNS_ID (Linux 6.11): what statmount(2) calls a mount namespace. ENOTTY before.
func (n *nsFile) mntID() (uint64, error) {
	var id uint64
	_, err := n.ioctl("NS_GET_MNTNS_ID", unix.NS_GET_MNTNS_ID, unsafe.Pointer(&id))
	return id, err
}

// nextMnt and prevMnt are NS_MNT_GET_NEXT and NS_MNT_GET_PREV (Linux 6.12): the mount namespace with the next higher,
// or lower, id of those over whose owner the observer has CAP_SYS_ADMIN. ENOENT after the last.
func (n *nsFile) nextMnt() (*nsFile, uint64, error) {
	return n.stepMnt("NS_MNT_GET_NEXT", nsMntGetNext)
}

func (n *nsFile) prevMnt() (*nsFile, uint64, error) {
	return n.stepMnt("NS_MNT_GET_PREV", nsMntGetPrev)
}

func (n *nsFile) stepMnt(name string, request uint) (*nsFile, uint64, error) {
	info := mntNSInfo{Size: mntNSInfoSize}
	next, err := n.related(name, request, unsafe.Pointer(&info))
	return next, info.MntNSID, err
}

func (n *nsFile) related(name string, request uint, arg unsafe.Pointer) (*nsFile, error) {
	fd, err := n.ioctl(name, request, arg)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &nsFile{fd: fd, inode: nsinspect.Inode(st.Ino), dev: st.Dev}, nil
}

// ioctl asks request of the namespace.
func (n *nsFile) ioctl(name string, request uint, arg unsafe.Pointer) (int, error) {
	v, err := ioctl(n.fd, request, arg)
	if err != nil {
		return 0, fmt.Errorf("%s of namespace %d: %w", name, n.inode, err)
	}
	return v, nil
}

func ioctl(fd int, request uint, arg unsafe.Pointer) (int, error) {
	v, err := retry(func() (int, error) {
		v, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
		if errno != 0 {
			return 0, errno
		}
		return int(v), nil
	})
	runtime.KeepAlive(arg)
	return v, err
}

// retry repeats a system call that a signal interrupted; the Go runtime sends itself some.
func retry(call func() (int, error)) (int, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// childPIDNS opens the PID namespace that children of the task would be in, by its pidfd
// (PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE, Linux 6.11). It answers also after unshare(CLONE_NEWPID) without a fork, when
// /proc/PID/ns/pid_for_children reads as ENOENT. id is a PID or, with unix.PIDFD_THREAD, a TID, as numbered in the
// observer's own PID namespace.
func childPIDNS(id, flags int) (*nsFile, error) {
	pidfd, err := unix.PidfdOpen(id, flags)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", id, err)
	}
	defer unix.Close(pidfd)
	fd, err := ioctl(pidfd, unix.PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE, nil)
	if err != nil {
		return nil, fmt.Errorf("PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE of %d: %w", id, err)
	}
	return newNSFile(fd)
}

// parseNSLink reads what a link to a namespace says, and the root of a mount of one: TYPE:[INODE].
func parseNSLink(s string) (nsinspect.Type, nsinspect.Inode, bool) {
	name, rest, ok := strings.Cut(s, ":[")
	number, closed := strings.CutSuffix(rest, "]")
	if !ok || !closed {
		return "", 0, false
	}
	inode, err := strconv.ParseUint(number, 10, 64)
	if err != nil || inode == 0 {
		return "", 0, false
	}
	switch t := nsinspect.Type(name); t {
	case nsinspect.User, nsinspect.PID, nsinspect.Mnt, nsinspect.Net, nsinspect.UTS, nsinspect.IPC, nsinspect.Cgroup, nsinspect.Time:
		return t, nsinspect.Inode(inode), true
	}
	return "", 0, false
}

package procscan

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

var errOtherPIDs = errors.New("the procfs shows another PID namespace")

// pidfdCred asks PIDFD_GET_INFO (Linux 6.13) for the ids of a process whose status cannot be read, on a procfs mounted
// with hidepid=1 for instance: the request needs no privilege. Capabilities and supplementary groups it does not know.
func (s *scanner) pidfdCred(pid int) (status, error) {
	st := status{cred: noCred()}
	if !s.samePIDs {
		return st, errOtherPIDs
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return st, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	defer unix.Close(fd)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS}
	if _, err := ioctl(fd, unix.PIDFD_GET_INFO, unsafe.Pointer(&info)); err != nil {
		return st, fmt.Errorf("PIDFD_GET_INFO of %d: %w", pid, err)
	}
	if info.Mask&unix.PIDFD_INFO_CREDS == 0 {
		return st, fmt.Errorf("PIDFD_GET_INFO of %d: no credentials", pid)
	}
	st.ppid = int(info.Ppid)
	ids := func(real, effective, saved, fsID uint32) nsinspect.IDs {
		return nsinspect.IDs{
			Real: idmap.Kernel(real), Effective: idmap.Kernel(effective), Saved: idmap.Kernel(saved), FS: idmap.Kernel(fsID),
		}
	}
	st.cred.UID = ids(info.Ruid, info.Euid, info.Suid, info.Fsuid)
	st.cred.GID = ids(info.Rgid, info.Egid, info.Sgid, info.Fsgid)
	return st, nil
}

// childPIDNSOf is the PID namespace that the next child of pid will be in, 0 when it cannot be told.
func (s *scanner) childPIDNSOf(pid int) nsinspect.Inode {
	if !s.samePIDs {
		return 0
	}
	ns, err := childPIDNS(pid, 0)
	if err != nil {
		return 0
	}
	defer ns.close()
	return ns.inode
}

// pidfdNamespaces asks the pidfd ioctls (Linux 6.11) for the namespaces of a process of the observer's PID namespace.
func pidfdNamespaces(pid int) (nsinspect.NamespaceSet, error) {
	var set nsinspect.NamespaceSet
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return set, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	for _, q := range []struct {
		request uint
		inode   *nsinspect.Inode
	}{
		{unix.PIDFD_GET_USER_NAMESPACE, &set.User},
		{unix.PIDFD_GET_PID_NAMESPACE, &set.PID},
		{unix.PIDFD_GET_MNT_NAMESPACE, &set.Mnt},
		{unix.PIDFD_GET_NET_NAMESPACE, &set.Net},
		{unix.PIDFD_GET_UTS_NAMESPACE, &set.UTS},
		{unix.PIDFD_GET_IPC_NAMESPACE, &set.IPC},
		{unix.PIDFD_GET_CGROUP_NAMESPACE, &set.Cgroup},
		{unix.PIDFD_GET_TIME_NAMESPACE, &set.Time},
		{unix.PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE, &set.PIDForChildren},
		{unix.PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE, &set.TimeForChildren},
	} {
		fd, err := ioctl(pidfd, q.request, nil)
		if err != nil {
			return set, fmt.Errorf("namespaces by pidfd of %d: %w", pid, err)
		}
		ns, err := newNSFile(fd)
		if err != nil {
			return set, fmt.Errorf("namespaces by pidfd of %d: %w", pid, err)
		}
		*q.inode = ns.inode
		ns.close()
	}
	return set, nil
}

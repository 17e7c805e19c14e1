package trace

import "golang.org/x/sys/unix"

// made is the namespaces after new ones were asked for, which are not known.
func (n inodes) made(flags uint64, child bool) inodes {
	n = n.unknown(flags)
	if child && flags&unix.CLONE_NEWPID != 0 {
		n.PID = 0
	}
	if child && flags&unix.CLONE_NEWTIME != 0 {
		n.Time = 0
	}
	return n
}

// with is the namespaces with what is known from elsewhere.
func (n inodes) with(other *inodes) inodes {
	for _, pair := range [][2]*uint32{
		{&n.User, &other.User},
		{&n.PID, &other.PID},
		{&n.PIDForChildren, &other.PIDForChildren},
		{&n.Mnt, &other.Mnt},
		{&n.Net, &other.Net},
		{&n.UTS, &other.UTS},
		{&n.IPC, &other.IPC},
		{&n.Cgroup, &other.Cgroup},
		{&n.Time, &other.Time},
		{&n.TimeForChildren, &other.TimeForChildren},
	} {
		if *pair[1] != 0 {
			*pair[0] = *pair[1]
		}
	}
	return n
}

// entered is the namespace that a setns asked for by its kind, 0 when that is not known.
func entered(call *perfCall, t *perfTask) uint32 {
	if inode := t.ns.byFlag()[call.args[1]]; inode != nil {
		return *inode
	}
	return 0
}

// byFlag are the namespaces that a thread which stays the same can change, by the flag of that kind.
func (n *inodes) byFlag() map[uint64]*uint32 {
	return map[uint64]*uint32{
		unix.CLONE_NEWUSER: &n.User, unix.CLONE_NEWNS: &n.Mnt, unix.CLONE_NEWNET: &n.Net, unix.CLONE_NEWUTS: &n.UTS, unix.CLONE_NEWIPC: &n.IPC,
		unix.CLONE_NEWCGROUP: &n.Cgroup, unix.CLONE_NEWPID: &n.PIDForChildren, unix.CLONE_NEWTIME: &n.TimeForChildren,
	}
}

// allNew is every kind of namespace.
const allNew = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP |
	unix.CLONE_NEWPID | unix.CLONE_NEWTIME

// kindsOf are the kinds of namespaces that a call may change.
func kindsOf(nr uint32, args *[6]uint64) uint64 {
	switch {
	case nr == unix.SYS_UNSHARE:
		return args[0] & allNew
	case nr == unix.SYS_SETNS && args[1]&0xffffffff != 0:
		return args[1] & allNew
	case nr == unix.SYS_SETNS:
		return allNew
	}
	return 0
}

// unknown is the namespaces without what a thread that stays the same can change of them.
func (n inodes) unknown(flags uint64) inodes {
	for flag, inode := range n.byFlag() {
		if flags&flag != 0 {
			*inode = 0
		}
	}
	return n
}

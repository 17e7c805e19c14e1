package procscan

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// Task is what permission checks ask about one process, as it is now. Ids are on the observer's side.
type Task struct {
	Cred   nsinspect.Credentials
	UserNS nsinspect.Inode
	MntNS  nsinspect.Inode
	MntID  uint64          // of its mount namespace, for [StatMount]; 0 when the kernel gives none
	Owner  nsinspect.Inode // the user namespace that owns its mount namespace
}

// ReadTask reads the credentials of a process and which namespaces its checks are made in. Where the observer may not see
// its namespaces (ptrace access) the error says so.
func ReadTask(proc string, pid int) (Task, error) {
	dir := proc + "/" + strconv.Itoa(pid)
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Task{}, err
	}
	var st status
	if err := parseStatus(text, &st); err != nil {
		return Task{}, fmt.Errorf("%s/status: %w", dir, err)
	}
	t := Task{Cred: st.cred}
	user, err := openNS(dir + "/ns/user")
	if err != nil {
		return Task{}, err
	}
	t.UserNS = user.inode
	user.close()
	mnt, err := openNS(dir + "/ns/mnt")
	if err != nil {
		return Task{}, err
	}
	defer mnt.close()
	t.MntNS = mnt.inode
	t.MntID, _ = mnt.mntID()
	if owner, err := mnt.owner(); err == nil {
		t.Owner = owner.inode
		owner.close()
	}
	return t, nil
}

// UserNSOf is one user namespace on the way up from a process's.
type UserNSOf struct {
	Inode, Parent nsinspect.Inode // Parent is 0 at the top and beyond the observer's view
	Owner         idmap.Kernel    // its creator's effective uid
}

// ReadUserNSChain reads the user namespace of a process and those above it (kind "user"), or the one that owns its mount
// namespace and those above that (kind "mnt").
func ReadUserNSChain(proc string, pid int, kind nsinspect.Type) ([]UserNSOf, error) {
	n, err := openNS(proc + "/" + strconv.Itoa(pid) + "/ns/" + string(kind))
	if err != nil {
		return nil, err
	}
	if kind != nsinspect.User {
		owner, err := n.owner()
		n.close()
		if err != nil {
			return nil, err
		}
		n = owner
	}
	var chain []UserNSOf
	const deepest = 40 // the kernel nests 32
	for range deepest {
		u := UserNSOf{Inode: n.inode, Owner: idmap.UnmappedKernel}
		if uid, err := n.ownerUID(); err == nil {
			u.Owner = idmap.Kernel(uid)
		}
		parent, err := n.parent()
		n.close()
		if err != nil {
			return append(chain, u), nil
		}
		u.Parent = parent.inode
		chain = append(chain, u)
		n = parent
	}
	n.close()
	return chain, nil
}

// ReadIDMaps reads /proc/PID/uid_map and gid_map, outside ids on the observer's side.
func ReadIDMaps(proc string, pid int) (uids, gids idmap.Map, err error) {
	for name, into := range map[string]*idmap.Map{"uid_map": &uids, "gid_map": &gids} {
		f, err := os.Open(proc + "/" + strconv.Itoa(pid) + "/" + name)
		if err != nil {
			return nil, nil, err
		}
		*into, err = idmap.Parse(f)
		f.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("%s of process %d: %w", name, pid, err)
		}
	}
	return uids, gids, nil
}

// MountNow is one mount as it is now.
type MountNow struct {
	nsinspect.Mount
	NoSUID, NoDev, NoExec, NoSymfollow bool
	ReadOnly                           bool // the mount
	SuperReadOnly                      bool // its file system
}

// The bits of statmount(2)'s mnt_attr (MOUNT_ATTR_*) and sb_flags (SB_RDONLY).
const (
	attrReadOnly    = 0x1
	attrNoSUID      = 0x2
	attrNoDev       = 0x4
	attrNoExec      = 0x8
	attrNoSymfollow = 0x200000
	sbReadOnly      = 0x1
)

// StatMount is statmount(2): the mount with a unique id (statx(2) STATX_MNT_ID_UNIQUE) in the mount namespace with the id
// nsID, 0 for the observer's own. Linux 6.8, with the map of an idmapped mount 6.15. Maps are complete only for an
// observer in the initial user namespace.
func StatMount(nsID, id uint64) (MountNow, error) {
	var buf []byte
	m, err := statMount(nsID, id, statmountSBBasic|statmountMntBasic|statmountMntRoot|statmountMntPoint|statmountFSType|statmountMntOpts|statmountIDMaps, &buf)
	if err != nil {
		return MountNow{}, err
	}
	out := MountNow{
		ReadOnly: m.attr&attrReadOnly != 0, NoSUID: m.attr&attrNoSUID != 0, NoDev: m.attr&attrNoDev != 0,
		NoExec: m.attr&attrNoExec != 0, NoSymfollow: m.attr&attrNoSymfollow != 0, SuperReadOnly: m.sbFlags&sbReadOnly != 0,
	}
	out.ID, out.UniqueID, out.Dev, out.Root, out.Point, out.FSType = m.oldID, id, m.dev, m.root, m.point, m.fsType
	if m.options != "" {
		out.SuperOpts = strings.Split(m.options, ",")
	}
	out.Idmapped = m.idmapped
	out.MapKnown = m.idmapped && m.answered&statmountIDMaps == statmountIDMaps && (len(m.uids) > 0 || len(m.gids) > 0)
	out.UIDMap, out.GIDMap = m.uids, m.gids
	return out, nil
}

// KernelVersion is the running kernel's version.
func KernelVersion() (major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	}
	return major, minor
}

package procscan

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// Held is one process, held by its directory in procfs: that keeps meaning this process, also when its PID is used anew.
// What is asked of it is read each time. It is for one goroutine.
type Held struct {
	name        string // of the directory
	dir, status int
	start       uint64
	buf         []byte
}

// Hold takes hold of the process that procfs, mounted at proc, calls name: a PID or "self".
func Hold(proc, name string) (*Held, error) {
	h := &Held{name: proc + "/" + name, status: -1, buf: make([]byte, 4<<10)}
	var err error
	h.dir, err = unix.Open(h.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: h.name, Err: err}
	}
	if h.status, err = unix.Openat(h.dir, "status", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		h.Close()
		return nil, &fs.PathError{Op: "open", Path: h.name + "/status", Err: err}
	}
	var st stat
	text, err := readUpTo(h.dir, "stat", maxProcFile, &h.buf)
	if err == nil {
		err = parseStat(text, &st)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("%s: %w", h.name, err)
	}
	h.start = st.startTime
	return h, nil
}

// Close lets go of the process.
func (h *Held) Close() {
	_ = unix.Close(h.dir)
	if h.status >= 0 {
		_ = unix.Close(h.status)
	}
}

// Name is the path of the directory, for messages.
func (h *Held) Name() string { return h.name }

// StartTime is when the process started, in clock ticks after boot: with the PID it tells one process from another.
func (h *Held) StartTime() uint64 { return h.start }

// Credentials are those that the process has now, ids as procfs shows them: see [UnmappedIDs]. ESRCH when it ended.
func (h *Held) Credentials() (nsinspect.Credentials, error) {
	st, err := h.readStatus()
	return st.cred, err
}

// PIDs are the numbers that the process has, from the PID namespace of the procfs inwards (NSpid); at least one.
func (h *Held) PIDs() ([]int, error) {
	st, err := h.readStatus()
	if err == nil && len(st.pids) == 0 {
		err = fmt.Errorf("%s/status has no NSpid", h.name)
	}
	return st.pids, err
}

// Owner is who owns the process's files: its effective uid while it may be dumped (PR_SET_DUMPABLE in prctl(2)), root
// otherwise. As stat(2) shows it.
func (h *Held) Owner() (idmap.Kernel, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(h.dir, "status", &st, 0); err != nil {
		return idmap.UnmappedKernel, &fs.PathError{Op: "stat", Path: h.name + "/status", Err: err}
	}
	return idmap.Kernel(st.Uid), nil
}

func (h *Held) readStatus() (status, error) {
	for {
		// A read from the start has the kernel make the text anew (seq_read_iter() in fs/seq_file.c).
		n, err := retry(func() (int, error) { return unix.Pread(h.status, h.buf, 0) })
		if err != nil {
			return status{}, &fs.PathError{Op: "read", Path: h.name + "/status", Err: err}
		}
		if n == len(h.buf) && n <= maxProcFile {
			h.buf = make([]byte, 4*n)
			continue
		}
		var st status
		if err := parseStatus(h.buf[:n], &st); err != nil {
			return status{}, fmt.Errorf("%s/status: %w", h.name, err)
		}
		return st, nil
	}
}

// NS is the namespace of a kind that the process is in now. The kernel tells only who may trace the process (EACCES).
func (h *Held) NS(kind nsinspect.Type) (nsinspect.Inode, error) {
	var link [64]byte
	file := "ns/" + string(kind)
	n, err := unix.Readlinkat(h.dir, file, link[:])
	if err != nil {
		return 0, &fs.PathError{Op: "readlink", Path: h.name + "/" + file, Err: err}
	}
	return parseNSLinkOf(link[:n], string(kind))
}

// Open opens the root or the working directory of the process, for looking at only (O_PATH). The caller closes it.
func (h *Held) Open(link string) (int, error) {
	fd, err := unix.Openat(h.dir, link, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: h.name + "/" + link, Err: err}
	}
	return fd, nil
}

// IDMaps are the id maps of the process's user namespace as its files say them (user_namespaces(7)): for an observer
// outside that namespace, outside ids are the observer's.
func (h *Held) IDMaps() (nsinspect.IDMaps, error) {
	m, _, err := readMaps(func(name string) ([]byte, error) { return readUpTo(h.dir, name, maxIDMap, &h.buf) })
	if err != nil {
		return m, fmt.Errorf("%s: %w", h.name, err)
	}
	return m, nil
}

// Pin is a namespace that an open file keeps: as long as there is one, no other namespace gets its inode number. It is
// not joined.
type Pin struct{ file *nsFile }

// Pin pins the namespace of a kind that the process is in now.
func (h *Held) Pin(kind nsinspect.Type) (*Pin, error) {
	file := "ns/" + string(kind)
	fd, err := retry(func() (int, error) { return unix.Openat(h.dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: h.name + "/" + file, Err: err}
	}
	n, err := newNSFile(fd)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", h.name, file, err)
	}
	return &Pin{n}, nil
}

// Close lets go of the namespace.
func (p *Pin) Close() { p.file.close() }

// Inode is which namespace it is.
func (p *Pin) Inode() nsinspect.Inode { return p.file.inode }

// MntID is what [StatMount] calls a mount namespace; 0 when the kernel gives no id (before Linux 6.11).
func (p *Pin) MntID() uint64 {
	id, err := p.file.mntID()
	if err != nil {
		return 0
	}
	return id
}

// UserNSOf is one user namespace on the way up from one.
type UserNSOf struct {
	Inode, Parent nsinspect.Inode // Parent is 0 at the top and beyond the observer's view
	Owner         idmap.Kernel    // its creator's effective uid
}

// Owner pins the user namespace that owns the namespace, which is of another type.
func (p *Pin) Owner() (*Pin, error) {
	owner, err := p.file.owner()
	if err != nil {
		return nil, err
	}
	return &Pin{owner}, nil
}

// UserNS is the way up from a user namespace, itself first.
func (p *Pin) UserNS() []UserNSOf {
	n := p.file
	var chain []UserNSOf
	const deepest = 40 // the kernel nests 32
	for range deepest {
		u := UserNSOf{Inode: n.inode, Owner: idmap.UnmappedKernel}
		if uid, err := n.ownerUID(); err == nil {
			u.Owner = idmap.Kernel(uid)
		}
		parent, err := n.parent()
		if n != p.file {
			n.close()
		}
		if err != nil {
			return append(chain, u)
		}
		u.Parent = parent.inode
		chain = append(chain, u)
		n = parent
	}
	n.close()
	return chain
}

// UnmappedIDs is how the observer of a snapshot tells the ids of [Held.Credentials] that have no mapping for it: it
// replaces them, and reports whether one was in doubt.
func UnmappedIDs(s *nsinspect.Snapshot) func(*nsinspect.Credentials) (doubtful bool) {
	var own nsinspect.IDMaps
	if m := s.Maps(s.Observer.IDMaps); m != nil {
		own = *m
	}
	j := newIDJudge(&s.Observer, own)
	return j.judge
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
// observer in the initial user namespace. buf is scratch space that is used again.
func StatMount(nsID, id uint64, buf *[]byte) (MountNow, error) {
	m, err := statMount(nsID, id, statmountSBBasic|statmountMntBasic|statmountMntRoot|statmountMntPoint|statmountFSType|statmountMntOpts|statmountIDMaps, buf)
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
		for i, o := range out.SuperOpts {
			out.SuperOpts[i] = unescapeOctal(o)
		}
	}
	out.Idmapped = m.idmapped
	out.MapKnown = m.idmapped && m.answered&statmountIDMaps == statmountIDMaps && (len(m.uids) > 0 || len(m.gids) > 0)
	out.UIDMap, out.GIDMap = m.uids, m.gids
	return out, nil
}

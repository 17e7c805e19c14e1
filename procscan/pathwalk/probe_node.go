package pathwalk

import (
	"encoding/binary"
	"errors"
	"path"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// sighted is a file that the walk came to.
type sighted struct {
	node  *access.Node
	place place
	magic bool // a magic link of procfs

	mountRoot bool
	away      int // what the stand-in calls it, and one; 0 when the observer has it open
}

// statxMntIDUnique asks statx(2) for the id of a mount that is never given twice (Linux 6.8).
const statxMntIDUnique = 0x4000

// look reads what an open file (O_PATH) is. last asks also for what only operations on it need.
func (r *trail) look(fd int, where string, last bool) (sighted, error) {
	s, err := r.describe(fd, where, "", last)
	if err == nil && last && s.away == 0 {
		r.lookLast(s.node, selfFD(fd))
	}
	return s, err
}

// describe is look without what operations need further. host is the observer's path to it where that is known, last that
// the default ACL of a directory is read as well.
func (r *trail) describe(fd int, where, host string, last bool) (sighted, error) {
	if err := r.p.askOf(fd); err != nil {
		return sighted{}, err
	}
	var x unix.Statx_t
	flags := unix.AT_EMPTY_PATH | unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if err := unix.Statx(fd, "", flags, unix.STATX_BASIC_STATS|r.p.mountBit(), &x); err != nil {
		if errors.Is(err, unix.EACCES) {
			return r.closed(fd, where, last, err)
		}
		return sighted{}, err
	}
	if x.Mask&uint32(r.p.mountBit()) == 0 {
		return sighted{}, errors.New("the kernel does not tell mounts apart (statx STATX_MNT_ID, Linux 5.8)")
	}
	m, err := r.mountOf(fd, x.Mnt_id)
	if err != nil {
		return sighted{}, err
	}
	n := r.nodeOf(where, m, &x)
	n.Removed = n.Type == access.Directory && n.Nlink == 0
	self := selfFD(fd)
	name := where // as [fdPath] would say it
	switch {
	case host != "":
		if name, _ = r.p.fdText(fd); name == "" {
			name = host
		}
	case r.base != "/":
		name = path.Join(r.base, where)
	}
	if n.Host = host; host == "" {
		n.Host = r.hostPath(name, m, &x)
	}
	if !n.UID.Known || !n.GID.Known || !n.UID.OnDisk.Mapped() || !n.GID.OnDisk.Mapped() {
		r.askElsewhere(n, name, m, &x)
	}
	if n.Type == access.Symlink {
		buf := make([]byte, maxPath)
		k, err := unix.Readlinkat(fd, "", buf)
		if err != nil && (m.Super.FSType != "proc" || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES)) {
			return sighted{}, err // links of procfs may have no text for the observer, or not for its eyes
		}
		n.Link = string(buf[:max(k, 0)])
	} else {
		r.readACLs(n, fd, last)
	}
	if n.Immutable == access.NotTold && (n.Type == access.Regular || n.Type == access.Directory) {
		readFlags(n, self)
	}
	if m.Super.FSType == "overlay" {
		r.underneath(n, name, m, &x, last)
	}
	return sighted{node: n, mountRoot: x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, place: place{mount: x.Mnt_id, inode: n.Inode, dev: n.Dev}}, nil
}

// nodeOf is what statx(2) says of a file.
func (r *trail) nodeOf(where string, m *access.Mount, x *unix.Statx_t) *access.Node {
	n := &access.Node{
		Path: where, Type: access.Type(typeName(uint32(x.Mode))), Mode: uint32(x.Mode) & 0o7777, Dev: devString(x.Dev_major, x.Dev_minor), Inode: x.Ino, Nlink: uint64(x.Nlink),
		Mount: m, Immutable: attribute(x, unix.STATX_ATTR_IMMUTABLE), Append: attribute(x, unix.STATX_ATTR_APPEND),
		Changed: time.Unix(x.Ctime.Sec, int64(x.Ctime.Nsec)), Written: time.Unix(x.Mtime.Sec, int64(x.Mtime.Nsec)),
	}
	n.UID, n.GID = r.ids(m, x.Uid, x.Gid)
	if n.Type == access.CharDevice || n.Type == access.BlockDevice {
		n.Rdev = devString(x.Rdev_major, x.Rdev_minor)
	}
	return n
}

// statNothing is statx(2) of an open file that asks for nothing. No file system refuses that or waits for anybody
// (fuse_update_get_attr() in fs/fuse/dir.c), and it tells the number of the file system and the mount all the same: that by
// the id that mountinfo has (Linux 5.8).
func statNothing(fd int) (x unix.Statx_t, err error) {
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, 0, &x)
	return x, err
}

func attribute(x *unix.Statx_t, bit uint64) access.Fact {
	if x.Attributes_mask&bit == 0 {
		return access.NotTold
	}
	return access.FactOf(x.Attributes&bit != 0)
}

// The flags of FS_IOC_GETFLAGS (include/uapi/linux/fs.h).
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
)

// readFlags asks for the flags that statx(2) does not tell on every file system (FS_IOC_GETFLAGS).
func readFlags(n *access.Node, self string) {
	fd, err := unix.Open(self, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if err != nil {
		if fd, err = unix.Open(self, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		n.Immutable, n.Append = access.No, access.No // a file system without flags
		return
	}
	if err == nil {
		n.Immutable, n.Append = access.FactOf(flags&flagImmutable != 0), access.FactOf(flags&flagAppend != 0)
	}
}

// readACLs reads the ACLs of a file, with ids as its mount shows them. That a directory gives to new files decides nothing
// on the way.
func (r *trail) readACLs(n *access.Node, fd int, last bool) {
	var err error
	n.ACL, err = r.getACL(fd, n.Type, "system.posix_acl_access")
	if err == nil && last && n.Type == access.Directory {
		n.DefaultACL, err = r.getACL(fd, n.Type, "system.posix_acl_default")
	}
	noteACL(n, err)
}

// noteACL notes why the ACLs of a file could not be read.
func noteACL(n *access.Node, err error) {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		n.NoACL = true
	case err != nil:
		n.ACLMissing = err.Error()
	}
}

// getACL is nil where there is none.
func (r *trail) getACL(fd int, kind access.Type, name string) (*access.ACL, error) {
	dir := kind == access.Directory
	k, err := r.p.getxattr(fd, dir, name, r.p.buf)
	if errors.Is(err, unix.ERANGE) {
		r.p.buf = make([]byte, maxXattr)
		k, err = r.p.getxattr(fd, dir, name, r.p.buf)
	}
	switch {
	case errors.Is(err, unix.ENODATA):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return parseACL(r.p.buf[:k])
}

// maxXattr is XATTR_SIZE_MAX.
const maxXattr = 64 << 10

// errACL: what the kernel never writes.
var errACL = errors.New("the ACL makes no sense")

// parseACL reads the value of system.posix_acl_access (include/uapi/linux/posix_acl_xattr.h): a version, 2, of 32 bits,
// then entries of a tag and permissions, 16 bits each, and an id of 32; little endian.
func parseACL(b []byte) (*access.ACL, error) {
	if len(b) < 4 || len(b)%8 != 4 || binary.LittleEndian.Uint32(b) != 2 {
		return nil, errACL
	}
	a := &access.ACL{Entries: make([]access.ACLEntry, 0, len(b)/8)}
	for b = b[4:]; len(b) > 0; b = b[8:] {
		e := access.ACLEntry{Perm: uint32(binary.LittleEndian.Uint16(b[2:])) & 7, ID: idmap.UnmappedKernel}
		switch binary.LittleEndian.Uint16(b) {
		case 1:
			e.Tag = access.ACLUserObj
		case 2:
			e.Tag, e.ID = access.ACLUser, idmap.Kernel(binary.LittleEndian.Uint32(b[4:]))
		case 4:
			e.Tag = access.ACLGroupObj
		case 8:
			e.Tag, e.ID = access.ACLGroup, idmap.Kernel(binary.LittleEndian.Uint32(b[4:]))
		case 16:
			e.Tag = access.ACLMask
		case 32:
			e.Tag = access.ACLOther
		default:
			return nil, errACL
		}
		a.Entries = append(a.Entries, e)
	}
	return a, nil
}

package pathwalk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// stat is what statx(2) says about a file.
type stat struct {
	mode         uint32 // type and permissions
	uid, gid     uint32 // as the mount shows them to this process
	dev          string // MAJOR:MINOR
	major, minor uint32 // the same
	rdev         string
	inode, nlink uint64
	size         uint64
	mount        int // id of the mount that it was reached through, 0 unknown
	mountRoot    bool
	mtime, ctime unix.StatxTimestamp
	btime        unix.StatxTimestamp // zero when the file system keeps none
}

// statFD asks about an open file. AT_STATX_DONT_SYNC is not used: a network file system is asked for the owner as it is
// now, within the deadline.
func statFD(fd int, name string) (*stat, error) {
	return statAt(fd, "", unix.AT_EMPTY_PATH, name)
}

// statAt asks about an entry of an open directory, without following it.
func statAt(dir int, entry string, flags int, name string) (*stat, error) {
	var x unix.Statx_t
	mask := unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID
	err := unix.Statx(dir, entry, flags|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, mask, &x)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	s := &stat{
		mode: uint32(x.Mode), uid: x.Uid, gid: x.Gid, inode: x.Ino, nlink: uint64(x.Nlink), size: x.Size,
		major: x.Dev_major, minor: x.Dev_minor, dev: devString(x.Dev_major, x.Dev_minor), rdev: devString(x.Rdev_major, x.Rdev_minor),
		mtime: x.Mtime, ctime: x.Ctime, mountRoot: x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.btime = x.Btime
	}
	if x.Mask&unix.STATX_MNT_ID != 0 {
		s.mount = int(x.Mnt_id)
	}
	return s, nil
}

func devString(major, minor uint32) string {
	return strconv.FormatUint(uint64(major), 10) + ":" + strconv.FormatUint(uint64(minor), 10)
}

// sameFile reports whether two stats through mounts of one superblock are of one file.
func (s *stat) sameFile(o *stat) bool {
	return s.dev == o.dev && s.inode == o.inode && s.mode&unix.S_IFMT == o.mode&unix.S_IFMT && s.btime == o.btime
}

// sameAttributes reports whether an overlay's file shows what a layer's file has (ovl_copyattr() in fs/overlayfs). Inode
// numbers say nothing: after a copy-up the overlay shows the lower one.
func (s *stat) sameAttributes(o *stat) bool {
	return s.mode == o.mode && s.uid == o.uid && s.gid == o.gid && s.mtime == o.mtime && s.ctime == o.ctime
}

// bytes is the size, nil for what has none.
func (s *stat) bytes() *uint64 {
	if HasNoSize(s.mode) {
		return nil
	}
	size := s.size
	return &size
}

// HasNoSize reports whether a file of that mode is a device, whose st_size says nothing.
func HasNoSize(mode uint32) bool {
	return mode&unix.S_IFMT == unix.S_IFCHR || mode&unix.S_IFMT == unix.S_IFBLK
}

// Years that RFC 3339 can write, in seconds. File systems have others, and let anybody set them.
const (
	firstSecond = -62167219200 // 0000-01-01
	lastSecond  = 253402300799 // 9999-12-31
)

// Time is a time of a file, false for one that RFC 3339 cannot write.
func Time(at unix.StatxTimestamp) (time.Time, bool) {
	return time.Unix(at.Sec, int64(at.Nsec)).UTC(), at.Sec >= firstSecond && at.Sec <= lastSecond
}

func (s *stat) modified() *time.Time {
	if at, ok := Time(s.mtime); ok {
		return &at
	}
	return nil
}

// isWhiteout reports whether the file is how an overlay's layer says that a name is gone.
func (s *stat) isWhiteout() bool {
	return s.mode&unix.S_IFMT == unix.S_IFCHR && s.rdev == "0:0"
}

// IsWhiteout reports whether a name in an open directory of an overlay's layer stands for one that is gone. A name that is
// not there is gone too.
func IsWhiteout(dir int, name string) bool {
	s, err := statAt(dir, name, 0, name)
	return absent(err) || err == nil && s.isWhiteout()
}

func (s *stat) isDir() bool { return s.mode&unix.S_IFMT == unix.S_IFDIR }

func (s *stat) typeName() string { return typeName(s.mode) }

func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "regular"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFCHR:
		return "char_device"
	case unix.S_IFBLK:
		return "block_device"
	}
	return "unknown"
}

func (s *stat) raw() *nsinspect.RawIDs { return &nsinspect.RawIDs{UID: s.uid, GID: s.gid} }

// errTooFar says that the kernel does not tell where a file is: the text of a link in /proc has to fit in a page. Such a file
// is reached by several steps only, of which none is longer than PATH_MAX.
var errTooFar = fmt.Errorf("its path from the root is longer than the %d bytes that the kernel tells", maxPath-1)

// fdPath is where the kernel says that an open file is: from the root of this process, or from the root of the mount
// namespace for a file in another one. The name of a file that was removed ends in " (deleted)".
func fdPath(fd int) (string, error) {
	text, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if errors.Is(err, unix.ENAMETOOLONG) {
		err = errTooFar
	}
	return text, err
}

// absent reports whether err says that there is no such file.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG)
}

// trimRoot is path, as fdPath gives it, from a root directory that readlink of /proc/PID/root calls root.
func trimRoot(root, path string) (string, bool) {
	if root == "/" || root == "" {
		return path, strings.HasPrefix(path, "/")
	}
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	if rest == "" {
		rest = "/"
	}
	return rest, true
}

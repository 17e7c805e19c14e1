package procscan

import (
	"context"
	"errors"
	"slices"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// readRootMounts finds the mount that the root directory is on where mountinfo leaves it out: of a process in a chroot
// whose directory is no mount's root, in a mount namespace where nobody is outside the chroot. Such a namespace began as
// a copy of the observer's, so the directory is looked for under the same path there, and believed only if it is the
// same one.
func (s *scanner) readRootMounts(ctx context.Context, tables []nsinspect.MountTable) {
	own := s.snap.Mounts(s.snap.Observer.MountTable)
	if own == nil {
		return
	}
	for i := range tables {
		t := &tables[i]
		if t.MntNS == own.MntNS || t.Root == "" || slices.ContainsFunc(t.Mounts, func(m nsinspect.Mount) bool { return m.Point == "/" }) {
			continue
		}
		path, there := s.procPath(t.PID, "root"), t.Root
		found, err := InTime(ctx, nameDeadline, func() (rootDirs, error) { return sameRoot(path, there) })
		if err != nil {
			continue // whatever asks about paths in that root says that it is not known
		}
		for j := range own.Mounts {
			if m := own.Mounts[j]; m.ID == found.hostMount {
				m.ID, m.UniqueID, m.Parent = found.mount, 0, 0
				t.RootMount, t.RootOn = &m, t.Root
			}
		}
	}
}

// rootDirs are the mounts by which two processes see one directory.
type rootDirs struct{ mount, hostMount int }

var errOtherRoot = errors.New("another directory")

// sameRoot compares the directories that two paths lead to, with their owners: an idmapped mount is no plain one.
func sameRoot(a, b string) (rootDirs, error) {
	var x [2]unix.Statx_t
	for i, path := range []string{a, b} {
		root, err := OpenRoot(path)
		if err != nil {
			return rootDirs{}, err
		}
		err = unix.Statx(root.Fd(), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &x[i])
		root.Close()
		if err != nil {
			return rootDirs{}, err
		}
	}
	if x[0].Ino != x[1].Ino || x[0].Dev_major != x[1].Dev_major || x[0].Dev_minor != x[1].Dev_minor ||
		x[0].Uid != x[1].Uid || x[0].Gid != x[1].Gid {
		return rootDirs{}, errOtherRoot
	}
	return rootDirs{int(x[0].Mnt_id), int(x[1].Mnt_id)}, nil
}

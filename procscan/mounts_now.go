package procscan

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// Mounts are the mounts below the root of the process (/proc/PID/mountinfo).
func (h *Held) Mounts() ([]nsinspect.Mount, error) {
	fd, err := unix.Openat(h.dir, "mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: h.name + "/mountinfo", Err: err}
	}
	f := os.NewFile(uintptr(fd), h.name+"/mountinfo")
	defer f.Close()
	return parseMountinfo(&cappedReader{f, maxMountinfo})
}

// MountWatch keeps the mounts of this process as they are now. The kernel says when they changed, so they are read only
// then. It is for one goroutine.
type MountWatch struct {
	f      *os.File
	mounts []nsinspect.Mount
	read   bool
}

// WatchMounts begins to watch /proc/self/mountinfo below proc.
func WatchMounts(proc string) (*MountWatch, error) {
	name := proc + "/self/mountinfo"
	// Not os.Open: the runtime would poll the file itself, and a change is told once.
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &MountWatch{f: os.NewFile(uintptr(fd), name)}, nil
}

// Close ends the watch.
func (w *MountWatch) Close() { _ = w.f.Close() }

// Mounts are the mounts now. fresh reports whether they are other ones than the last time.
func (w *MountWatch) Mounts() (mounts []nsinspect.Mount, fresh bool, err error) {
	fds := []unix.PollFd{{Fd: int32(w.f.Fd()), Events: unix.POLLPRI}}
	if _, err := retry(func() (int, error) { return unix.Poll(fds, 0) }); err != nil {
		return nil, false, err
	}
	if w.read && fds[0].Revents&(unix.POLLPRI|unix.POLLERR) == 0 {
		return w.mounts, false, nil
	}
	w.read = false
	if _, err := w.f.Seek(0, io.SeekStart); err != nil {
		return nil, false, err
	}
	if w.mounts, err = parseMountinfo(&cappedReader{w.f, maxMountinfo}); err != nil {
		return nil, false, err
	}
	w.read = true
	return w.mounts, true, nil
}

// MountsOf are the mounts of the mount namespace with the id nsID, also those that no process sees because its root is
// elsewhere (listmount(2) and statmount(2), Linux 6.11). Paths are from the root of that namespace. Options are left
// out. buf is scratch space that is used again.
func MountsOf(nsID uint64, buf *[]byte) ([]nsinspect.Mount, error) {
	ids, err := listMounts(nsID, listmountRoot)
	if err != nil {
		return nil, err
	}
	out := make([]nsinspect.Mount, 0, len(ids))
	const questions = statmountSBBasic | statmountMntBasic | statmountMntRoot | statmountMntPoint | statmountFSType
	err = eachMount(nsID, ids, questions, buf, func(m mountStat) {
		out = append(out, nsinspect.Mount{ID: m.oldID, UniqueID: m.id, Parent: m.oldParent, Dev: m.dev, Root: m.root, Point: m.point, FSType: m.fsType})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// IsMountPoint reports whether something is mounted on a place in the mount namespace with the id nsID, by whichever mount
// that shows the place. ENOENT when the namespace does not tell its mount with the id mount of mountinfo. buf is scratch
// space that is used again. As [MountsOf] otherwise.
func IsMountPoint(nsID uint64, at nsinspect.Place, mount int, buf *[]byte) (bool, error) {
	ids, err := listMounts(nsID, listmountRoot)
	if err != nil {
		return false, err
	}
	on, told := make(map[uint64]bool, len(ids)), false
	var named []mountStat // on a directory of that name, wherever
	err = eachMount(nsID, ids, statmountSBBasic|statmountMntBasic|statmountMntPoint, buf, func(m mountStat) {
		on[m.id] = m.dev == at.Dev
		told = told || m.oldID == mount
		if path.Base(m.point) == path.Base(at.Path) {
			named = append(named, m)
		}
	})
	if err != nil {
		return false, err
	}
	if !told {
		return false, unix.ENOENT
	}
	for _, m := range named {
		if !on[m.parent] || m.parent == m.id {
			continue
		}
		below, err := statMount(nsID, m.parent, statmountMntRoot|statmountMntPoint, buf)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return false, err
		}
		place, ok := nsinspect.PlaceOf(&nsinspect.Mount{Dev: at.Dev, Root: below.root, Point: below.point}, m.point)
		if ok && place == at {
			return true, nil
		}
	}
	return false, nil
}

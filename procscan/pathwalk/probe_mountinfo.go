package pathwalk

import (
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// Kernels before Linux 6.11 do not tell the mounts of another mount namespace one by one (statmount(2) with a mount namespace
// id): there mountinfo says what they are, by ids that are given again when a mount is gone. It does not tell the map of an
// idmapped mount, and what is outside the root of a process it leaves out.

// tellsMounts reports whether the kernel tells the mounts of every namespace by ids that are never given twice.
func tellsMounts(proc string) bool {
	var x unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, "/", 0, statxMntIDUnique, &x); err != nil || x.Mask&statxMntIDUnique == 0 {
		return false
	}
	self, err := procscan.Hold(proc, "self")
	if err != nil {
		return false
	}
	defer self.Close()
	pin, err := self.Pin(nsinspect.Mnt)
	if err != nil {
		return false
	}
	defer pin.Close()
	return pin.MntID() != 0
}

// mountBit is what statx(2) is asked for to tell the mount of a file.
func (p *probe) mountBit() int {
	if p.mountinfo {
		return unix.STATX_MNT_ID
	}
	return statxMntIDUnique
}

// statMount is the mount with an id in the mount namespace of a process, nil for the observer's. ENOENT when it has none.
func (q *question) statMount(t *taskNow, id uint64) (procscan.MountNow, error) {
	if !q.p.mountinfo {
		if t == nil || t.MntNS == q.p.snap.Observer.MntNS {
			return procscan.StatMount(0, id, &q.p.buf)
		}
		return procscan.StatMount(t.MntID, id, &q.p.buf)
	}
	return q.mountInfo(t, int(id))
}

// mountInfo is what mountinfo says of the mount with an id of its own kind, in the mount namespace of a process, nil for the
// observer's. ENOENT when it has none.
func (q *question) mountInfo(t *taskNow, id int) (procscan.MountNow, error) {
	mounts, err := q.table(t)
	if err != nil {
		return procscan.MountNow{}, err
	}
	i := slices.IndexFunc(mounts, func(m nsinspect.Mount) bool { return m.ID == id })
	if i < 0 {
		return procscan.MountNow{}, unix.ENOENT
	}
	m := mounts[i]
	has := func(o string) bool { return slices.Contains(m.Options, o) }
	now := procscan.MountNow{
		Mount: m, ReadOnly: has("ro"), NoSUID: has("nosuid"), NoDev: has("nodev"), NoExec: has("noexec"), NoSymfollow: has("nosymfollow"),
		SuperReadOnly: slices.Contains(m.SuperOpts, "ro"),
	}
	now.FSType, _, _ = strings.Cut(m.FSType, ".")
	// As statmount(2) has them.
	now.SuperOpts = slices.DeleteFunc(slices.Clone(m.SuperOpts), func(o string) bool { return o == "rw" || o == "ro" })
	now.UniqueID = 0
	return now, nil
}

// table is the mount table of a process as it is now, nil for the observer's own, with mount points as [fdPath] has them.
func (q *question) table(t *taskNow) ([]nsinspect.Mount, error) {
	if t == nil || t.MntNS == q.p.snap.Observer.MntNS {
		return q.p.ownMounts()
	}
	if mounts, ok := q.tables[t]; ok {
		return mounts, nil
	}
	mounts, err := t.held.Mounts()
	if err != nil {
		return nil, err
	}
	root, err := t.held.Open("root")
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	text, err := q.p.fdText(root)
	if err != nil {
		return nil, err
	}
	if text != "/" {
		for i := range mounts {
			mounts[i].Point = strings.TrimSuffix(text+mounts[i].Point, "/")
		}
	}
	if q.tables == nil {
		q.tables = map[*taskNow][]nsinspect.Mount{}
	}
	q.tables[t] = mounts
	return mounts, nil
}

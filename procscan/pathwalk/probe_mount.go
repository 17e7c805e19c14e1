package pathwalk

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// mountOf is the mount that an open file was reached through, as it is now. id is its unique one.
func (r *trail) mountOf(fd int, id uint64) (*access.Mount, error) {
	if m, ok := r.mounts[id]; ok {
		return m, nil
	}
	m, err := r.findMount(fd, id)
	if err != nil {
		return nil, err
	}
	r.mounts[id] = m
	return m, nil
}

// findMount looks for a mount in the target's mount namespace, then in the observer's. What is in neither is in a third one,
// or in none: a mount that was unmounted while somebody stayed on it.
func (r *trail) findMount(fd int, id uint64) (*access.Mount, error) {
	now, err := r.statMount(r.task, id)
	task, foreign := r.task, false
	var elsewhere []*taskNow
	if r.task.MntNS != r.p.snap.Observer.MntNS {
		elsewhere = append(elsewhere, nil)
	}
	for _, t := range append(elsewhere, r.beyond...) {
		if !errors.Is(err, unix.ENOENT) {
			break
		}
		if other, otherErr := r.statMount(t, id); otherErr == nil {
			now, err, foreign = other, nil, true
			if t != nil {
				task = t
			}
		}
	}
	if errors.Is(err, unix.ENOENT) && !r.p.mountinfo {
		// Of a mount namespace whose root was cloned before it was made, statmount(2) finds no mount at all: it looks for
		// the root among the mounts that are younger than the topmost one (fs/namespace.c grab_requested_root).
		if x, otherErr := statNothing(fd); otherErr == nil {
			if other, otherErr := r.mountInfo(r.task, int(x.Mnt_id)); otherErr == nil {
				now, err = other, nil
			}
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT) && r.p.mountinfo && !isPseudo(fd):
		return nil, errors.New("its mount is in no mount table that can be read: it is outside the target's root, or it was unmounted")
	case errors.Is(err, unix.ENOENT):
		return r.detached(fd, id)
	case err != nil:
		return nil, err
	}
	m := &access.Mount{
		ID: now.ID, Point: now.Point, Root: now.Root, ReadOnly: now.ReadOnly, NoExec: now.NoExec, NoDev: now.NoDev, NoSUID: now.NoSUID, NoSymfollow: now.NoSymfollow,
		Idmapped: now.Idmapped, MapKnown: now.MapKnown && r.host.InitialNS, UIDMap: now.UIDMap, GIDMap: now.GIDMap, Foreign: foreign,
	}
	m.Super = &access.Super{Dev: now.Dev, FSType: now.FSType, ReadOnly: now.SuperReadOnly, Options: now.SuperOpts}
	r.ownSuper(task, m.Super, id)
	m.Locked = r.p.mayBeLocked(task, m, now.Root)
	if strings.HasPrefix(now.FSType, "fuse") {
		m.Super.FUSEAdmin = fuseAdmin()
	}
	return m, nil
}

func (r *trail) ownSuper(task *taskNow, s *access.Super, mount uint64) {
	owner := r.p.superOwner(task, mount, s.Dev, s.FSType)
	s.UserNS, s.UserNSAssumed = owner.ns, owner.assumed
}

// fuseAdmin is the parameter allow_sys_admin_access of the module fuse, which Linux has since 6.1.
func fuseAdmin() access.Fact {
	text, err := os.ReadFile("/sys/module/fuse/parameters/allow_sys_admin_access")
	switch {
	case errors.Is(err, os.ErrNotExist):
		return access.No
	case err != nil:
		return access.NotTold
	}
	return access.FactOf(strings.TrimSpace(string(text)) == "Y")
}

// fsMagic are the file systems that statfs(2) tells (include/uapi/linux/magic.h), for mounts that nothing else tells about.
var fsMagic = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs",
	unix.BTRFS_SUPER_MAGIC: "btrfs", unix.XFS_SUPER_MAGIC: "xfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.NFS_SUPER_MAGIC: "nfs", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
	unix.RAMFS_MAGIC: "ramfs", unix.DEVPTS_SUPER_MAGIC: "devpts", unix.V9FS_MAGIC: "9p", unix.CEPH_SUPER_MAGIC: "ceph", unix.SMB2_SUPER_MAGIC: "smb3",
	unix.CIFS_SUPER_MAGIC: "cifs", unix.SQUASHFS_MAGIC: "squashfs", unix.F2FS_SUPER_MAGIC: "f2fs", unix.PIPEFS_MAGIC: "pipefs", unix.SOCKFS_MAGIC: "sockfs",
	unix.ANON_INODE_FS_MAGIC: "anon_inodefs", unix.NSFS_MAGIC: "nsfs",
}

// isPseudo reports whether a file is on a file system that is in no mount table: that of pipes, sockets and the like.
func isPseudo(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	switch fsMagic[int64(st.Type)] {
	case "pipefs", "sockfs", "anon_inodefs", "nsfs":
		return true
	}
	return false
}

// stNoSymfollow is ST_NOSYMFOLLOW of statfs(2)'s flags (include/linux/statfs.h).
const stNoSymfollow = 0x2000

// detached is what statfs(2) says of a mount that is in no mount namespace: its flags, together with those of its file
// system.
func (r *trail) detached(fd int, unique uint64) (*access.Mount, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return nil, err
	}
	x, err := statNothing(fd)
	if err != nil {
		return nil, err
	}
	m := &access.Mount{
		ID: int(x.Mnt_id), Point: "(unmounted)", Foreign: true, ReadOnly: fs.Flags&unix.ST_RDONLY != 0, NoExec: fs.Flags&unix.ST_NOEXEC != 0,
		NoDev: fs.Flags&unix.ST_NODEV != 0, NoSUID: fs.Flags&unix.ST_NOSUID != 0, NoSymfollow: fs.Flags&stNoSymfollow != 0,
	}
	name := fsMagic[int64(fs.Type)]
	if name == "" {
		name = fmt.Sprintf("%#x", fs.Type)
	}
	m.Super = &access.Super{Dev: devString(x.Dev_major, x.Dev_minor), FSType: name, Options: []string{}}
	r.ownSuper(r.task, m.Super, unique)
	switch name {
	case "pipefs", "sockfs", "anon_inodefs", "nsfs", "proc", "sysfs", "nfs", "9p":
	default:
		r.assume("the mount that was unmounted is not idmapped")
	}
	if m.ReadOnly {
		r.assume("of the mount that was unmounted only the mount is read-only, not its file system")
	}
	return m, nil
}

// assume notes with the walk what could not be read and is taken for so.
func (r *trail) assume(what string) {
	for _, a := range r.w.Assumptions {
		if a == what {
			return
		}
	}
	r.w.Assumptions = append(r.w.Assumptions, what)
}

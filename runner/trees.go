package runner

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const treeFlags = unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_RECURSIVE

// openTree clones the mount at a path, with what is mounted below, into a detached mount (open_tree(2), Linux 5.2).
func openTree(what, path string) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, treeFlags)
	if err != nil {
		return -1, &Error{What: what, Err: fmt.Errorf("open_tree %s: %w", path, err), Hint: treeHint(err), Status: StatusFailure}
	}
	return fd, nil
}

func treeHint(err error) string {
	if errors.Is(err, unix.ENOSYS) {
		return "Linux 5.2 has open_tree"
	}
	return ""
}

// setReadOnly makes a detached mount, and what is mounted below, read-only.
func setReadOnly(what string, fd int) error {
	err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if err != nil {
		return &Error{What: what, Err: fmt.Errorf("mount_setattr read-only: %w", err), Hint: setattrHint(err), Status: StatusFailure}
	}
	return nil
}

func setattrHint(err error) string {
	if errors.Is(err, unix.ENOSYS) {
		return "Linux 5.12 has mount_setattr"
	}
	return ""
}

// openTrees opens the sources that the caller can open better than the stage: all of them when it has capabilities in
// its mount namespace, which the stage in a new user namespace no longer has over the host's directories. It is done
// before anything is started, so that a map which the file system refuses is refused here.
func (p *Plan) openTrees() (root int, trees []int, err error) {
	root = -1
	trees = make([]int, len(p.Spec.Mounts))
	for i := range trees {
		trees[i] = -1
	}
	defer func() {
		if err != nil {
			closeTrees(root, trees)
		}
	}()
	if !p.OpenHere {
		return root, trees, nil
	}
	if p.Spec.Root != "" {
		if root, err = openTree("--root "+p.Spec.Root, p.Spec.Root); err != nil {
			return root, trees, err
		}
	}
	for i, m := range p.Spec.Mounts {
		if m.Tmpfs() {
			continue
		}
		if trees[i], err = openTree(m.flag(), m.Source); err != nil {
			return root, trees, err
		}
		if m.Idmap {
			if err = p.idmapTree(m, trees[i]); err != nil {
				return root, trees, err
			}
		}
	}
	return root, trees, nil
}

func closeTrees(root int, trees []int) {
	for _, fd := range append([]int{root}, trees...) {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// idmapTree gives a detached mount its id map: MOUNT_ATTR_IDMAP of mount_setattr(2), Linux 5.12. The first id of an
// extent is the one on disk, the second the one that the caller's user namespace has for what the mount shows.
func (p *Plan) idmapTree(m MountSpec, tree int) error {
	uid, gid, err := p.mountMaps(m)
	if err != nil {
		return err
	}
	var refused error
	err = withUserNS(uid, gid, func(fd int) error {
		refused = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{
			Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(fd),
		})
		if refused != nil {
			return fmt.Errorf("mount_setattr idmap: %w", refused)
		}
		return nil
	})
	if err == nil {
		return nil
	}
	hint := setattrHint(refused)
	switch {
	case errors.Is(refused, unix.EPERM):
		hint = "the superblock of " + m.Source + " belongs to a user namespace over which you have no CAP_SYS_ADMIN: run as root of the host, or leave out idmap"
	case errors.Is(refused, unix.EINVAL):
		hint = "this file system, or one mounted below " + m.Source + ", does not take id maps, or has one already"
	}
	return &Error{What: m.flag(), Err: err, Hint: hint, Status: StatusFailure}
}

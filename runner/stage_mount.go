package runner

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// openSources opens what the caller could not open for this process, before any mount hides it.
func (st *stage) openSources() error {
	s := &st.plan.Spec
	st.proc = -1
	if s.Init {
		fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /proc: %w", err)
		}
		st.proc = fd
	}
	if !s.has(Mount) {
		return nil
	}
	// Nothing of what follows may reach another mount namespace.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		e := &Error{Err: fmt.Errorf("make the mounts private: %w", err), Status: StatusFailure}
		if errors.Is(err, unix.EINVAL) {
			e.Hint = "/ is not where a mount begins: in a chroot no mount namespace can be set up"
		}
		return e
	}
	if s.Root != "" && st.Root < 0 {
		fd, err := openTree("--root "+s.Root, s.Root)
		if err != nil {
			return err
		}
		st.Root = fd
	}
	for i, m := range s.Mounts {
		if m.Tmpfs() || st.Trees[i] >= 0 {
			continue
		}
		fd, err := openTree(m.flag(), m.Source)
		if err != nil {
			return err
		}
		st.Trees[i] = fd
	}
	return nil
}

// mounts builds the mount namespace. Every target is opened in the new root with its symbolic links kept inside
// (openat2(2) RESOLVE_IN_ROOT), since the root may be anybody's.
func (st *stage) mounts() error {
	s := &st.plan.Spec
	if !s.has(Mount) {
		return nil
	}
	if err := st.attachRoot(); err != nil {
		return err
	}
	if s.MountProc {
		if err := st.mountProc(); err != nil {
			return err
		}
	}
	if st.plan.autoDev() {
		if err := st.mountDev(); err != nil {
			return err
		}
	}
	for i, m := range s.Mounts {
		if err := st.mountOne(i, m); err != nil {
			return err
		}
	}
	if s.Root == "" {
		return nil
	}
	return st.pivot()
}

// attachRoot puts the new root over /, where it can be reached whatever the permissions above its directory are. Paths
// still lead into the old root, which is below.
func (st *stage) attachRoot() error {
	s := &st.plan.Spec
	if s.Root == "" {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /: %w", err)
		}
		st.root = fd
		return nil
	}
	err := sameKind(st.Root, unix.AT_FDCWD, "/")
	if err == nil {
		err = unix.MoveMount(st.Root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil {
		return &Error{What: "--root " + s.Root, Err: fmt.Errorf("move_mount: %w", err), Status: StatusFailure, Hint: notDirHint(err)}
	}
	st.root = st.Root
	if !st.plan.OpenHere {
		return nil
	}
	if err := st.renewRoot(); err != nil {
		return &Error{What: "--root " + s.Root, Err: fmt.Errorf("clone the new root in its namespace: %w", err), Status: StatusFailure}
	}
	return nil
}

// renewRoot puts a clone in the place of a new root that was cloned before this mount namespace was made. Such a tree has
// older mount ids than the namespace's topmost mount has. statmount(2) and listmount(2) of another mount namespace look for
// its root among the younger ones only (fs/namespace.c grab_requested_root) and say ENOENT for every mount of it.
func (st *stage) renewRoot() error {
	young, err := unix.OpenTree(st.Root, "", treeFlags|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	if err := unix.Fchdir(st.Root); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := unix.MoveMount(young, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	_ = unix.Close(st.Root)
	st.root, st.Root = young, young
	return nil
}

func notDirHint(err error) string {
	if errors.Is(err, unix.ENOTDIR) {
		return "DIR must be a directory"
	}
	return ""
}

// pivot makes the new root the root of this mount namespace and lets go of the old one. pivot_root(".", ".") puts the
// old root over the new one, from where it is unmounted (pivot_root(2)).
func (st *stage) pivot() error {
	fail := func(err error) error {
		return &Error{What: "--root " + st.plan.Spec.Root, Err: err, Status: StatusFailure}
	}
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(fmt.Errorf("open /: %w", err))
	}
	if err := unix.Fchdir(st.root); err != nil {
		return fail(fmt.Errorf("fchdir: %w", err))
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fail(fmt.Errorf("pivot_root: %w", err))
	}
	if err := unix.Fchdir(old); err != nil {
		return fail(fmt.Errorf("fchdir to the old root: %w", err))
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fail(fmt.Errorf("unmount the old root: %w", err))
	}
	_ = unix.Close(old)
	if err := unix.Chdir("/"); err != nil {
		return fail(fmt.Errorf("chdir /: %w", err))
	}
	return nil
}

// below opens a path in the new root, for mounting over it.
func (st *stage) below(path string) (int, error) {
	if path = strings.TrimPrefix(path, "/"); path == "" {
		path = "."
	}
	return unix.Openat2(st.root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// put attaches a detached mount to a path in the new root.
func (st *stage) put(tree int, path string) error {
	target, err := st.below(path)
	if err != nil {
		return fmt.Errorf("open %s inside: %w", path, err)
	}
	defer unix.Close(target)
	if err := sameKind(tree, target, ""); err != nil {
		return fmt.Errorf("mount on %s: %w", path, err)
	}
	err = unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("move_mount to %s: %w", path, err)
	}
	return nil
}

// sameKind says ENOTDIR where one is a directory and the other is not, for which move_mount(2) has only EINVAL.
func sameKind(tree, dir int, path string) error {
	var from, to unix.Stat_t
	if err := unix.Fstat(tree, &from); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if err := unix.Fstatat(dir, path, &to, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("fstatat: %w", err)
	}
	if (from.Mode&unix.S_IFMT == unix.S_IFDIR) != (to.Mode&unix.S_IFMT == unix.S_IFDIR) {
		return unix.ENOTDIR
	}
	return nil
}

// newMount makes a file system of its own, as a detached mount (fsopen(2), Linux 5.2).
func newMount(fstype string, attrs int, options ...string) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer unix.Close(fs)
	for _, option := range append([]string{"source=" + fstype}, options...) {
		key, value, _ := strings.Cut(option, "=")
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return -1, fmt.Errorf("fsconfig %s %s: %w", fstype, option, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("fsconfig create %s: %w", fstype, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return -1, fmt.Errorf("fsmount %s: %w", fstype, err)
	}
	return fd, nil
}

func (st *stage) mountProc() error {
	fd, err := newMount("proc", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err == nil {
		err = st.put(fd, "/proc")
		_ = unix.Close(fd)
	}
	if err == nil {
		return nil
	}
	hint := ""
	switch {
	case errors.Is(err, unix.EPERM):
		hint = "in a user namespace a new procfs is allowed only where one without anything mounted over parts of it is visible already; here (in a container?) none is"
	case errors.Is(err, unix.ENOENT):
		hint = "the new root needs an empty directory /proc"
	}
	return &Error{What: "--mount-proc", Err: err, Hint: hint, Status: StatusFailure}
}

func (st *stage) mountOne(i int, m MountSpec) error {
	fail := func(err error) error {
		hint := ""
		if errors.Is(err, unix.ENOENT) {
			hint = "create " + m.Target + " first: nsview makes no directories in your files"
		}
		if errors.Is(err, unix.ENOTDIR) {
			hint = "a directory can be mounted on a directory only, a file on a file"
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
			hint = e.Hint
		}
		return &Error{What: m.flag(), Err: err, Hint: hint, Status: StatusFailure}
	}
	tree := st.Trees[i]
	if m.Tmpfs() {
		var err error
		if tree, err = newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode=1777"); err != nil {
			return fail(err)
		}
	}
	defer unix.Close(tree)
	if m.ReadOnly {
		if err := setReadOnly(m.flag(), tree); err != nil {
			return err
		}
	}
	if st.plan.belowTmpfs(i) {
		if err := st.create(m.Target, tree); err != nil {
			return fail(err)
		}
	}
	if err := st.put(tree, m.Target); err != nil {
		return fail(err)
	}
	return nil
}

// create makes the target of a mount, and the directories above, where they are missing: a directory for a directory, an
// empty file for anything else.
func (st *stage) create(path string, tree int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(tree, &stat); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	dir := "/"
	names := strings.Split(strings.Trim(path, "/"), "/")
	for i, name := range names {
		fd, err := st.below(dir)
		if err != nil {
			return fmt.Errorf("open %s inside: %w", dir, err)
		}
		if i == len(names)-1 && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			err = unix.Mknodat(fd, name, unix.S_IFREG|0o644, 0)
		} else {
			err = unix.Mkdirat(fd, name, 0o755)
		}
		_ = unix.Close(fd)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("create %s in %s inside: %w", name, dir, err)
		}
		dir = strings.TrimSuffix(dir, "/") + "/" + name
	}
	return nil
}

// mountDev gives a root that has a directory /dev without devices the few that programs cannot do without, as binds of
// the host's.
func (st *stage) mountDev() error {
	dir, err := st.below("/dev")
	if err != nil {
		return nil // without the directory there is nowhere to put it
	}
	var stat unix.Stat_t
	err = unix.Fstatat(dir, "null", &stat, unix.AT_SYMLINK_NOFOLLOW)
	isDir := unix.Fstatat(dir, ".", &unix.Stat_t{}, 0) == nil
	_ = unix.Close(dir)
	if !isDir || err == nil && stat.Mode&unix.S_IFMT == unix.S_IFCHR {
		return nil
	}
	fail := func(err error) error { return &Error{What: "/dev", Err: err, Status: StatusFailure} }
	tree, err := newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode=0755", "size=64k")
	if err != nil {
		return fail(err)
	}
	defer unix.Close(tree)
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := unix.Symlinkat(to, tree, name); err != nil {
			return fail(fmt.Errorf("symlink %s: %w", name, err))
		}
	}
	if err := st.put(tree, "/dev"); err != nil {
		return fail(err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		// The paths still lead into the old root.
		device, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if errors.Is(err, unix.ENOENT) {
			continue // the host has none either
		}
		if err != nil {
			return fail(fmt.Errorf("open_tree /dev/%s: %w", name, err))
		}
		err = unix.Mknodat(tree, name, unix.S_IFREG|0o644, 0)
		if err == nil {
			err = st.put(device, "/dev/"+name)
		}
		_ = unix.Close(device)
		if err != nil {
			return fail(fmt.Errorf("/dev/%s: %w", name, err))
		}
	}
	return nil
}

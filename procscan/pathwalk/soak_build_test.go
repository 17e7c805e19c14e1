package pathwalk

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allCaps has more bits than there are capabilities.
const allCaps = 1<<41 - 1

// enterStage makes a directory the root of this process's mount namespace, which is its own: nothing of the host can be
// reached from it by a path. Its /proc is for starting agents; no scenario names it.
func enterStage(dir string) error {
	for _, step := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount(dir, dir, "", unix.MS_BIND, "") },
		func() error { return unix.Mount("proc", dir+"/proc", "proc", 0, "") },
		func() error { return unix.Chdir(dir) },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// spawn is an agent to start: in the same namespaces, or in the user namespace of a space.
type spawn struct {
	Name   string
	Socket string
	Space  *space
}

func (s *spawn) start() error {
	attr := &syscall.ProcAttr{Env: []string{agentVariable + "=" + s.Socket + " " + s.Name}, Dir: "/", Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if sp := s.Space; sp != nil {
		if sp.Groups != nil {
			groups, err := unix.Getgroups()
			if err != nil {
				return err
			}
			if err := setgroups(sp.Groups); err != nil {
				return err
			}
			defer func() { _ = setgroups(groups) }()
		}
		sys := attr.Sys
		sys.Cloneflags = unix.CLONE_NEWUSER
		if sp.OwnMounts {
			sys.Cloneflags |= unix.CLONE_NEWNS
		}
		for _, e := range sp.UID {
			sys.UidMappings = append(sys.UidMappings, syscall.SysProcIDMap{ContainerID: e.Inside, HostID: e.Outside, Size: e.Count})
		}
		for _, e := range sp.GID {
			sys.GidMappings = append(sys.GidMappings, syscall.SysProcIDMap{ContainerID: e.Inside, HostID: e.Outside, Size: e.Count})
		}
		sys.GidMappingsEnableSetgroups = !sp.DenySetgroups
		sys.Credential = &syscall.Credential{Uid: uint32(sp.UID[0].Inside), Gid: uint32(sp.GID[0].Inside), NoSetGroups: sp.DenySetgroups}
		for c := range uintptr(lastCap() + 1) {
			sys.AmbientCaps = append(sys.AmbientCaps, c) // a namespace without a uid 0 has no root whom exec would give them
		}
	}
	_, err := syscall.ForkExec("/agent", []string{"agent"}, attr)
	return err
}

// lastCap is the highest capability of this kernel.
func lastCap() int {
	for c := 0; ; c++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err != nil {
			return c - 1
		}
	}
}

// The credentials of this thread only: it is the one that performs operations, and package syscall would change all.

func setgroups(list []int) error {
	ids := make([]uint32, len(list)+1)
	for i, g := range list {
		ids[i] = uint32(g)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(list)), uintptr(unsafe.Pointer(&ids[0])), 0)
	runtime.KeepAlive(ids)
	return errnoErr(errno)
}

func errnoErr(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// capset gives this thread capabilities, of those that it has.
func capset(eff, prm, inh uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		have, shift := data[i].Permitted, 32*i
		data[i] = unix.CapUserData{Effective: uint32(eff>>shift) & have, Permitted: uint32(prm>>shift) & have, Inheritable: uint32(inh>>shift) & have}
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// asFSUser does something with other ids for files, and all capabilities still.
func asFSUser(uid, gid int, do func() error) error {
	set := func(uid, gid int) error {
		unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0)
		unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
		return capset(allCaps, allCaps, 0) // setfsuid(2) took those that are about files
	}
	if err := set(uid, gid); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return set(unix.Geteuid(), unix.Getegid())
}

// become takes the credentials of a subject.
func (s *subject) become() error {
	if s.Cwd != "" {
		// A directory that it cannot reach is none to work in; then it works in the root.
		if err := unix.Chdir(s.Cwd); err != nil && err != unix.EACCES && err != unix.EROFS {
			return fmt.Errorf("chdir %s: %w", s.Cwd, err)
		}
	}
	if s.Groups != nil {
		if err := setgroups(s.Groups); err != nil {
			return fmt.Errorf("setgroups %v: %w", s.Groups, err)
		}
	}
	// What is inheritable may be more than what stays in the bounding set, if it is so before.
	if err := capset(allCaps, allCaps, s.Inh); err != nil {
		return err
	}
	for c := range lastCap() + 1 {
		if s.Bnd&(1<<c) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d of the bounding set: %w", c, err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	for _, step := range []struct{ trap, real, effective uintptr }{
		{unix.SYS_SETRESGID, uintptr(s.GID), uintptr(s.EGID)},
		{unix.SYS_SETRESUID, uintptr(s.UID), uintptr(s.EUID)},
	} {
		if _, _, errno := unix.RawSyscall(step.trap, step.real, step.effective, step.effective); errno != 0 {
			return fmt.Errorf("become %d/%d: %w", step.real, step.effective, errno)
		}
	}
	if err := capset(s.Eff, s.Prm, s.Inh); err != nil {
		return err
	}
	if s.NoNewPrivs {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return nil
}

// build makes one thing; ids is a process whose user namespace has the maps of an idmapped mount.
func (a *act) build(ids int) error {
	if err := a.make(ids); err != nil {
		if errno, ok := err.(syscall.Errno); ok && (errno == unix.EOPNOTSUPP || errno == unix.ENOTTY) {
			return errno // a file system without it
		}
		return fmt.Errorf("%s: %w", *a, err)
	}
	return nil
}

func (a *act) make(ids int) error {
	p := a.Path
	var err error
	switch a.Kind {
	case "dir":
		err = unix.Mkdir(p, 0o755)
	case "file":
		err = os.WriteFile(p, nil, 0o644)
	case "program":
		err = os.WriteFile(p, trueProgram(), 0o755)
	case "script":
		err = os.WriteFile(p, []byte("#!"+a.Text+"\n"), 0o755)
	case "link":
		if err := unix.Symlink(a.Text, p); err != nil {
			return err
		}
		return unix.Lchown(p, a.UID, a.GID)
	case "fifo":
		err = unix.Mkfifo(p, 0o644)
	case "socket":
		err = unix.Mknod(p, unix.S_IFSOCK|0o644, 0)
	case "device":
		// A file system of a user namespace takes ids of that only, and a device only from the host.
		err = asFSUser(a.UID, a.GID, func() error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) }) // null
	case "whiteout":
		return unix.Mknod(p, unix.S_IFCHR, 0)
	case "flag":
		return setFlag(p, map[string]int{"immutable": flagImmutable, "append": flagAppend}[a.Text])
	case "xattr":
		return unix.Setxattr(p, a.Text, xattrValue(a.Text), 0)
	case "tmpfs", "ramfs", "overlay":
		return unix.Mount(a.Kind, p, a.Kind, 0, a.Text)
	case "read-only": // the file system, not the mount
		if err := unix.Mount("", p, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return err
		}
		return unix.Mount("", p, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	case "mount":
		return a.mount(ids)
	default:
		return fmt.Errorf("unknown kind %q", a.Kind)
	}
	if err != nil {
		return err
	}
	return a.dress()
}

// dress gives a file what it has besides its kind. A chown takes set-id bits and capabilities, an ACL changes the mode.
func (a *act) dress() error {
	p := a.Path
	if err := unix.Lchown(p, a.UID, a.GID); err != nil {
		return err
	}
	if err := unix.Chmod(p, a.Mode); err != nil {
		return err
	}
	if a.Caps != nil {
		if err := unix.Setxattr(p, "security.capability", a.Caps.value(), 0); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"system.posix_acl_access": a.ACL, "system.posix_acl_default": a.Default} {
		if text == "" {
			continue
		}
		if err := unix.Setxattr(p, name, aclValue(text), 0); err != nil {
			return err
		}
	}
	return nil
}

// mount is a bind mount, with what it may and may not, and with an id map.
func (a *act) mount(ids int) error {
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC
	var attrs uint64
	at := uint(unix.AT_EMPTY_PATH)
	if a.By.Mounts != 0 { // what a more privileged namespace mounted below it comes along
		flags |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, a.Source, uint(flags))
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	for _, name := range a.Attr {
		attrs |= map[string]uint64{
			"ro": unix.MOUNT_ATTR_RDONLY, "noexec": unix.MOUNT_ATTR_NOEXEC, "nodev": unix.MOUNT_ATTR_NODEV,
			"nosuid": unix.MOUNT_ATTR_NOSUID, "nosymfollow": unix.MOUNT_ATTR_NOSYMFOLLOW,
		}[name]
	}
	attr := unix.MountAttr{Attr_set: attrs}
	if a.Idmap != 0 {
		ns, err := unix.Open("/proc/"+strconv.Itoa(ids)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(ns)
		attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
		attr.Userns_fd = uint64(ns)
	}
	if attr.Attr_set != 0 {
		if err := unix.MountSetattr(tree, "", at, &attr); err != nil {
			return err
		}
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, a.Path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func setFlag(path string, flag int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	old, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	// ext4 has others, and sees a request in those that are missing.
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, old&^(flagImmutable|flagAppend)|flag)
}

// aclValue is the ACL of a text like "user::rwx,user:1000:r-x,group::---,mask::rwx,other::---" as the kernel takes it
// (include/uapi/linux/posix_acl_xattr.h). The entries have to be in that order.
func aclValue(text string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for entry := range strings.SplitSeq(text, ",") {
		f := strings.Split(entry, ":")
		tags := map[string]uint16{"user": 1, "group": 4, "mask": 16, "other": 32}
		tag, id := tags[f[0]], uint64(1<<32-1)
		if f[1] != "" {
			tag <<= 1
			id, _ = strconv.ParseUint(f[1], 10, 32)
		}
		perm := uint16(0)
		for i, c := range "xwr" {
			if strings.ContainsRune(f[2], c) {
				perm |= 1 << i
			}
		}
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

// value is a struct vfs_cap_data or vfs_ns_cap_data (include/uapi/linux/capability.h).
func (c *fileCapsSpec) value() []byte {
	magic := uint32(2 << 24)
	if c.Root >= 0 {
		magic = 3 << 24
	}
	if c.Effective {
		magic |= 1
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, magic)
	for _, shift := range []int{0, 32} {
		b = le.AppendUint32(b, uint32(c.Permitted>>shift))
		b = le.AppendUint32(b, uint32(c.Inheritable>>shift))
	}
	if c.Root >= 0 {
		b = le.AppendUint32(b, uint32(c.Root))
	}
	return b
}

// trueProgram is the smallest static program that ends with success: nothing has to be there for it to run.
func trueProgram() []byte {
	machine, code := uint16(62), []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05} // xor edi,edi; mov eax,60; syscall
	if runtime.GOARCH == "arm64" {
		machine, code = 183, []byte{0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4} // mov x0,0; mov x8,93; svc 0
	}
	const header, base = 64 + 56, 0x400000
	le := binary.LittleEndian
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	b = le.AppendUint16(le.AppendUint16(b, 2), machine) // ET_EXEC
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+header)
	b = le.AppendUint64(le.AppendUint64(b, 64), 0) // program headers follow, no sections
	b = le.AppendUint32(b, 0)
	for _, half := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, half)
	}
	size := uint64(header + len(code))
	b = le.AppendUint32(le.AppendUint32(b, 1), 5) // PT_LOAD, r-x
	for _, word := range []uint64{0, base, base, size, size, 4096} {
		b = le.AppendUint64(b, word)
	}
	return append(b, code...)
}

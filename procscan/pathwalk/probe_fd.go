package pathwalk

import (
	"errors"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The text and the attributes of a file that is only open for looking at (O_PATH) are to be had by its entry in
// /proc/self/fd. With that directory open, the way there is one name long: a walk asks for both at every step.

// fd is that directory.
func (p *probe) fd() int {
	if p.fdDir < 0 {
		p.fdDir, _ = unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // -1: EBADF says it where it is used
	}
	return p.fdDir
}

// fdText is [fdPath] of an open file.
func (p *probe) fdText(fd int) (string, error) {
	k, err := unix.Readlinkat(p.fd(), strconv.Itoa(fd), p.buf[:maxPath])
	if errors.Is(err, unix.ENAMETOOLONG) || k == maxPath {
		err = errTooFar
	}
	if err != nil {
		return "", err
	}
	return string(p.buf[:k]), nil
}

// xattrArgs is struct xattr_args (include/uapi/linux/xattr.h).
type xattrArgs struct {
	value unsafe.Pointer
	size  uint32
	flags uint32
}

// getxattr is getxattr(2) of an open file into buf: by getxattrat(2) (Linux 6.13), where the kernel has it.
func (p *probe) getxattr(fd int, dir bool, name string, buf []byte) (int, error) {
	if dir && !p.noXattrAt { // what "." is takes no other directory
		k, err := getxattrat(fd, ".", name, buf)
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EACCES) {
			return k, err
		}
	}
	entry := strconv.Itoa(fd)
	if !p.noXattrAt {
		k, err := getxattrat(p.fd(), entry, name, buf)
		if !errors.Is(err, unix.ENOSYS) {
			return k, err
		}
		p.noXattrAt = true
	}
	return unix.Getxattr("/proc/self/fd/"+entry, name, buf)
}

func getxattrat(dir int, entry, name string, buf []byte) (int, error) {
	path, err := unix.BytePtrFromString(entry)
	if err != nil {
		return 0, err
	}
	attr, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	args := xattrArgs{value: unsafe.Pointer(&buf[0]), size: uint32(len(buf))}
	k, _, errno := unix.Syscall6(unix.SYS_GETXATTRAT, uintptr(dir), uintptr(unsafe.Pointer(path)), 0, uintptr(unsafe.Pointer(attr)), uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return 0, errno
	}
	return int(k), nil
}

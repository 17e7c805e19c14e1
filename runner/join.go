package runner

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// nsenter opens the namespaces to join and returns the arguments of nsenter(1), up to the path of this program.
//
// Two kinds are left to the stage. Once in another mount namespace nsenter would not find this program any more. And
// with another PID namespace for its children a process can make no threads, without which Go does not even start.
func (r *start) nsenter(pass func(int) int, o *order) ([]string, error) {
	p := r.plan
	args := []string{p.Nsenter}
	for _, j := range p.Spec.Join {
		fd, err := openNamespace(j)
		if err != nil {
			return nil, err
		}
		r.files = append(r.files, fd)
		switch j.Type {
		case Mount:
			o.JoinMnt = pass(fd)
			continue
		case PID:
			o.JoinPID = pass(fd)
			continue
		}
		args = append(args, fmt.Sprintf("--%s=/proc/self/fd/%d", j.Type, pass(fd)))
	}
	if p.Preserve {
		args = append(args, "--preserve-credentials")
	}
	exe, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc/self/exe: %w", err)
	}
	r.files = append(r.files, exe)
	return append(args, "--", fmt.Sprintf("/proc/self/fd/%d", pass(exe))), nil
}

// openNamespace opens a namespace and checks that it is the one that was meant: a PID may have been reused since.
func openNamespace(j Join) (int, error) {
	what := "--join-" + j.Type.Flag() + " " + j.Target
	fd, err := unix.Open(j.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, &Error{What: what, Err: fmt.Errorf("open %s: %w", j.Path, err), Status: StatusFailure}
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	err = unix.Fstatfs(fd, &fs)
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	switch {
	case err != nil:
	case fs.Type != unix.NSFS_MAGIC:
		err = fmt.Errorf("%s is not a namespace", j.Path)
	case j.Inode != 0 && st.Ino != j.Inode:
		err = fmt.Errorf("%s is another namespace by now", j.Path)
	default:
		if flag, ioctlErr := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); ioctlErr == nil && uintptr(flag) != cloneFlag(j.Type) {
			err = fmt.Errorf("%s is a namespace of another type", j.Path)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, &Error{What: what, Err: err, Status: StatusFailure}
	}
	return fd, nil
}

package procscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoAnswer says that a system call did not return in time: a FUSE daemon that hangs, or a network file system whose
// server is gone.
var ErrNoAnswer = errors.New("no answer in time: a dead FUSE or network mount?")

// InTime runs f and waits for it no longer than d. A system call into a dead file system cannot be taken back: when f is
// late its goroutine and its thread are left behind, so f must own whatever it opens and share nothing that it writes.
func InTime[T any](ctx context.Context, d time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	var none T
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		return none, fmt.Errorf("%w (%v)", ErrNoAnswer, d)
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Root is a directory that paths are resolved in as a process resolves them whose root directory it is: an absolute
// symbolic link and ".." stay inside. Whoever controls what is below cannot lead the reader out of it, nor through the
// magic links of procfs (openat2(2), Linux 5.6).
type Root struct {
	fd   int
	name string
}

// OpenRoot opens a directory to resolve paths in: /proc/PID/root, or where the host's root is mounted.
func OpenRoot(name string) (*Root, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Root{fd: fd, name: name}, nil
}

// Below opens a directory below r to resolve paths in. A final symbolic link is followed.
func (r *Root) Below(dir string) (*Root, error) {
	fd, err := r.OpenPath(dir, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Root{fd: fd, name: r.name + dir}, nil
}

// Close gives the directory back.
func (r *Root) Close() { _ = unix.Close(r.fd) }

// Fd is the directory itself, opened O_PATH. It is r's to close.
func (r *Root) Fd() int { return r.fd }

// OpenPath opens what path is, for looking at only (O_PATH): nothing is read from a fifo, nothing happens to a device.
// A final symbolic link is followed unless flags have O_NOFOLLOW. resolve adds to RESOLVE_IN_ROOT and
// RESOLVE_NO_MAGICLINKS. The caller closes the descriptor.
func (r *Root) OpenPath(path string, flags int, resolve uint64) (int, error) {
	return r.open(path, unix.O_PATH|flags, resolve)
}

// open opens a path below r. What is opened for more than looking at is to be known to be a directory, see OpenPath.
func (r *Root) open(path string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(unix.O_CLOEXEC | flags),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	// EAGAIN: something was renamed or mounted meanwhile and the kernel cannot swear that ".." stays inside.
	const attempts = 64
	var err error
	for range attempts {
		var fd int
		fd, err = unix.Openat2(r.fd, path, &how)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ENOSYS) {
		return -1, fmt.Errorf("openat2 (Linux 5.6) %s%s: %w", r.name, path, err)
	}
	return -1, &fs.PathError{Op: "open", Path: r.name + path, Err: err}
}

const resolveCached = 0x20 // RESOLVE_CACHED in include/uapi/linux/openat2.h

// Lacks reports whether the kernel knows, without asking any file system, that there is nothing at path (RESOLVE_CACHED of
// openat2(2), Linux 5.12): it does not wait, and says false of what it would have to look for.
func (r *Root) Lacks(path string) bool {
	fd, err := unix.Openat2(r.fd, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolveCached,
	})
	if err == nil {
		_ = unix.Close(fd)
	}
	return errors.Is(err, unix.ENOENT)
}

// Names lists what is in a directory, in no order and not more than limit. resolve is that of OpenPath.
func (r *Root) Names(dir string, resolve uint64, limit int) ([]string, error) {
	fd, err := r.open(dir, unix.O_RDONLY|unix.O_DIRECTORY, resolve)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var (
		names []string
		buf   [4 << 10]byte
	)
	for len(names) < limit {
		n, err := unix.ReadDirent(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return names, &fs.PathError{Op: "readdirent", Path: r.name + dir, Err: err}
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], limit-len(names), names)
	}
	return names, nil
}

// ReadFile reads a regular file of at most limit bytes. Anything else that stands there is an error, and so is a longer
// file: half a file would be a wrong one.
func (r *Root) ReadFile(path string, limit int64) ([]byte, error) {
	fd, err := r.OpenPath(path, 0, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return r.ReadFileAt(fd, path, limit)
}

// ReadFileAt is ReadFile for a file that [Root.OpenPath] has opened.
func (r *Root) ReadFileAt(fd int, path string, limit int64) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: r.name + path, Err: err}
	}
	return r.ReadRegular(fd, &st, path, limit)
}

// ReadRegular is ReadFileAt for who has asked already what the file is.
func (r *Root) ReadRegular(fd int, st *unix.Stat_t, path string, limit int64) ([]byte, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "read", Path: r.name + path, Err: errors.New("not a regular file")}
	}
	tooLarge := &fs.PathError{Op: "read", Path: r.name + path, Err: fmt.Errorf("larger than %d bytes", limit)}
	if st.Size > limit {
		return nil, tooLarge
	}
	// Reopened by the descriptor, so it is the file that was looked at.
	in, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: r.name + path, Err: err}
	}
	defer unix.Close(in)
	content, err := readAll(in, st.Size, limit)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: r.name + path, Err: err}
	}
	if int64(len(content)) > limit {
		return nil, tooLarge
	}
	return content, nil
}

// readAll reads a regular file that said it has size bytes, up to one byte more than limit.
func readAll(fd int, size, limit int64) ([]byte, error) {
	limit = min(limit, math.MaxInt64-1)
	content := make([]byte, 0, min(size, limit)+1)
	for int64(len(content)) <= limit {
		if len(content) == cap(content) {
			content = slices.Grow(content, 4<<10)
		}
		n, err := unix.Read(fd, content[len(content):cap(content)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return content, nil
		}
		content = content[:len(content)+n]
	}
	return content, nil
}

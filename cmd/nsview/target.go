package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/shell"
)

// target finds what a TARGET argument stands for. A path to a namespace is opened here, the rest is nsinspect's.
func (a *app) target(s *nsinspect.Snapshot, arg string) (nsinspect.Target, error) {
	if !strings.HasPrefix(arg, "/") && !strings.HasPrefix(arg, ".") {
		return nsinspect.Resolve(s, arg)
	}
	inode, err := a.nsfsInode(arg)
	if err == nil {
		t, err := s.ResolveNamespace("", inode)
		if err != nil {
			err = fmt.Errorf("%s: %w", arg, err)
		}
		return t, err
	}
	// A command name may begin with a slash or a dot, and then so does the COMM/PID of its group.
	if t, err := nsinspect.Resolve(s, arg); err == nil {
		return t, nil
	}
	return nsinspect.Target{}, err
}

// running is target for what only a process can answer: a container that is not running is an error.
func (a *app) running(s *nsinspect.Snapshot, arg string) (nsinspect.Target, error) {
	t, err := a.target(s, arg)
	if err == nil && t.Container != nil && !t.Container.Running() {
		hint := "nsview containers " + shell.Quote(arg) + " shows what is known of it"
		err = usageError(hint, "%s is not running: %s", arg, stoppedText(&t.Container.EngineFacts))
	}
	return t, err
}

// stoppedText is the state of a container that is not running, with its exit status.
func stoppedText(c *nsinspect.EngineFacts) string {
	if c.ExitCode != nil {
		return fmt.Sprintf("%s, exit status %d", c.State, *c.ExitCode)
	}
	return c.State
}

// targets resolves every argument, by target or by running. The errors of those that are nothing are printed; failed says
// whether any was. Without an argument there are none, and nothing failed.
func (a *app) targets(s *nsinspect.Snapshot, args []string, resolve func(*nsinspect.Snapshot, string) (nsinspect.Target, error)) (found []nsinspect.Target, failed bool) {
	for _, arg := range args {
		t, err := resolve(s, arg)
		if err != nil {
			a.complain(err)
			failed = true
			continue
		}
		found = append(found, t)
	}
	return found, failed
}

// nsfsInode is the inode of the namespace that an nsfs file stands for: /proc/PID/ns/TYPE or a bind mount of one.
func (a *app) nsfsInode(path string) (nsinspect.Inode, error) {
	if a.from != "" {
		return 0, fmt.Errorf("%s: a path names a namespace of this host, not of a stored snapshot", path)
	}
	// O_PATH neither waits for a fifo's peer nor touches a device.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if fs.Type != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("%s: not a namespace file", path)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return nsinspect.Inode(st.Ino), nil
}

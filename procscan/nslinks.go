package procscan

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// nsLink is one link in /proc/PID/ns and where its inode goes.
type nsLink struct {
	file string // below /proc/PID
	nul  []byte // file, as system calls take it
	kind nsinspect.Type
	of   func(*nsinspect.NamespaceSet) *nsinspect.Inode
}

// nsLinks lists the links of namespaces(7). user is first: one refusal stands for all, see
// namespaces; PID and mount are next, see briefLinks.
func nsLinks() []nsLink {
	type set = nsinspect.NamespaceSet
	type inode = nsinspect.Inode
	links := []nsLink{
		{"ns/user", nil, nsinspect.User, func(s *set) *inode { return &s.User }},
		{"ns/pid", nil, nsinspect.PID, func(s *set) *inode { return &s.PID }},
		{"ns/mnt", nil, nsinspect.Mnt, func(s *set) *inode { return &s.Mnt }},
		{"ns/net", nil, nsinspect.Net, func(s *set) *inode { return &s.Net }},
		{"ns/uts", nil, nsinspect.UTS, func(s *set) *inode { return &s.UTS }},
		{"ns/ipc", nil, nsinspect.IPC, func(s *set) *inode { return &s.IPC }},
		{"ns/cgroup", nil, nsinspect.Cgroup, func(s *set) *inode { return &s.Cgroup }},
		{"ns/time", nil, nsinspect.Time, func(s *set) *inode { return &s.Time }},
		{"ns/pid_for_children", nil, nsinspect.PID, func(s *set) *inode { return &s.PIDForChildren }},
		{"ns/time_for_children", nil, nsinspect.Time, func(s *set) *inode { return &s.TimeForChildren }},
	}
	for i := range links {
		links[i].nul = entryOf(links[i].file).nul
	}
	return links
}

// briefLinks are those that decide what a process is in: as whom, with which PID, in which files.
func briefLinks() []nsLink { return nsLinks()[:3] }

// namespaces reads these ns links of the task whose directory is dir into set.
//
// All of them are behind one check, ptrace_may_access(PTRACE_MODE_READ_FSCREDS): the first refusal is returned and the
// rest is not tried. The same check guards the pidfd namespace ioctls (pidfd_ioctl() in fs/pidfs.c), so nothing is to
// be had from them then.
//
// ENOENT is not an error: the link stays 0. A zombie has given up every namespace but user and pid; a kernel without a
// kind of namespace has no link; pid_for_children has none after unshare(CLONE_NEWPID) until the first fork. missing
// says that there was one.
func (w *worker) namespaces(dir int, links []nsLink, set *nsinspect.NamespaceSet) (missing bool, err error) {
	for i := range links {
		l := &links[i]
		n, err := readlinkEntry(dir, l.nul, w.link[:])
		if errors.Is(err, unix.ENOENT) {
			missing = true
			continue
		}
		if err != nil {
			return missing, &fs.PathError{Op: "readlink", Path: l.file, Err: err}
		}
		inode, err := parseNSLinkOf(w.link[:n], string(l.kind))
		if err != nil {
			return missing, fmt.Errorf("%s: %w", l.file, err)
		}
		*l.of(set) = inode
	}
	return missing, nil
}

// parseNSLinkOf reads KIND:[INODE]. It is parseNSLink for the place where there are millions of links.
func parseNSLinkOf(b []byte, kind string) (nsinspect.Inode, error) {
	number, ok := bytes.CutPrefix(b, []byte(kind))
	if ok {
		number, ok = bytes.CutPrefix(number, []byte(":["))
	}
	if ok {
		number, ok = bytes.CutSuffix(number, []byte("]"))
	}
	if !ok {
		return 0, fmt.Errorf("link %.60q, want %s:[INODE]", b, kind)
	}
	v, err := parseUint(number, 10, 64)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("link %.60q, want %s:[INODE]", b, kind)
	}
	return nsinspect.Inode(v), nil
}

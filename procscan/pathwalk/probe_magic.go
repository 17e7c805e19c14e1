package pathwalk

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// procRoot is the inode number of the root directory of every procfs (PROC_ROOT_INO in include/linux/proc_ns.h).
const procRoot = 1

// atProcRoot reports whether the walk is in the root directory of a procfs.
func (r *trail) atProcRoot() bool {
	return r.node.Inode == procRoot && r.node.Mount.Super.FSType == "proc"
}

// procSelf is the text that /proc/self and /proc/thread-self have for the target: its number in the PID namespace of that
// procfs, which may be another than its own (proc_self_get_link() in fs/proc/self.c). "" when it has none there.
func (r *trail) procSelf(name string) (string, error) {
	pid, err := r.ownPID(r.at)
	if err != nil || pid == 0 {
		return "", err
	}
	text := strconv.Itoa(pid)
	if name == "thread-self" {
		text += "/task/" + text
	}
	return text, nil
}

// ownPID is the target's number in the procfs whose root is open as root, 0 when it has none there.
func (r *trail) ownPID(root int) (int, error) {
	own := r.task.held
	pids, err := own.PIDs()
	if err != nil {
		return 0, err
	}
	for i, pid := range pids {
		h, err := procscan.Hold(selfFD(root), strconv.Itoa(pid))
		if err != nil {
			continue
		}
		same, err := sameProcess(own, h, pids[i:])
		h.Close()
		if err == nil && same {
			return pid, nil
		}
	}
	if r.p.snap.Observer.ProcPIDNS != nsinspect.Inode(initialPIDNS) {
		return 0, errors.New("the target's PID in a PID namespace that the observer does not see")
	}
	return 0, nil
}

// initialPIDNS is the inode of the initial PID namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const initialPIDNS = 0xeffffffc

// sameProcess reports whether a process of some procfs, which should have the numbers pids there and inwards, is own.
func sameProcess(own, h *procscan.Held, pids []int) (bool, error) {
	there, err := h.PIDs()
	if err != nil || own.StartTime() != h.StartTime() || !slices.Equal(there, pids) {
		return false, err
	}
	mine, err := own.NS(nsinspect.PID)
	if err != nil {
		return false, err
	}
	theirs, err := h.NS(nsinspect.PID)
	return err == nil && mine == theirs, err
}

// inProc completes what is known of a name in procfs, where some names are another thing for each process.
func (r *trail) inProc(s *sighted, fd int, name string) error {
	switch n := s.node; {
	case r.atProcRoot() && (name == "self" || name == "thread-self"):
		text, err := r.procSelf(name)
		n.Link = text
		return err
	case n.Type == access.Symlink:
		// Those of the root directory are plain text; those of a process are all magic.
		names, _ := r.procNames(r.at)
		s.magic = len(names) > 0
	case r.atProcRoot() && n.Type == access.Directory && strings.Trim(name, "0123456789") == "" && hidesProcesses(n.Mount.Super.Options):
		own, err := r.ownPID(r.at)
		if err != nil || strconv.Itoa(own) != name {
			return errors.New("procfs is mounted with hidepid, and whether the target sees the process is not known")
		}
	case name == "fd" && n.Type == access.Directory:
		thread, process, err := r.procOwner(fd, n)
		if err != nil {
			return nil // not the directory of a process's descriptors
		}
		defer thread.Close()
		defer process.Close()
		if n.OwnFDs, err = r.isOwn(process); err != nil {
			return err
		}
	}
	return nil
}

// hidesProcesses reports whether a procfs is mounted with hidepid=1 or more.
func hidesProcesses(options []string) bool {
	return slices.ContainsFunc(options, func(o string) bool {
		value, ok := strings.CutPrefix(o, "hidepid=")
		return ok && value != "0" && value != "off"
	})
}

// procNames are the names from the root of a procfs to a directory of a process, the process's first; none for another
// directory.
func (r *trail) procNames(dir int) ([]string, error) {
	text, err := r.p.fdText(dir)
	if err != nil {
		return nil, err
	}
	at, _ := placeIn(r.mounts[r.atID.mount], text)
	names := split(at.Path)
	if len(names) == 0 || strings.Trim(names[0], "0123456789") != "" {
		return nil, nil
	}
	return names, nil
}

// procOwner is whose files a directory of a procfs has: the thread, and the process that it is of.
func (r *trail) procOwner(dir int, n *access.Node) (thread, process *procscan.Held, err error) {
	names, err := r.procNames(dir)
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("whose files %s has is not known", n.Path)
	}
	if err != nil {
		return nil, nil, err
	}
	up := func(levels int) (*procscan.Held, error) {
		return procscan.Hold(selfFD(dir), "."+strings.Repeat("/..", levels))
	}
	if process, err = up(len(names) - 1); err != nil {
		return nil, nil, err
	}
	levels := len(names) - 1
	if len(names) > 2 && names[1] == "task" {
		levels = len(names) - 3
	}
	if thread, err = up(levels); err != nil {
		process.Close()
		return nil, nil, err
	}
	return thread, process, nil
}

// isOwn reports whether a process of a procfs is the target.
func (r *trail) isOwn(h *procscan.Held) (bool, error) {
	pids, err := r.task.held.PIDs()
	if err != nil {
		return false, err
	}
	there, err := h.PIDs()
	if err != nil {
		return false, err
	}
	if len(there) > len(pids) {
		return false, nil
	}
	return sameProcess(r.task.held, h, pids[len(pids)-len(there):])
}

// magic says of a lookup that it found a magic link, and of which process if not of the target itself.
func (r *trail) magic(step *access.Lookup) error {
	thread, process, err := r.procOwner(r.in, step.Found)
	if err != nil {
		return err
	}
	defer thread.Close()
	defer process.Close()
	step.Magic = true
	if own, err := r.isOwn(process); own || err != nil {
		return err
	}
	if strings.HasSuffix(path.Dir(step.Found.Path), "/map_files") {
		return errors.New("it takes CAP_CHECKPOINT_RESTORE")
	}
	step.Trace, err = r.trace(thread)
	return err
}

// followMagic goes where a magic link of procfs leads: to the file itself, whatever its path (proc_pid_get_link() in
// fs/proc/base.c).
func (r *trail) followMagic(link sighted, final, trailing bool, rest []string) bool {
	missing := func(err error) bool {
		r.w.Missing, r.w.Rest = "where the magic link "+link.node.Path+" leads the target: "+err.Error(), rest
		return false
	}
	step := &r.w.Steps[len(r.w.Steps)-1]
	if err := r.magic(step); err != nil {
		return missing(err)
	}
	fd, err := unix.Openat(r.in, path.Base(link.node.Path), unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		r.w.Fail, r.w.Rest = "ENOENT", rest
		return false
	}
	if err != nil {
		return missing(err)
	}
	r.fds = append(r.fds, fd)
	where, err := r.p.fdText(fd)
	if err != nil {
		return missing(err)
	}
	r.base = "/"
	named := path.IsAbs(where)
	if below, ok := trimRoot(r.rootText, where); ok {
		r.base, where = r.rootText, below
	} else if !named {
		where = link.node.Path // a pipe, a socket
	}
	s, err := r.look(fd, where, final && trailing)
	if err != nil {
		return missing(err)
	}
	if s.node.Type == "unknown" {
		return missing(errors.New("it is no file of any type"))
	}
	if !named || s.node.Nlink == 0 {
		s.node.Host = r.linkOnHost(step)
	}
	step.End = s.node
	if s.node.Type != access.Directory {
		r.w.Rest = rest
		return false
	}
	r.at, r.atID, r.node, r.awayAt = fd, s.place, s.node, s.away
	return true
}

// linkOnHost is by which path the observer reaches what has no name: the target's own link, in the observer's procfs.
func (r *trail) linkOnHost(step *access.Lookup) string {
	names, err := r.procNames(r.in)
	if step.Trace != nil || err != nil || len(names) == 0 || slices.Contains(names, "task") {
		return ""
	}
	return path.Join(append([]string{r.task.held.Name()}, append(names[1:], step.Name)...)...)
}

// trace is what ptrace_may_access() asks of another process (kernel/ptrace.c).
func (r *trail) trace(h *procscan.Held) (*access.Trace, error) {
	cred, err := h.Credentials()
	if err != nil {
		return nil, err
	}
	r.p.judge(&cred)
	t := &access.Trace{Cred: cred}
	switch ns, err := h.NS(nsinspect.User); {
	case err == nil:
		if err := r.p.learnMaps(h, ns); err != nil {
			return nil, err
		}
		t.UserNS = ns
	case !errors.Is(err, unix.EACCES): // refused to the observer: what its credentials say may be enough
		return nil, err
	}
	if pids, err := h.PIDs(); err == nil {
		t.PID = pids[0]
	}
	uid, err := h.Owner()
	if err != nil {
		return nil, err
	}
	switch {
	case uid != cred.UID.Effective:
		t.Dumpable = access.No
	case uid != 0:
		t.Dumpable = access.Yes
	}
	if task, err := r.p.taskOf(h); err == nil && task.MntNS != r.task.MntNS && task.MntNS != r.p.snap.Observer.MntNS {
		r.beyond = append(r.beyond, task)
	}
	return t, nil
}

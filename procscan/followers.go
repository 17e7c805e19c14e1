package procscan

import (
	"bytes"
	"sync"

	"github.com/nsview/nsview/nsinspect"
)

// followers knows which processes stand behind PID 1 of their PID namespace: they descend from it and are in the same
// user, PID and mount namespace. Such a process is in the container that PID 1 is in, and never the one that stands for
// it, so that neither its cgroup nor its start time says anything more: they are left out, and with them a third of
// what a process takes. One that somebody put there (docker exec, nsenter) has another parent, and is
// read as any other.
type followers struct {
	mu    sync.Mutex
	views map[nsView]int32
	of    map[int32]int32 // by PID: the view of PID 1 and of those behind it
}

// nsView is what makes processes see ids, PIDs and files alike.
type nsView struct{ user, pid, mnt nsinspect.Inode }

func newFollowers() *followers {
	return &followers{views: map[nsView]int32{}, of: map[int32]int32{}}
}

// viewOf is where a process sees ids, PIDs and files, false when that is not wholly known.
func viewOf(p *nsinspect.Process) (nsView, bool) {
	n := &p.Namespaces
	return nsView{n.User, n.PID, n.Mnt}, n.User != 0 && n.PID != 0 && n.Mnt != 0
}

// lead enters a process that was read: PID 1 of a PID namespace below that of the procfs.
func (f *followers) lead(p *nsinspect.Process) {
	view, ok := viewOf(p)
	if !ok || !inner(p.PIDs) || p.PIDs[len(p.PIDs)-1] != 1 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.views[view]
	if !ok {
		n = int32(len(f.views))
		f.views[view] = n
	}
	f.of[int32(p.PID)] = n
}

// follow reports whether a process stands behind PID 1, which with its parent has to be known already.
func (f *followers) follow(p *nsinspect.Process) bool {
	view, ok := viewOf(p)
	if !ok {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, known := f.of[int32(p.PPID)]
	if at, led := f.views[view]; !known || !led || at != n {
		return false
	}
	f.of[int32(p.PID)] = n
	return true
}

// inner reports whether a process with these PIDs is in a PID namespace below that of the procfs. No kernel thread is.
func inner(pids []int) bool { return len(pids) > 1 }

// briefFollowers reports whether followers are to be read briefly: in a scan of all processes, for facts that need no
// more. What finds the leader of a namespace compares start times.
func (s *scanner) briefFollowers() bool {
	const asked, more = Brief | Followers, Threads | Mounts | Graph | FDPins | Relations
	return s.opts.Facts&asked == asked && s.opts.Facts&more == 0 && s.opts.PIDs == nil
}

// follower reads a process that stands behind PID 1, by its status and links alone. Where it is none, it is to be read as
// any other; read says that w.status is.
func (w *worker) follower(dir, pid int, p *nsinspect.Process) (is, read bool) {
	s := w.s
	err := w.readStatus(dir)
	if err != nil {
		return false, false
	}
	st := &w.status
	if !inner(st.pids) || st.pids[len(st.pids)-1] == 1 || st.state == 'Z' || st.state == 'X' || len(st.name) == 0 {
		return false, true
	}
	p.Comm, p.State, p.PPID, p.PIDs, p.Cred = w.intern(unescapeName(st.name)), letter(st.state), st.ppid, st.pids, st.cred
	if missing, err := w.namespaces(dir, w.rowLinks, &p.Namespaces); err != nil || missing {
		return false, true
	}
	if !s.followers.follow(p) {
		return false, true
	}
	if s.opts.Facts&Names != 0 {
		if p.Root, err = w.readLink(dir, w.files.root.nul); err != nil {
			return false, true
		}
	}
	if p.IDMaps, err = s.maps.of(w, dir, p.Namespaces.User); err != nil {
		return false, true
	}
	w.judge(pid, p)
	return true, true
}

// unescapeName undoes what the kernel does to a name in status (proc_task_name(): string_escape_str() with ESCAPE_SPACE |
// ESCAPE_SPECIAL and the set "\n\\"): a newline is \n, a backslash \\.
func unescapeName(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			if i++; b[i] == 'n' {
				c = '\n'
			} else {
				c = b[i]
			}
		}
		out = append(out, c)
	}
	return out
}

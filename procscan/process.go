package procscan

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// worker reads processes one after another, into one buffer. There is one per goroutine.
type worker struct {
	s        *scanner
	links    []nsLink // all of them
	rowLinks []nsLink // those of each process, see Brief
	files    entries
	name     []byte // of a directory, see openPID
	buf      []byte
	link     [128]byte // an ns link: kinds are short
	path     [unix.PathMax]byte
	cgroups  map[string]string // one string for all processes of a cgroup
	status   status
	row      nsinspect.Process // of a follower, until it is known to be one
	gaps     []nsinspect.Gap

	at   atomic.Int64 // the row whose command line is being read, -1 none
	seen int64        // what pool saw there last
}

func (s *scanner) newWorker() *worker {
	w := &worker{s: s, links: nsLinks(), files: newEntries(), buf: make([]byte, 16<<10), cgroups: map[string]string{}}
	w.rowLinks = w.links
	if s.opts.Facts&Brief != 0 {
		w.rowLinks = briefLinks()
	}
	return w
}

// outcome is how the reading of one process ended.
type outcome int

const (
	complete outcome = iota
	ended            // it ended, or is another process now: there is nothing to say about it
	changed          // it became a zombie, or readable, between two reads: what was read belongs to two states
)

// open opens the directory of a process in procfs.
//
// Everything about a process is read through that one descriptor, which stays bound to this very process
// (proc_pid_make_inode() keeps its struct pid): when the process ends, reads through it fail, also if the PID is used
// anew, so a row cannot be made of two processes.
func (w *worker) open(pid int) (dir int, ok bool) {
	dir, err := w.openPID(w.s.procFD, pid)
	if err != nil {
		if !endedErr(err) {
			w.pidGap(pid, "process", err)
		}
		return -1, false
	}
	return dir, true
}

// process reads one process into p, all but its arguments, and reports whether there is one. A process that changes its
// credentials or namespaces at that moment can show some facts from before and some from after.
func (w *worker) process(dir, pid int, p *nsinspect.Process) bool {
	mark := len(w.gaps)
	const attempts = 3
	for n := 1; ; n++ {
		switch result := w.once(dir, pid, p); {
		case result == ended:
			w.gaps = w.gaps[:mark]
			return false
		case result == complete || n == attempts:
			return true
		}
		w.gaps = w.gaps[:mark]
	}
}

// once reads what there is to read. Where a read failed, the process is looked at again: the kernel says EACCES, not
// ESRCH, for the links of a process that ended after they were looked up.
func (w *worker) once(dir, pid int, p *nsinspect.Process) outcome {
	s := w.s
	*p = nsinspect.Process{PID: pid, PIDs: []int{pid}, IDMaps: -1, MountTable: -1, Names: -1, Container: -1}
	p.Cred.Groups = []idmap.Kernel{}
	suspect := false // a read failed, which may be because the process ended

	haveStatus := false
	if s.briefFollowers() {
		var follows bool
		w.row = *p
		if follows, haveStatus = w.follower(dir, pid, &w.row); follows {
			*p = w.row
			return complete
		}
	}
	var st stat
	b, err := w.read(dir, w.files.stat)
	if err == nil {
		err = parseStat(b, &st)
	}
	switch {
	case endedErr(err):
		return ended
	case refusedErr(err):
		w.refused(pid, p, err)
		return w.lookAgain(dir, st)
	case err != nil:
		w.pidGap(pid, "stat", err)
		suspect = true
	}
	if st.kthread && s.opts.Facts&NoKthreads != 0 {
		return ended
	}
	p.Comm, p.State, p.PPID, p.StartTime = st.comm, letter(st.state), st.ppid, st.startTime
	p.Kthread = st.kthread

	if s.briefBeside() && w.beside(dir, pid, p) {
		return complete
	}
	err = nil
	if !haveStatus {
		err = w.readStatus(dir)
	}
	if err != nil {
		suspect = true
		w.status = status{cred: noCred()}
		w.pidGap(pid, "status", err)
	}
	p.Cred = w.status.cred
	if len(w.status.pids) > 0 {
		p.PIDs = w.status.pids
	}
	if p.PPID == 0 {
		p.PPID = w.status.ppid
	}

	missing, err := w.namespaces(dir, w.rowLinks, &p.Namespaces)
	switch {
	case err != nil:
		suspect = true
		w.pidGap(pid, "namespaces", err)
	case missing && st.state == 'Z':
		w.zombieNamespaces(dir, &p.Namespaces)
	case missing:
		suspect = true
		if p.Namespaces.PIDForChildren == 0 && s.opts.Facts&Brief == 0 {
			p.Namespaces.PIDForChildren = s.childPIDNSOf(pid)
		}
	}

	cgroup, err := w.cgroup(dir)
	switch {
	case err == nil:
		p.Cgroup = cgroup
	case !errors.Is(err, unix.ENOENT): // a kernel without cgroups
		suspect = true
		w.pidGap(pid, "cgroup", err)
	default:
		suspect = true
	}

	if s.opts.Facts&(Mounts|Names) != 0 && !p.Kthread && p.Namespaces.User != 0 && st.state != 'Z' {
		root, err := w.readLink(dir, w.files.root.nul)
		switch {
		case err == nil:
			p.Root = root
		case endedErr(err):
			suspect = true // it has left its root (exit_fs()) and will be a zombie, if it is not yet
		default:
			suspect = true
			w.pidGap(pid, "root", &fs.PathError{Op: "readlink", Path: "root", Err: err})
		}
	}

	p.IDMaps, err = s.maps.of(w, dir, p.Namespaces.User)
	if err != nil {
		suspect = true
		w.pidGap(pid, "uid_map", err)
	}
	if p.Namespaces.User == 0 && p.IDMaps >= 0 && p.IDMaps == s.maps.own {
		p.Namespaces.User = s.snap.Observer.UserNS // proven by the map, see addOwn
	}
	if s.opts.Facts&Threads != 0 && w.status.threads > 1 {
		if err := w.threads(dir, pid, p); err != nil {
			suspect = true
			w.pidGap(pid, "threads", err)
		}
	}

	if suspect {
		if again := w.lookAgain(dir, st); again != complete {
			return again
		}
	}
	w.judge(pid, p)
	if s.briefFollowers() {
		s.followers.lead(p)
	}
	return complete
}

// refused fills in what is left when procfs refuses even what is public elsewhere (hidepid=1): the ids and the parent,
// by pidfd. One gap says so.
func (w *worker) refused(pid int, p *nsinspect.Process, why error) {
	w.pidGap(pid, "process", why)
	p.Cred = noCred()
	if st, err := w.s.pidfdCred(pid); err == nil {
		p.Cred, p.PPID = st.cred, st.ppid
		w.judge(pid, p)
	}
}

// lookAgain says what became of the process since its stat was read.
func (w *worker) lookAgain(dir int, before stat) outcome {
	b, err := w.read(dir, w.files.stat)
	if endedErr(err) {
		return ended
	}
	var now stat
	if err != nil || parseStat(b, &now) != nil {
		return complete // the gap says it
	}
	if before.startTime == 0 {
		return changed // it could not be read before
	}
	if now.startTime != before.startTime {
		return ended
	}
	if now.state != before.state && (now.state == 'Z' || now.state == 'X') {
		return changed
	}
	return complete
}

// judge decides which of the ids that read as the overflow id are unmapped.
func (w *worker) judge(pid int, p *nsinspect.Process) {
	if doubtful := w.s.ids.judge(&p.Cred); doubtful {
		w.gaps = append(w.gaps, overflowGap(pid, "pid "+strconv.Itoa(pid)))
	}
	for i := range p.Threads {
		t := &p.Threads[i]
		if doubtful := w.s.ids.judge(&t.Cred); doubtful {
			w.gaps = append(w.gaps, overflowGap(pid, "thread "+strconv.Itoa(t.TID)+" of pid "+strconv.Itoa(pid)))
		}
	}
}

// read reads a whole file below the process's directory into the worker's buffer. The content is valid until the next
// read.
func (w *worker) read(dir int, e entry) ([]byte, error) {
	return readEntry(dir, e, maxProcFile, &w.buf)
}

// readStatus reads status into w.status.
func (w *worker) readStatus(dir int) error {
	b, err := w.read(dir, w.files.status)
	if err != nil {
		return err
	}
	return parseStatus(b, &w.status)
}

// cgroup is the path in cgroup.
func (w *worker) cgroup(dir int) (string, error) {
	b, err := w.read(dir, w.files.cgroup)
	if err == nil {
		b, err = parseCgroup(b)
	}
	if err != nil {
		return "", err
	}
	return w.intern(b), nil
}

// readLink is where a link below a directory of procfs leads.
func (w *worker) readLink(dir int, nul []byte) (string, error) {
	n, err := readlinkEntry(dir, nul, w.path[:])
	if err != nil {
		return "", err
	}
	return w.intern(w.path[:n]), nil
}

// maxProcFile bounds status and its like. The longest honest one is a status with 65,536 supplementary groups
// (NGROUPS_MAX), 720 kB.
const maxProcFile = 1 << 20

// intern makes a string of b, the same for equal b.
func (w *worker) intern(b []byte) string {
	if s, ok := w.cgroups[string(b)]; ok { // does not allocate
		return s
	}
	s := string(b)
	w.cgroups[s] = s
	return s
}

// endedErr says whether an error below a process's directory means that the process ended. ENOENT counts for files
// that every process has.
func endedErr(err error) bool { return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) }

func refusedErr(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

func letter(state byte) string {
	if state == 0 {
		return ""
	}
	const letters = "RSDTtZXxKWPI"
	for i := range len(letters) {
		if letters[i] == state {
			return letters[i : i+1]
		}
	}
	return string(rune(state))
}

// noCred is what is said of credentials that could not be read: no id is mapped.
func noCred() nsinspect.Credentials {
	none := nsinspect.IDs{
		Real: idmap.UnmappedKernel, Effective: idmap.UnmappedKernel, Saved: idmap.UnmappedKernel, FS: idmap.UnmappedKernel,
	}
	return nsinspect.Credentials{UID: none, GID: none, Groups: []idmap.Kernel{}}
}

// zombieNamespaces looks in a living thread for what a zombie leader no longer has: a process whose first thread has
// called pthread_exit(3) goes on.
func (w *worker) zombieNamespaces(dir int, set *nsinspect.NamespaceSet) {
	if w.status.threads < 2 {
		return
	}
	tids, err := w.tasks(dir)
	if err != nil {
		return
	}
	slices.Reverse(tids)
	for _, tid := range tids {
		task, err := unix.Openat(dir, "task/"+strconv.Itoa(tid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // it ended
		}
		var other nsinspect.NamespaceSet
		_, err = w.namespaces(task, w.rowLinks, &other)
		_ = unix.Close(task)
		if err == nil && other.Mnt != 0 {
			*set = other
			return
		}
	}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/events"
)

// explainDenied asks the access engine why the kernel refused a file system call, and compares its answer with the kernel's.
func (t *tracing) explainDenied(ctx context.Context, e *events.Event) {
	if len(e.Denial.Ops) == 0 {
		e.Unjudged(e.Denial.Why)
		return
	}
	subject, err := t.deniedSubject(ctx, e)
	if err != nil {
		e.Unjudged(err.Error())
		return
	}
	var first *access.Verdict
	var walked *access.Walk // the one of first
	for _, words := range e.Denial.Ops {
		op, err := access.ParseOperation(words[0], words[1:])
		if err != nil {
			e.Unjudged(err.Error())
			return
		}
		w, err := t.asker.prober.Walk(ctx, subject, op, e.Args.Path)
		if err != nil {
			e.Unjudged(subjectError(strconv.Itoa(e.PID), err).Error())
			return
		}
		if subject.PID != e.PID && ofItself(w) {
			e.Unjudged(fmt.Sprintf("its path leads through what %d, which has ended or moved, had in /proc/self", e.PID))
			return
		}
		if !e.Denial.Shorten(w) {
			e.Unjudged("what its path begins at is not what is there by that name now")
			return
		}
		v := access.Decide(subject, w, op)
		if first == nil || v.Verdict == access.Deny && string(v.Errno) == e.Errno {
			first, walked = &v, w
		}
		if first.Verdict == access.Deny && string(first.Errno) == e.Errno {
			break
		}
	}
	e.Judge(first)
	e.Doubt(walked)
}

// ofItself reports whether a walk leads through the directory that a process has for itself in procfs.
func ofItself(w *access.Walk) bool {
	return w != nil && (ofItself(w.New) || slices.ContainsFunc(w.Steps, func(l access.Lookup) bool {
		return l.Followed && (l.Name == "self" || l.Name == "thread-self") && l.Found.Mount.Super.FSType == "proc"
	}))
}

// rescanDenied is how old the picture of the host may be in which the place of a process that has ended is looked for.
const rescanDenied = 200 * time.Millisecond

// deniedSubject is who asked: with the credentials that the kernel saw, in the place of the process, or, when that has ended
// meanwhile, of another one in the same mount and user namespace and root directory.
func (t *tracing) deniedSubject(ctx context.Context, e *events.Event) (*access.Subject, error) {
	if e.Denial.Cut {
		return nil, fmt.Errorf("it has more than %d supplementary groups", len(e.Denial.Groups))
	}
	where := t.deniedPlace(e)
	if where == 0 && (time.Since(t.asker.scanned) > rescanDenied || t.isPlace(e.PID, e) || t.isPlace(e.PPID, e)) {
		if err := t.asker.scan(ctx); err != nil {
			return nil, err
		}
		where = t.deniedPlace(e)
	}
	if where == 0 {
		return nil, fmt.Errorf("%d has ended or moved, and nobody else is known to be in its mount and user namespace and to have its root directory", e.PID)
	}
	subject, err := t.asker.subject(ctx, &question{Target: strconv.Itoa(where)})
	if err != nil {
		return nil, err
	}
	as := *subject
	as.Target = strconv.Itoa(e.PID)
	as.Cred.UID, as.Cred.GID, as.Cred.Groups, as.Cred.CapEff = e.UID, e.GID, e.Denial.Groups, e.Caps
	return &as, nil
}

// deniedPlace is a process of the picture of the host that is where the one of the event was, 0 when there is none.
func (t *tracing) deniedPlace(e *events.Event) int {
	same := func(p *nsinspect.Process) bool {
		return p != nil && p.Namespaces.Mnt == e.Namespaces.Mnt && p.Namespaces.User == e.Namespaces.User && t.isPlace(p.PID, e)
	}
	for _, pid := range []int{e.PID, e.PPID, t.asker.s.Observer.PID} {
		if same(t.asker.s.Process(pid)) {
			return pid
		}
	}
	for i := range t.asker.s.Processes {
		if p := &t.asker.s.Processes[i]; same(p) {
			return p.PID
		}
	}
	return 0
}

// isPlace reports whether a process is now where the one of the event was.
func (t *tracing) isPlace(pid int, e *events.Event) bool {
	inode := func(name string) nsinspect.Inode {
		var st unix.Stat_t
		if unix.Stat(t.app.proc+"/"+strconv.Itoa(pid)+"/ns/"+name, &st) != nil {
			return 0 // it has ended, or ends
		}
		return nsinspect.Inode(st.Ino)
	}
	return inode("mnt") == e.Namespaces.Mnt && inode("user") == e.Namespaces.User && t.hasRoot(pid, e.Denial.Root)
}

// hasRoot reports whether that is the root directory of a process.
func (t *tracing) hasRoot(pid int, root events.Root) bool {
	var x unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, t.app.proc+"/"+strconv.Itoa(pid)+"/root", unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_MNT_ID, &x)
	if err != nil || x.Mask&unix.STATX_MNT_ID == 0 || int(x.Mnt_id) != root.Mount {
		return false // it has ended, or ends
	}
	if x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return root.Inode == 0
	}
	return root.Inode == x.Ino
}

// inContainer reports whether a process is in a mount or user namespace that is not the observer's.
func (t *tracing) inContainer(e *events.Event) bool {
	return e.Namespaces.Mnt != t.observer.MntNS || e.Namespaces.User != t.observer.UserNS
}

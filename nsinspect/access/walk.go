package access

import "strconv"

// found is where a walk of the subject arrived.
type found struct {
	node *Node // nil: there is no such name
	dir  *Node // where the last name was looked up; nil for a path without names
	path string
}

// walk goes along a path as the subject, up to where it is refused (link_path_walk() and step_into() in fs/namei.c).
// A missing last name is no refusal: some operations make it.
func (j *judge) walk(w *Walk) (found, bool) {
	if w.Fail != "" && len(w.Steps) == 0 {
		return found{}, j.failed(w)
	}
	if w.Start == nil {
		return found{}, j.unknown(w.Path, RuleNone, orElse(w.Missing, "where the path starts"))
	}
	at := found{node: w.Start, path: w.Start.Path}
	for i := range w.Steps {
		l := &w.Steps[i]
		if !j.search(l.Dir) {
			return at, false
		}
		at = found{node: l.Found, dir: l.Dir, path: join(l.Dir.Path, l.Name)}
		if l.Found == nil {
			break
		}
		at.path = l.Found.Path
		if l.Followed {
			if !j.follow(l) {
				return at, false
			}
			if l.End != nil {
				at = found{node: l.End, dir: at.dir, path: l.End.Path}
			}
		}
	}
	if w.Fail != "" {
		return at, j.failed(w)
	}
	if w.Missing != "" {
		return at, j.unknown(at.path, RuleNone, w.Missing)
	}
	switch {
	case len(w.Rest) > 0 && at.node == nil:
		return at, j.absent(at)
	case len(w.Rest) > 0 && at.node.Type != Directory:
		return at, j.deny(at.node, RuleNotDir, "ENOTDIR", "a directory is needed here")
	}
	return at, true
}

// reach is walk for an operation on what is there.
func (j *judge) reach(w *Walk) (found, bool) {
	at, ok := j.walk(w)
	switch {
	case !ok:
		return at, false
	case at.node == nil:
		return at, j.absent(at)
	case w.TrailingSlash && at.node.Type != Directory:
		return at, j.deny(at.node, RuleNotDir, "ENOTDIR", "the path ends in a slash")
	}
	return at, true
}

func (j *judge) absent(at found) bool {
	return j.denyAt(at.path, "", RuleNotFound, "ENOENT", "there is no such name")
}

// follow is pick_link(): the checks of following a symbolic link.
func (j *judge) follow(l *Lookup) bool {
	link := l.Found
	if l.Trailing && !j.protectedLink(l) {
		return false
	}
	if link.Mount.NoSymfollow && !j.deny(link, RuleNoSymfollow, "ELOOP", "the mount does not let symbolic links be followed") {
		return false
	}
	return l.Trace == nil || j.mayTrace(link, l.Trace)
}

// mayTrace is ptrace_may_access() for PTRACE_MODE_READ_FSCREDS, which lets the links of another process be followed
// (proc_fd_access_allowed() in fs/proc/base.c).
func (j *judge) mayTrace(link *Node, t *Trace) bool {
	switch {
	case t.UserNS == 0 && j.held(capSysPtrace):
		return j.unknown(link.Path, RulePtrace, "the user namespace of process "+strconv.Itoa(t.PID))
	case j.nsCap(t.UserNS, capSysPtrace):
		return j.pass(link, RuleCap+"CAP_SYS_PTRACE", "the link is another process's, CAP_SYS_PTRACE lets it be followed")
	}
	refuse := func(why string) bool {
		return j.deny(link, RulePtrace, "EACCES", "the link is another process's: "+why+", and the target has no CAP_SYS_PTRACE over it")
	}
	u, g := t.Cred.UID, t.Cred.GID
	if u.Real != j.fsuid || u.Effective != j.fsuid || u.Saved != j.fsuid || g.Real != j.fsgid || g.Effective != j.fsgid || g.Saved != j.fsgid {
		return refuse("its ids are not all the target's")
	}
	switch {
	case t.Dumpable == No:
		return refuse("it is not dumpable")
	case t.Cred.CapPrm&^j.caps != 0 || t.UserNS != 0 && t.UserNS != j.s.UserNS:
		return refuse("it has capabilities that the target has not")
	case t.UserNS == 0:
		return j.unknown(link.Path, RulePtrace, "the user namespace of process "+strconv.Itoa(t.PID))
	case t.Dumpable == NotTold:
		j.assume("process " + strconv.Itoa(t.PID) + " is dumpable")
	}
	return j.pass(link, RulePtrace, "the link is that of a process with the target's ids and no more capabilities")
}

// protectedLink is may_follow_link(): fs.protected_symlinks. No capability overrides it.
func (j *judge) protectedLink(l *Lookup) bool {
	link, dir := l.Found, l.Dir
	if dir.Mode&0o1002 != 0o1002 || link.UID.Known && link.UID.Seen.Mapped() && link.UID.Seen == j.fsuid {
		return true
	}
	if link.UID.Known && dir.UID.Known && dir.UID.Seen.Mapped() && dir.UID.Seen == link.UID.Seen {
		return true
	}
	switch {
	case j.host.ProtectedSymlinks == 0:
		return true
	case j.host.ProtectedSymlinks < 0:
		return j.unknown(link.Path, RuleProtectedSymlinks, "fs.protected_symlinks")
	case !link.UID.Known || !dir.UID.Known:
		return j.unsure(RuleProtectedSymlinks, "the owner of "+link.Path, link, dir)
	}
	return j.deny(link, RuleProtectedSymlinks, "EACCES", "fs.protected_symlinks: a link of another user in a sticky directory that everybody may write to")
}

// failed is an error of the walk itself.
func (j *judge) failed(w *Walk) bool {
	rule, detail := RuleNotFound, "the walk ends here"
	switch w.Fail {
	case "ELOOP":
		rule = RuleSymlinkLoop
	case "ENAMETOOLONG":
		rule = RuleNameTooLong
	case "EROFS":
		rule, detail = RuleROSuper, "an overlay has to write to its upper layer for the first lookup of a directory, and the file system of that is read-only"
	}
	return j.denyAt(w.Path, "", rule, w.Fail, detail)
}

// look is what needs the walk only: stat(2), lstat(2), readlink(2), and chdir(2), which also searches the directory.
func (j *judge) look() {
	at, ok := j.reach(j.w)
	if !ok {
		return
	}
	switch j.op.Op {
	case OpReadlink:
		if at.node.Type != Symlink {
			j.deny(at.node, RuleInvalid, "EINVAL", "it is no symbolic link")
			return
		}
		if n := len(j.w.Steps); n > 0 && j.w.Steps[n-1].Trace != nil {
			j.mayTrace(at.node, j.w.Steps[n-1].Trace)
		}
	case OpLookup, OpLstat:
		j.fuseAllows(at.node) // fuse_getattr() in fs/fuse/dir.c
	case OpChdir:
		if at.node.Type != Directory {
			j.deny(at.node, RuleNotDir, "ENOTDIR", "it is no directory")
			return
		}
		j.permission(at.node, wantX)
	}
}

func join(dir, name string) string {
	if dir == "" || dir[len(dir)-1] == '/' {
		return dir + name
	}
	return dir + "/" + name
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

package pathwalk

import (
	"path"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// question is one question under way: what its walks have in common.
type question struct {
	p      *probe
	host   *access.Host
	task   *taskNow
	op     access.Operation
	mounts map[uint64]*access.Mount

	future *future // of a container that is not running

	stacks map[stackKey]*stacked
	uppers map[uint64]access.Fact         // see upperReadOnly
	tables map[*taskNow][]nsinspect.Mount // see table
	beyond []*taskNow                     // processes whose mount namespaces magic links may have led to
	opened []int                          // descriptors that the question keeps to its end
}

func (p *probe) walkIn(host *access.Host, t *taskNow, op access.Operation, name string) (*access.Walk, error) {
	q := newQuestion(p, host, t, op)
	defer q.close()
	return q.walks(name)
}

func newQuestion(p *probe, host *access.Host, t *taskNow, op access.Operation) *question {
	if p.mountinfo { // ids of mounts that were there at the last question may be others' now
		clear(p.superOwners)
		clear(p.layers)
	}
	return &question{p: p, host: host, task: t, op: op, mounts: map[uint64]*access.Mount{}, stacks: map[stackKey]*stacked{}}
}

// walks reads what is on the way to a path, and to the second one of the operation.
func (q *question) walks(name string) (*access.Walk, error) {
	w, from, err := q.walk(name, followsOf(q.op.Op), 0)
	if err != nil {
		return nil, err
	}
	if q.future == nil {
		w.Sysctl = q.p.settings(q.task, w)
	}
	if q.op.New == "" {
		return w, nil
	}
	var to string
	if w.New, to, err = q.walk(q.op.New, nameOnly, 0); err != nil {
		return nil, err
	}
	relate(w, from, to)
	return w, nil
}

func (q *question) close() {
	q.p.asking.set(-1)
	for _, fd := range q.opened {
		_ = unix.Close(fd)
	}
}

// relate says how the two paths of an operation hang together. from and to are where their last names were looked up: which
// of two names is above the other is about the directories that they are in, not about those on the way.
func relate(w *access.Walk, from, to string) {
	last := func(w *access.Walk) (dir, found *access.Node, name string) {
		if len(w.Steps) == 0 || len(w.Rest) > 0 {
			return nil, nil, ""
		}
		l := &w.Steps[len(w.Steps)-1]
		return l.Dir, l.Found, l.Name
	}
	oldDir, old, oldName := last(w)
	newDir, now, newName := last(w.New)
	same := func(a, b *access.Node) bool {
		return a != nil && b != nil && a.Dev == b.Dev && a.Inode == b.Inode && a.Mount.ID == b.Mount.ID
	}
	w.SameDir, w.SameFile = same(oldDir, newDir), same(old, now)
	switch {
	case w.SameFile || w.SameDir || from == "" || to == "":
	case old != nil && isBelow(to, path.Join(from, oldName)):
		w.Ancestor = "old"
	case now != nil && isBelow(from, path.Join(to, newName)):
		w.Ancestor = "new"
	}
}

// isBelow reports whether a name is that of a directory or of something below it.
func isBelow(name, dir string) bool {
	_, ok := trimRoot(dir, name)
	return ok
}

// follows says what an operation does at the last name of its path.
type follows int

const (
	followLast follows = iota
	stayOnLink
	nameOnly // the name in its directory is what counts (filename_parentat() in fs/namei.c)
)

func followsOf(op access.Op) follows {
	switch op {
	case access.OpLstat, access.OpReadlink, access.OpLchown, access.OpLink, access.OpCreate:
		return stayOnLink
	case access.OpMkdir, access.OpMkfifo, access.OpMknod, access.OpWhiteout, access.OpSymlink, access.OpUnlink, access.OpRmdir,
		access.OpRename, access.OpNoreplace, access.OpExchange:
		return nameOnly
	}
	return followLast
}

// deletes reports whether an operation takes names away, or gives them to others.
func deletes(op access.Op) bool {
	return op == access.OpUnlink || op == access.OpRmdir || moves(op)
}

// moves reports whether an operation gives a name to what has another.
func moves(op access.Op) bool {
	return op == access.OpRename || op == access.OpNoreplace || op == access.OpExchange
}

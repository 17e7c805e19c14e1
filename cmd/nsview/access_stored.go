package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/nsinspect/shell"
)

// askStored answers from what a stored snapshot has of the path.
func (k *asker) askStored(q *question, op access.Operation) (access.Verdict, error) {
	t, err := k.target(q.Target)
	if err != nil {
		return access.Verdict{}, err
	}
	lacks := func(what string) (access.Verdict, error) {
		return access.Undecided(q.Target, q.Path, op, "the snapshot does not have "+what), nil
	}
	if k.stored == nil {
		k.stored = &doctor.Facts{Snapshot: k.s}
		if _, err := doctor.Load(k.stored); err != nil {
			return access.Verdict{}, err
		}
	}
	if q.User != "" {
		return lacks("what another user in " + q.Target + " would be given")
	}
	subject, walk := k.stored.Stored(t.index, t.pid, q.Path, op.Op)
	switch dir, name := path.Split(q.Path); {
	case walk != nil:
		return judged(subject, walk, op), nil
	case name == access.NewFile: // a new file in a directory that was stored
		if subject, walk := k.stored.Stored(t.index, t.pid, strings.TrimSuffix(dir, "/"), access.OpLookup); isDirectory(walk) {
			return judged(subject, walk.In(name), op), nil
		}
		return lacks("what is on the way to " + q.Target + ":" + dir)
	case access.StoredAs(op.Op) == "":
		return lacks(fmt.Sprintf("what %s asks of a file", op.Op))
	}
	return lacks(fmt.Sprintf("what is on the way to %s:%s; nsview snapshot --path %s stores it", q.Target, q.Path, shell.Quote(q.Target+":"+q.Path)))
}

// commonStored is common of what a stored snapshot has.
func (k *asker) commonStored(q question) ([]access.Verdict, error) {
	v, err := k.askStored(&q, access.Operation{Op: access.OpLookup})
	if err != nil || v.Verdict == access.Unknown {
		return []access.Verdict{v}, err
	}
	t := k.targets[q.Target]
	s, w := k.stored.Stored(t.index, t.pid, q.Path, access.OpLookup)
	return askCommon(s, w, q.Path, func(op access.Operation, file string) (access.Verdict, error) {
		asked := q
		asked.Path = file
		return k.askStored(&asked, op)
	})
}

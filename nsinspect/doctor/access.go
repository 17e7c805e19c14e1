package doctor

import (
	"fmt"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// question is one thing that is asked of a volume.
type question struct {
	id   ID
	what string // "search", as evidence says it
	op   access.Operation
	name string // asked of a new file of this name in the directory, "" of the directory itself
}

// questions are what is asked of a file, in the order in which a refusal makes the next ones pointless. readOnly leaves
// writing out: the mount says that nobody is meant to.
func questions(n *access.Node, readOnly bool) []question {
	permission := func(id ID, what, letters string) question {
		return question{id: id, what: what, op: eaccess(letters)}
	}
	var list []question
	switch n.Type {
	case access.Socket:
		return []question{permission(SocketGroup, "connecting to", "w")}
	case access.CharDevice, access.BlockDevice:
		return []question{{id: DeviceGroup, what: "opening", op: access.Operation{Op: access.OpRdwr}}}
	case access.Directory:
		list = append(list, permission(Traverse, "searching", "x"))
	}
	list = append(list, permission(Read, "reading", "r"))
	if !readOnly {
		list = append(list, permission(Write, "writing to", "w"))
		if n.Type == access.Directory {
			// Who may write may still own nothing there: the file system has no id for it (EOVERFLOW).
			list = append(list, question{id: Write, what: "creating a file in", op: access.Operation{Op: access.OpCreate}, name: access.NewFile})
		}
	}
	return list
}

// volumeAccess finds what the processes of a container, and whom it is configured to run as, may not do with its volumes.
//
// A refusal is an error where it is whom the container is there for that is refused. Others of a container that may not
// are ordinary: nginx reads certificates as root before its workers run as nobody.
func (j *judge) volumeAccess(i int) {
	volumes := j.volumes(i)
	refused := map[refusal]bool{}
	for _, primary := range []bool{true, false} {
		for _, a := range j.answersOf(i, primary) {
			j.access(i, volumeAt(volumes, a.Path), a, refused)
		}
	}
}

// refusal is what is said once of several processes of one user.
type refusal struct {
	path string
	id   ID
	uid  idmap.Kernel
	gid  idmap.Kernel
}

func (j *judge) access(i int, v *nsinspect.Volume, a *Answer, refused map[refusal]bool) {
	node := a.Walk.Reached()
	if node == nil {
		j.unreachable(i, v, a)
		return
	}
	for _, q := range questions(node, v != nil && v.ReadOnly) {
		walk := a.Walk
		if q.name != "" {
			walk = walk.In(q.name)
		}
		verdict := j.decide(a.Subject, walk, q.op)
		switch verdict.Verdict {
		case access.Unknown:
			j.gaps = append(j.gaps, nsinspect.Gap{
				Subject: j.viewers[i] + ":" + a.Path, PID: a.Subject.PID, Fact: fmt.Sprintf("%s it by %s", q.what, j.who(a.Subject)), Error: verdict.Missing,
			})
			return
		case access.Deny:
			key := refusal{a.Path, q.id, a.Subject.Cred.UID.FS, a.Subject.Cred.GID.FS}
			if !refused[key] {
				refused[key] = true
				j.add(j.refused(i, v, a, walk, q, &verdict))
			}
			return // what follows fails for the same reason, or is of no use alone
		}
	}
}

// unreachable is a path that the walk does not arrive at: a directory above it that may not be searched, or nothing there.
func (j *judge) unreachable(i int, v *nsinspect.Volume, a *Answer) {
	verdict := j.decide(a.Subject, a.Walk, access.Operation{Op: access.OpLookup})
	switch {
	case verdict.Verdict == access.Unknown, verdict.Rule == access.RuleNameTooLong:
		gap := nsinspect.Gap{Subject: j.viewers[i] + ":" + a.Path, PID: a.Subject.PID, Fact: "looking it up by " + j.who(a.Subject), Error: verdict.Missing}
		if verdict.Rule == access.RuleNameTooLong { // whoever goes there in several steps may well find it open
			gap.Error = "no system call takes a path that is so long"
		}
		j.gaps = append(j.gaps, gap)
	case verdict.Errno != "ENOENT": // a device that is not there is not missed
		j.add(j.refused(i, v, a, a.Walk, question{id: Traverse, what: "looking up", op: access.Operation{Op: access.OpLookup}}, &verdict))
	}
}

// refused is the finding about one refusal, of a question that was asked on that walk.
func (j *judge) refused(i int, v *nsinspect.Volume, a *Answer, walk *access.Walk, q question, verdict *access.Verdict) Finding {
	f := Finding{ID: q.id, Severity: Error, Target: j.viewers[i], Path: a.Path}
	f.Fixes = j.fixes(v, a, walk, q, verdict)
	at := verdict.Component
	if at == "" {
		at = a.Path
	}
	f.Evidence = fmt.Sprintf("%s it by %s is refused with %s by %s at %s%s", q.what, j.who(a.Subject), verdict.Errno, verdict.Rule, at, nodeText(a.Walk, at))
	if verdict.Explanation != "" {
		f.Evidence = verdict.Explanation
	}
	switch {
	case !a.Primary:
		f.Severity = Info
		f.Meaning = "another process of the container than its first one is refused; that is as it should be where only the first one needs it"
	case q.id == Write && v != nil && (systemTree(v.Source) || a.Walk.Reached().Type != access.Directory):
		f.Severity, f.Fixes = Info, nil // whoever follows them makes files of the system writable
		f.Meaning = "it is mounted for writing, and the container may only read it; to mount it read-only would say so"
	default:
		f.Meaning = meaningOf(q.id)
	}
	return f
}

// fixes are what would lift one refusal. A directory is to be searched, read and, unless it is mounted read-only, written:
// a fix has all of that at once, since whoever is told of one letter at a time fixes one volume three times.
func (j *judge) fixes(v *nsinspect.Volume, a *Answer, walk *access.Walk, q question, verdict *access.Verdict) []access.Fix {
	if j.Fix == nil {
		return nil
	}
	if n := walk.Reached(); n != nil && n.Type == access.Directory && q.op.Op == access.OpEaccess {
		all := eaccess("rwx")
		if v != nil && v.ReadOnly {
			all = eaccess("rx")
		}
		if whole := j.decide(a.Subject, walk, all); whole.Verdict == access.Deny {
			if list := j.Fix(a.Subject, walk, all, whole); len(list) > 0 {
				return list
			}
		}
	}
	return j.Fix(a.Subject, walk, q.op, *verdict)
}

func meaningOf(id ID) string {
	switch id {
	case Traverse:
		return "the container reaches nothing that is in it, whatever the files in it allow"
	case Read:
		return "the container cannot read it: its program fails to start, or finds an empty directory"
	case Write:
		return "the container cannot create, rename or delete anything in it"
	case SocketGroup:
		return "the client inside is refused before the server sees it; the group of the socket is a number of the host, which the user inside is not in"
	case DeviceGroup:
		return "the device is there and cannot be opened; its group is a number of the host, which the user inside is not in"
	}
	return ""
}

// who is a subject as evidence names it: user, id inside, id outside.
func (j *judge) who(s *access.Subject) string {
	var parts []string
	inside := j.insideUID(s)
	name := ""
	if s.Names != nil && inside.Mapped() {
		name = s.Names.Users[inside]
	}
	if name == "" {
		name = "uid " + inside.String()
		parts = append(parts, "outside "+s.Cred.UID.FS.String())
	} else {
		parts = append(parts, fmt.Sprintf("uid %v inside, %v outside", inside, s.Cred.UID.FS))
	}
	if s.PID != 0 {
		parts = append(parts, fmt.Sprintf("PID %d", s.PID))
	} else {
		parts = append(parts, "configured")
	}
	return name + " (" + strings.Join(parts, ", ") + ")"
}

// insideUID is what a subject itself calls the id that its files are checked with.
func (j *judge) insideUID(s *access.Subject) idmap.Inside {
	if s.UserNS != 0 && s.UserNS == j.s.Observer.UserNS {
		return idmap.Inside(s.Cred.UID.FS)
	}
	if s.Container != nil {
		if maps := j.s.Maps(s.Container.IDMaps); maps != nil {
			return maps.UID.ToInside(s.Cred.UID.FS)
		}
		if len(s.Container.UIDMap) > 0 {
			return s.Container.UIDMap.ToInside(s.Cred.UID.FS)
		}
	}
	return idmap.UnmappedInside
}

// nodeText is the owner and mode of a component of a walk, as the mount shows it.
func nodeText(w *access.Walk, path string) string {
	for _, n := range nodes(w) {
		if n.Path == path {
			return fmt.Sprintf(" (mode %04o, owner %v:%v)", n.Mode, n.UID.Seen, n.GID.Seen)
		}
	}
	return ""
}

// nodes are what a walk passed, in order.
func nodes(w *access.Walk) []*access.Node {
	var list []*access.Node
	add := func(n *access.Node) {
		if n != nil {
			list = append(list, n)
		}
	}
	add(w.Start)
	for i := range w.Steps {
		add(w.Steps[i].Found)
		add(w.Steps[i].End)
	}
	return list
}

// answersOf are the answers about a container, of those that it is there for or of its other processes.
func (j *judge) answersOf(container int, primary bool) []*Answer {
	var list []*Answer
	for i := range j.Answers {
		if a := &j.Answers[i]; a.Container == container && a.Primary == primary && a.Subject != nil && a.Walk != nil {
			list = append(list, a)
		}
	}
	return list
}

func volumeAt(volumes []nsinspect.Volume, path string) *nsinspect.Volume {
	for i := range volumes {
		if volumes[i].Point == path {
			return &volumes[i]
		}
	}
	return nil
}

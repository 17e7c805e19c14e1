package access

import (
	"fmt"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// explain says a verdict in one sentence. Names of files and users in it are the container's own words: whoever prints it
// on a terminal escapes it.
func explain(s *Subject, w *Walk, op Operation, v *Verdict) string {
	e := explainer{s: s, w: w, op: op, v: v}
	if w.Host != nil {
		e.ns = w.Host.UserNS[s.UserNS]
	}
	e.find()
	what := e.who() + " " + e.modal() + " " + e.does()
	switch v.Verdict {
	case Allow:
		what += e.setIDs()
		if why := e.because(); why != "" {
			return "allowed: " + what + ": " + why
		}
		return "allowed: " + what
	case Unknown:
		missing := v.Missing
		if missing == "" {
			missing = "a fact that could not be read"
		}
		return "unknown: whether " + what + " depends on " + missing
	}
	reason := e.reason()
	if reason == "" {
		reason = string(v.Rule)
	}
	if need := e.need(); need != "" {
		return "denied: " + e.who() + " needs " + need + ", " + reason
	}
	return "denied: " + what + ": " + reason
}

// explainer makes one sentence.
type explainer struct {
	s  *Subject
	w  *Walk
	op Operation
	v  *Verdict

	ns     *UserNS // of the subject, nil when it is not known
	node   *Node   // what the check was about, nil when there is no such file
	dir    *Node   // the directory that node was found in, nil for where the walk started
	parent bool    // node is the directory that has the last name of one of the paths
	way    bool    // a directory on the way to the path could not be searched
}

// find looks for the component in the walks: the last file of that path.
func (e *explainer) find() {
	for w := e.w; w != nil; w = w.New {
		if e.is(w.Start) {
			e.node, e.dir = w.Start, nil
		}
		for i := range w.Steps {
			l := &w.Steps[i]
			if e.is(l.Dir) {
				e.node = l.Dir
				e.parent = i == len(w.Steps)-1 && len(w.Rest) == 0
			}
			for _, n := range []*Node{l.Found, l.End} {
				if e.is(n) {
					e.node, e.dir, e.parent = n, l.Dir, false
				}
			}
		}
	}
	if n := len(e.v.Steps); n > 0 {
		for _, step := range e.v.Steps[max(0, n-2):] {
			if step.Rule == RuleWalkX && step.Result != Allow {
				e.way = true
			}
		}
	}
}

func (e *explainer) is(n *Node) bool { return n != nil && n.Path == e.v.Component }

// modal is "may", or "can" for what is refused: a permission is not what every refusal is about.
func (e *explainer) modal() string {
	if e.v.Verdict == Deny {
		return "cannot"
	}
	return "may"
}

// does is the operation in words, with its operands.
func (e *explainer) does() string {
	path, to := quoted(e.v.Path), quoted(e.op.New)
	switch e.op.Op {
	case OpLookup, OpLstat:
		return "look up " + path
	case OpChdir:
		return "change into " + path
	case OpRead:
		return "read " + path
	case OpWrite:
		return "write " + path
	case OpRdwr:
		return "read and write " + path
	case OpAppend:
		return "append to " + path
	case OpOpentrunc:
		return "overwrite " + path
	case OpNoatime:
		return "read " + path + " without touching its access time"
	case OpExec:
		return "execute " + path
	case OpCreate:
		return "create " + path
	case OpOpencreat:
		return "write or create " + path
	case OpMkdir:
		return "make the directory " + path
	case OpMkfifo:
		return "make the fifo " + path
	case OpMknod:
		return "make the device " + path
	case OpWhiteout:
		return "make the whiteout " + path
	case OpSymlink:
		return "make the symbolic link " + path
	case OpUnlink:
		return "remove " + path
	case OpRmdir:
		return "remove the directory " + path
	case OpRename, OpNoreplace:
		return "rename " + path + " to " + to
	case OpExchange:
		return "exchange " + path + " with " + to
	case OpLink:
		return "link " + path + " as " + to
	case OpTruncate:
		return "truncate " + path
	case OpChmod:
		return fmt.Sprintf("change the mode of %s to %04o", path, e.op.Mode)
	case OpChown, OpLchown:
		return "change the owner of " + path + " to " + chownID(e.op.UID) + ":" + chownID(e.op.GID)
	case OpTouch:
		return "set the times of " + path + " to now"
	case OpUtimes:
		return "set the times of " + path
	case OpSetxattr:
		return "set the attribute " + quoted(e.op.Name) + " of " + path
	case OpGetxattr:
		return "read the attribute " + quoted(e.op.Name) + " of " + path
	case OpGetACL:
		return "read the ACL of " + path
	case OpReadlink:
		return "read the link " + path
	case OpAccess, OpEaccess:
		if e.op.Mode == 0 {
			return "find " + path
		}
		return "have " + strings.ReplaceAll(permText(e.op.Mode), "-", "") + " on " + path
	case OpConnect:
		return "connect to " + path
	}
	return string(e.op.Op) + " " + path
}

// chownID is an id of chown, "-" for one that stays.
func chownID(id idmap.Inside) string {
	if !id.Mapped() {
		return "-"
	}
	return id.String()
}

// permText is permissions as ls -l prints them.
func permText(perm uint32) string {
	text := []byte("---")
	for i, c := range []byte("rwx") {
		if perm&(4>>i) != 0 {
			text[i] = c
		}
	}
	return string(text)
}

// quoted is a word of a container in a sentence: between quotation marks unless it is plain, so that it cannot pass for a
// part of the sentence.
func quoted(word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+@:=%~", r)
	})
	if plain {
		return word
	}
	return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`
}

// what is the component, with its path on the host where that is another.
func (e *explainer) what() string { return e.named(e.v.Component, e.node) }

func (e *explainer) named(path string, n *Node) string {
	host := ""
	switch {
	case n != nil && n.Host != "":
		host = n.Host
	case n == nil || path == e.v.Component:
		host = e.v.HostPath
	}
	if host == "" || host == path {
		return quoted(path)
	}
	return quoted(path) + " (host " + quoted(host) + ")"
}

package events

import (
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// MapFacts is what the kernel judges a write to an id map by: who opened the file, and the state of the user namespace.
// Ids are the kernel's own.
type MapFacts struct {
	OpenerNS     nsinspect.Inode
	EUID, EGID   idmap.Kernel
	Caps         uint64 // effective, in OpenerNS
	Owner        idmap.Kernel
	UIDWritten   bool // the map has extents (after the write)
	GIDWritten   bool
	Setgroups    bool // allowed
	ParentSetcap bool // the creator had CAP_SETFCAP
}

// The bits of the capabilities that count: include/uapi/linux/capability.h.
const (
	capSetGID   = 6
	capSetUID   = 7
	capSysAdmin = 21
	capSetFCAP  = 31
)

// ExplainMap says why a write to uid_map or gid_map was refused, by the kernel's own rules. parent is the map of that kind
// of the parent user namespace, from its ids to the kernel's. It leaves the reason empty where the rules do not give
// the kernel's answer: then there is another one.
func (e *Event) ExplainMap(f MapFacts, parent idmap.Map) {
	a := &e.Args
	kind := idmap.UID
	switch {
	case !e.Failed() || a.Reason != "" || a.Truncated:
		return
	case a.File == "gid_map":
		kind = idmap.GID
	case a.File == "setgroups":
		a.Reason = explainSetgroups(e, f)
		return
	case a.File != "uid_map":
		return
	}
	m, err := idmap.Parse(strings.NewReader(a.Content))
	if err != nil {
		if e.Errno == "EINVAL" {
			a.Reason = "not an id map: " + err.Error()
		}
		return
	}
	if problems := idmap.Validate(m, f.writer(kind, a, parent)); len(problems) > 0 && problems[0].Errno == e.Errno {
		a.Reason = problems[0].Detail
	}
}

func (f *MapFacts) writer(kind idmap.Kind, a *Args, parent idmap.Map) idmap.Writer {
	has := func(bit int) bool { return f.Caps>>bit&1 != 0 }
	outside, inside := f.OpenerNS == a.ParentNS, f.OpenerNS == a.TargetNS
	// In the parent's ids, as a map that is written is.
	in := func(id idmap.Kernel) idmap.Kernel { return idmap.Kernel(parent.ToInside(id)) }
	w := idmap.Writer{
		Kind: kind, EUID: in(f.EUID), EGID: in(f.EGID), Owner: in(f.Owner), Parent: parent,
		CapSysAdmin:    (outside || inside) && has(capSysAdmin) || outside && f.EUID == f.Owner,
		CapSetID:       outside && has(capSetUID),
		CapSetFCAP:     outside && has(capSetFCAP) || inside && f.ParentSetcap,
		Setgroups:      "deny",
		AlreadyWritten: f.UIDWritten,
		Elsewhere:      !outside && !inside,
	}
	if kind == idmap.GID {
		w.CapSetID, w.AlreadyWritten = outside && has(capSetGID), f.GIDWritten
	}
	if f.Setgroups {
		w.Setgroups = "allow"
	}
	return w
}

// explainSetgroups is proc_setgroups_write of kernel/user_namespace.c.
func explainSetgroups(e *Event, f MapFacts) string {
	text := strings.TrimRight(e.Args.Content, " \t\n")
	switch {
	case text != "allow" && text != "deny":
		return "the file takes only allow and deny"
	case text == "allow" && !f.Setgroups && e.Errno == "EPERM":
		return "setgroups is denied already, which cannot be undone"
	case text == "deny" && f.GIDWritten && e.Errno == "EPERM":
		return "the gid map is written already"
	}
	return ""
}

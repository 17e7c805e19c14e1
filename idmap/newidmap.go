package idmap

import (
	"fmt"
	"slices"
	"strings"
)

// newidmap is what newuidmap or newgidmap asks before it writes (newuidmap(1), src/newuidmap.c of shadow).
func (w Writer) newidmap(m Map) []Problem {
	n := w.Newidmap
	name, file, setid := "newuidmap", "/etc/subuid", "CAP_SETUID"
	own := w.EUID
	if w.Kind == GID {
		name, file, setid = "newgidmap", "/etc/subgid", "CAP_SETGID"
		own = w.EGID
	}
	if !n.Installed {
		return []Problem{{Rule: RuleNewidmapMissing, Detail: name + " is not installed", Accepted: "the package uidmap (shadow-utils)"}}
	}
	var problems []Problem
	if n.LoginGroup != w.EGID {
		problems = append(problems, Problem{
			Rule:   RuleNewidmapGroup,
			Detail: fmt.Sprintf("%s serves a user only in its login group %v, not in group %v", name, n.LoginGroup, w.EGID),
		})
	}
	for _, e := range m {
		want := e.outside()
		if want.empty() || e.Count == 1 && e.Outside == own || granted(n.Grants, want) {
			continue
		}
		problems = append(problems, Problem{
			Rule:     RuleNotGranted,
			Detail:   fmt.Sprintf("outside %s of %v is not granted by %s to uid %v", rangesText(notGranted(n.Grants, want)), e, file, w.EUID),
			Accepted: grantsAccepted(n.Grants, own),
			Extents:  []Extent{e},
		})
	}
	if w.needsPrivileges(m) {
		problems = append(problems, n.privileges(name, setid)...)
	}
	return problems
}

// needsPrivileges reports whether the kernel takes m only from a newuidmap that has more than its caller.
func (w Writer) needsPrivileges(m Map) bool {
	caller := w
	// newgidmap writes deny to setgroups unless a range comes from a grant.
	if w.Kind == GID && !slices.ContainsFunc(m, func(e Extent) bool { return granted(w.Newidmap.Grants, e.outside()) }) {
		caller.Setgroups = "deny"
	}
	caller.CapSetFCAP = true // its own rule
	return len(caller.mayMap(m)) > 0
}

func (n *Newidmap) privileges(name, setid string) []Problem {
	switch {
	case n.NoNewPrivs:
		return []Problem{{
			Rule: RuleNoNewPrivs, Errno: eperm,
			Detail: fmt.Sprintf("no_new_privs is set, so %s gets no privileges", name),
		}}
	case !n.SetID && !n.FileCaps:
		return []Problem{{
			Rule: RuleNewidmapPrivs, Errno: eperm,
			Detail:   fmt.Sprintf("%s is neither set-user-ID root nor has it the file capability %s", name, strings.ToLower(setid)),
			Accepted: fmt.Sprintf("%s installed set-user-ID root on a mount without nosuid", name),
		}}
	}
	return nil
}

// throughNewidmap is the Writer that the kernel then sees: newuidmap with its caller's effective uid and the one
// capability it needs, and CAP_SETFCAP when it is to map the parent's root.
func (w Writer) throughNewidmap() Writer {
	n := w.Newidmap
	w.CapSysAdmin = w.CapSysAdmin || w.EUID == w.Owner && w.EUID.Mapped()
	w.CapSetFCAP = w.CapSetFCAP || !n.NoNewPrivs && (n.SetID || n.FileSetFCAP)
	// Where it has no CAP_SETUID and needs it, newidmap has told so.
	w.CapSetID = true
	w.Newidmap = nil
	return w
}

func grantsAccepted(grants []Grant, own Kernel) string {
	var ranges []string
	for _, g := range grants {
		ranges = append(ranges, g.span().String())
	}
	var ways []string
	if len(ranges) > 0 {
		ways = append(ways, "outside ids within "+strings.Join(ranges, ", "))
	}
	if own.Mapped() {
		ways = append(ways, "outside "+own.String()+" alone")
	}
	return strings.Join(ways, "; ")
}

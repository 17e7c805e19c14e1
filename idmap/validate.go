package idmap

import (
	"cmp"
	"fmt"
	"slices"
)

// DefaultPageSize is the page size of amd64, and what [Validate] assumes when it is told none.
const DefaultPageSize = 4096

// Writer is who is to write a map, and what is known about the user namespace it is for. Every id is one of the parent
// of that namespace: in a map that is to be written the outside ids are the parent's. The zero Writer may write
// nothing.
//
// What counts are the credentials that opened the file, credentials(7) of the process that calls open(2) on
// /proc/PID/uid_map.
type Writer struct {
	Kind Kind // UID for uid_map, GID for gid_map

	EUID  Kernel // effective uid
	EGID  Kernel // effective gid
	Owner Kernel // owner uid of the namespace: its creator's effective uid

	// Parent is the parent's own map of that Kind, as the kernel lists it: not normalised, since an extent must not
	// cross its extents. Identity() for the initial user namespace.
	Parent Map

	CapSysAdmin bool // CAP_SYS_ADMIN over the namespace: its owner in the parent has it, and root inside
	CapSetID    bool // CAP_SETUID (for GID: CAP_SETGID) in the parent; nobody inside has it

	// CapSetFCAP is CAP_SETFCAP in the parent, needed to map the parent's uid 0 (Linux 5.12). For a writer inside: its
	// creator had it when it made the namespace.
	CapSetFCAP bool

	Setgroups      string // the namespace's /proc/PID/setgroups, "allow" or "deny"; asked for GID only
	AlreadyWritten bool   // the namespace already has a map of that Kind
	Elsewhere      bool   // the writer is neither in the namespace nor in its parent

	PageSize int // of the kernel; 0 is DefaultPageSize

	// Newidmap is set when the map is written through newuidmap(1) (for GID: newgidmap(1)), for the Writer's own user.
	Newidmap *Newidmap
}

// Newidmap is what is known about newuidmap or newgidmap and what it would do for its caller. The caller's real ids are
// taken to be the Writer's EUID and EGID, and those of the process whose map is written.
type Newidmap struct {
	Installed   bool
	SetID       bool    // set-user-ID root, on a mount without nosuid, and root's capabilities are in the bounding set
	FileCaps    bool    // or its file capabilities have cap_setuid (cap_setgid)
	FileSetFCAP bool    // and cap_setfcap
	NoNewPrivs  bool    // the caller has no_new_privs set
	LoginGroup  Kernel  // the caller's group in /etc/passwd, which its real gid must be
	Grants      []Grant // the caller's, from /etc/subuid (/etc/subgid)
}

// Validate lists every reason why m would not be accepted from w, the first one being what the kernel would answer.
// There is none exactly when the kernel takes the map.
func Validate(m Map, w Writer) []Problem {
	var problems []Problem
	if w.Newidmap != nil {
		problems = w.newidmap(m)
		w = w.throughNewidmap()
	}
	problems = append(problems, w.mayWrite(m)...)
	problems = append(problems, shape(m)...)
	problems = append(problems, w.mayMap(m)...)
	return append(problems, w.inParent(m)...)
}

// mayWrite is what map_write() asks before it looks at the map.
func (w Writer) mayWrite(m Map) []Problem {
	var problems []Problem
	if w.Elsewhere {
		problems = append(problems, Problem{
			Rule: RuleElsewhere, Errno: eperm,
			Detail: "the writer is neither in the user namespace nor in its parent",
		})
	}
	page := cmp.Or(w.PageSize, DefaultPageSize)
	if size := len(m.Format()); size >= page {
		problems = append(problems, Problem{
			Rule: RuleOverPage, Errno: einval,
			Detail:   fmt.Sprintf("the map is %d bytes long", size),
			Accepted: fmt.Sprintf("one write of at most %d bytes", page-1),
		})
	}
	if w.AlreadyWritten {
		problems = append(problems, Problem{
			Rule: RuleAlreadyWritten, Errno: eperm,
			Detail: fmt.Sprintf("the user namespace already has a %s_map, and it can be written only once", w.Kind),
		})
	}
	if !w.CapSysAdmin {
		problems = append(problems, Problem{
			Rule: RuleNoSysAdmin, Errno: eperm,
			Detail:   "the writer has no CAP_SYS_ADMIN over the user namespace",
			Accepted: fmt.Sprintf("its owner (uid %v) writing from the parent, or root inside", w.Owner),
		})
	}
	return problems
}

// shape is what every map must be, whoever writes it.
func shape(m Map) []Problem {
	var problems []Problem
	add := func(rule Rule, detail string, extents ...Extent) {
		problems = append(problems, Problem{Rule: rule, Errno: einval, Detail: detail, Extents: extents})
	}
	sound := make(Map, 0, len(m))
	for _, e := range m {
		in, out := uint64(e.Inside)+uint64(e.Count), uint64(e.Outside)+uint64(e.Count)
		switch {
		case !e.Inside.Mapped() || !e.Outside.Mapped():
			add(RuleInvalidID, fmt.Sprintf("%d:%d:%d begins with 4294967295, which is not an id", e.Inside, e.Outside, e.Count), e)
		case e.Count == 0:
			add(RuleZeroCount, fmt.Sprintf("%v has no ids", e), e)
		case in > invalid:
			add(RuleWrap, fmt.Sprintf("%v runs over the last inside id, 4294967294", e), e)
		case out > invalid:
			add(RuleWrap, fmt.Sprintf("%v runs over the last outside id, 4294967294", e), e)
		default:
			sound = append(sound, e)
		}
	}
	overlaps(sound, Extent.inside, func(a, b Extent, s span) {
		add(RuleOverlapInside, fmt.Sprintf("%v and %v both have inside %s", a, b, s), a, b)
	})
	overlaps(sound, Extent.outside, func(a, b Extent, s span) {
		add(RuleOverlapOutside, fmt.Sprintf("%v and %v both have outside %s", a, b, s), a, b)
	})
	if len(m) > MaxExtents {
		problems = append(problems, Problem{
			Rule: RuleTooMany, Errno: einval,
			Detail:   fmt.Sprintf("the map has %d extents", len(m)),
			Accepted: fmt.Sprintf("at most %d extents", MaxExtents),
		})
	}
	if len(m) == 0 {
		problems = append(problems, Problem{Rule: RuleEmpty, Errno: einval, Detail: "the map has no extent"})
	}
	return problems
}

// overlaps finds each extent that has an id which one that begins before it has too.
func overlaps(m Map, side func(Extent) span, found func(a, b Extent, common span)) {
	sorted := slices.SortedStableFunc(slices.Values(m), func(a, b Extent) int { return cmp.Compare(side(a).lo, side(b).lo) })
	for i, furthest := 1, 0; i < len(sorted); i++ {
		if common := side(sorted[furthest]).and(side(sorted[i])); !common.empty() {
			found(sorted[furthest], sorted[i], common)
		}
		if side(sorted[i]).hi > side(sorted[furthest]).hi {
			furthest = i
		}
	}
}

// mayMap is new_idmap_permitted() with verify_root_map(): which ids the writer may give away.
func (w Writer) mayMap(m Map) []Problem {
	var problems []Problem
	add := func(rule Rule, detail, accepted string, extents ...Extent) {
		problems = append(problems, Problem{Rule: rule, Errno: eperm, Detail: detail, Accepted: accepted, Extents: extents})
	}
	for _, e := range m {
		if w.Kind == UID && e.Outside == 0 && !w.CapSetFCAP {
			add(RuleParentRoot, "the parent's uid 0 can be mapped only with CAP_SETFCAP in the parent (Linux 5.12)", "outside ids from 1 on", e)
		}
	}
	if w.CapSetID || len(m) == 0 {
		return problems
	}
	own, setid := w.EUID, "CAP_SETUID"
	if w.Kind == GID {
		own, setid = w.EGID, "CAP_SETGID"
	}
	alone := fmt.Sprintf("%d:%v:1, or %s in the parent user namespace", m[0].Inside, own, setid)
	if len(m) > 1 {
		add(RuleSeveralExtents, fmt.Sprintf("a writer without %s may write one extent only", setid), alone)
	}
	for _, e := range m {
		switch {
		case e.Count > 1:
			add(RuleSeveralIDs, fmt.Sprintf("a writer without %s may map one id only, %v has %d", setid, e, e.Count), alone, e)
		case e.Outside != own || !own.Mapped():
			add(RuleNotOwnID, fmt.Sprintf("a writer without %s may map only its own %s %v, not %v", setid, w.Kind, own, e.Outside), alone, e)
		}
	}
	if w.EUID != w.Owner || !w.EUID.Mapped() {
		add(RuleNotOwner, fmt.Sprintf("the user namespace belongs to uid %v, the writer is uid %v", w.Owner, w.EUID), "")
	}
	if w.Kind == GID && w.Setgroups != "deny" {
		add(RuleSetgroups, fmt.Sprintf("a writer without %s must first write deny to /proc/PID/setgroups", setid), "")
	}
	return problems
}

// inParent is map_id_range_down(): each extent must lie in one extent of the parent.
func (w Writer) inParent(m Map) []Problem {
	var problems []Problem
	for _, e := range m {
		want := e.outside()
		if want.empty() || w.parentExtent(want) {
			continue
		}
		missing := want.without(w.Parent.insides())
		p := Problem{
			Rule: RuleOutsideUnmapped, Errno: eperm,
			Detail:   fmt.Sprintf("outside %s of %v is not mapped in the parent user namespace", rangesText(missing), e),
			Accepted: "outside ids within " + insideRanges(w.Parent),
			Extents:  []Extent{e},
		}
		if len(missing) == 0 {
			p.Rule = RuleCrossesParent
			p.Detail = fmt.Sprintf("outside %s of %v crosses extents of the parent user namespace's map", want, e)
			p.Accepted = "extents that each lie in one of " + insideRanges(w.Parent)
		}
		problems = append(problems, p)
	}
	return problems
}

func (w Writer) parentExtent(want span) bool {
	return slices.ContainsFunc(w.Parent, func(p Extent) bool { return p.inside().contains(want) })
}

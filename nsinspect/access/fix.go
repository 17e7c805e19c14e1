package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect/shell"
)

// Fixes are the smallest changes known that would have a denied operation allowed, those that open least first. Each is
// proven: its changes are made to a copy of the facts, and [Decide] allows the operation on them. Where one change only
// uncovers the next denial (two directories that may not be searched), a fix has the commands of all. A denial that no
// permission decides, such as a name that is missing, has none. None of the arguments is changed.
//
// Commands are for a root shell of the observer, or for that of the user whose rootless podman it is, and can be run as
// they are. Ids in them are those of the side on which they are carried out. What only an engine can change, with options
// that nsview does not know all of, is a sentence ([Fix.How]) and no command. A fix is not proven where its changes hinge on a fact that could not be seen; its title
// names that fact.
func Fixes(s *Subject, w *Walk, op Operation, v Verdict) []Fix {
	fixes := []Fix{}
	if v.Verdict != Deny {
		return fixes
	}
	var found []solution
	for _, c := range candidates(s, w, op, v, "") {
		if so, ok := pursue(s, w, op, v, c); ok {
			found = append(found, so)
		}
	}
	slices.SortStableFunc(found, func(a, b solution) int {
		return cmp.Or(-cmp.Compare(truth(a.fix.Proven), truth(b.fix.Proven)), cmp.Compare(a.rank, b.rank),
			cmp.Compare(truth(a.fix.Restart), truth(b.fix.Restart)), cmp.Compare(len(a.fix.Commands), len(b.fix.Commands)))
	})
	seen := make(map[string]bool)
	for _, so := range found {
		key := strings.Join(append(slices.Clone(so.fix.Commands), so.fix.How), "\n")
		if !seen[key] {
			seen[key] = true
			fixes = append(fixes, so.fix)
		}
	}
	return fixes
}

// Unseen is for want of which fact [Fixes] can try nothing for a denial, "" when it is not that: behind a directory that
// the observer may not search either nothing is known, so that no change there can be shown to be enough.
func Unseen(w *Walk, v Verdict) string {
	if v.Verdict != Deny || !permission(v.Rule) {
		return ""
	}
	for ; w != nil; w = w.New {
		if w.Missing != "" {
			return w.Missing
		}
	}
	return ""
}

// kind is what sort of change one is; a fix of several changes has one sort as far as possible.
type kind string

// rank orders changes by how much they open: a permission for one user, for a group, an ownership, another subject, for
// all, for the whole host, a capability.
type rank int

const (
	rankSelf   rank = iota + 1 // opens nothing to anyone else
	rankUser                   // to one user
	rankGroup                  // to the members of a group
	rankOwner                  // ownership changes hands
	rankFlag                   // a flag of one mount or file
	rankMember                 // the subject joins a group
	rankAs                     // the subject is another user
	rankMap                    // a whole mount or a whole user namespace gets other ids
	rankOther                  // to everyone
	rankSuper                  // a flag of a whole file system
	rankHost                   // a setting of the host
	rankCap                    // a capability
	rankRoot                   // the container's root
)

// change is one change of the facts, and the commands that make it.
type change struct {
	kind     kind
	rank     rank
	title    string
	commands []string
	how      string // what an engine is to be told, "" when the commands do it all
	opens    string
	restart  bool
	doubt    bool                      // it hinges on a fact that could not be seen, which title names
	apply    func(s *Subject, w *Walk) // of a copy, which it may change
	deeds    []deed                    // what the commands do to files, for which root of the observer must be allowed
}

// solution is a proven fix.
type solution struct {
	fix  Fix
	rank rank
}

// maxChanges bounds how many changes one fix may need: a deep path has a change for each directory.
const maxChanges = 12

// pursue makes a change on a copy and, while the operation is still denied by something else, the next one: of the same
// kind where there is one.
func pursue(s *Subject, w *Walk, op Operation, v Verdict, first change) (solution, bool) {
	var made []change
	before, beforeWalk := s, w
	next, ok := first, true
	for ok && len(made) < maxChanges {
		if s, w = copyFacts(s, w); !next.rootMay(s, w) {
			return solution{}, false
		}
		next.apply(s, w)
		made = append(made, next)
		after := Decide(s, w, op)
		switch {
		case after.Verdict == Allow:
			return combine(before, needed(before, beforeWalk, op, made)), true
		case after.Verdict != Deny || !progress(v, after):
			return solution{}, false
		}
		v = after
		next, ok = advance(s, w, op, v, first.kind)
	}
	return solution{}, false
}

// needed leaves out what the rest does without: a change may only have moved the denial elsewhere.
func needed(s *Subject, w *Walk, op Operation, made []change) []change {
	for i := 0; i < len(made) && len(made) > 1; {
		rest := slices.Delete(slices.Clone(made), i, i+1)
		if tried(s, w, op, rest...).Verdict == Allow {
			made = rest
		} else {
			i++
		}
	}
	return made
}

// advance is the first change, of a kind if there is one, that gets past a denial.
func advance(s *Subject, w *Walk, op Operation, v Verdict, preferred kind) (change, bool) {
	list := candidates(s, w, op, v, preferred)
	slices.SortStableFunc(list, func(a, b change) int {
		return cmp.Or(-cmp.Compare(truth(a.kind == preferred), truth(b.kind == preferred)), cmp.Compare(a.rank, b.rank))
	})
	for _, c := range list {
		if after := tried(s, w, op, c); after.Verdict == Allow || after.Verdict == Deny && progress(v, after) {
			return c, true
		}
	}
	return change{}, false
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tried is the verdict after changes.
func tried(s *Subject, w *Walk, op Operation, changes ...change) Verdict {
	s, w = copyFacts(s, w)
	for _, c := range changes {
		if !c.rootMay(s, w) {
			return Verdict{Verdict: Unknown}
		}
		c.apply(s, w)
	}
	return Decide(s, w, op)
}

// progress reports whether a denial is another one than before. More permission on the same file that is still too little
// is none: what is missing there is one change.
func progress(before, after Verdict) bool {
	if before.Component != after.Component {
		return true
	}
	return !(permission(before.Rule) && permission(after.Rule)) && (before.Rule != after.Rule || before.Errno != after.Errno)
}

// permission reports whether a rule is about who may read, write or search.
func permission(r Rule) bool {
	return r.aboutPermission() || strings.HasPrefix(string(r), string(RuleCap)+"CAP_DAC_")
}

// combine makes one fix of changes that are made one after the other, for a subject.
func combine(s *Subject, made []change) solution {
	so := solution{fix: Fix{Proven: true, Commands: []string{}}}
	var titles, opens, how []string
	for _, c := range made {
		titles = append(titles, c.title)
		if c.opens != "" && !slices.Contains(opens, c.opens) {
			opens = append(opens, c.opens)
		}
		so.fix.Commands = append(so.fix.Commands, c.commands...)
		if c.how != "" && !slices.Contains(how, c.how) {
			how = append(how, c.how)
		}
		for _, d := range c.deeds {
			if lasts := untilRestart(s, d.node); lasts != "" && !slices.Contains(how, lasts) {
				how = append(how, lasts)
			}
		}
		so.fix.Restart = so.fix.Restart || c.restart
		so.fix.Proven = so.fix.Proven && !c.doubt
		so.rank = max(so.rank, c.rank)
	}
	so.fix.Title, so.fix.Opens, so.fix.How = strings.Join(titles, ", and "), strings.Join(opens, "; "), strings.Join(how, "; ")
	return so
}

// untilRestart says that what is done to a file lasts only as long as the container runs, "" where it stays.
func untilRestart(s *Subject, n *Node) string {
	if n == nil || n.Mount == nil || n.Mount.Super == nil || n.Mount.Super.FSType != "tmpfs" || s.Container == nil || !placeOf(s, n).same {
		return ""
	}
	return fmt.Sprintf("this lasts until the container is started anew: %s is a tmpfs; to keep it, give that mount the options uid=, gid= or mode=", shell.Arguments(n.Mount.Point))
}

// candidates are the changes that may get past a denial. Not every one does: that is for Decide to say.
func candidates(s *Subject, w *Walk, op Operation, v Verdict, preferred kind) []change {
	p := problem{s: s, w: w, op: op, v: v, node: denied(w, v.Component), preferred: preferred}
	if v.Rule.aboutWhatIsThere() {
		return nil
	}
	switch v.Rule {
	case RuleNotEmpty, RuleXDev, RuleLSM, RuleFS:
		return nil
	}
	var list []change
	for _, offer := range []func(problem) []change{
		permissionChanges, ownerChanges, flagChanges, mountChanges, idmapChanges, sysctlChanges, mapChanges, memberChanges, userChanges, capChanges,
	} {
		list = append(list, offer(p)...)
	}
	return list
}

// problem is a denial that a change is wanted for.
type problem struct {
	s         *Subject
	w         *Walk
	op        Operation
	v         Verdict
	node      *Node // what the check was about, nil when it is not in the walk
	preferred kind  // "" for any
}

// gets reports whether a change gets past the denial.
func (p *problem) gets(c change) bool {
	after := tried(p.s, p.w, p.op, c)
	return after.Verdict == Allow || after.Verdict == Deny && progress(p.v, after)
}

package access

import (
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// Decide says whether the kernel lets the subject do an operation on the path of a walk. It does no I/O and changes none
// of its arguments: decide again on changed facts to see what a change would do.
func Decide(s *Subject, w *Walk, op Operation) Verdict {
	return DecideWithout(RuleNone, s, w, op)
}

// DecideWithout is Decide by an engine that lacks one rule: where that rule would deny, it goes on, or allows when there is
// nothing to go on with. A rule about a capability ("cap:CAP_CHOWN") is also what that allows: it does not count for a
// subject that has it. It is for tests which show that every rule is needed.
func DecideWithout(rule Rule, s *Subject, w *Walk, op Operation) Verdict {
	j := run(rule, s, w, op)
	if j.v.Verdict == Unknown {
		if agreed := j.settleDoubt(0); agreed != nil {
			j = agreed
		}
	}
	j.finish()
	j.v.Explanation = explain(s, w, op, &j.v)
	return j.v
}

// run decides on the facts as they are.
func run(rule Rule, s *Subject, w *Walk, op Operation) *judge {
	j := &judge{s: s, w: w, op: op, host: w.Host, without: rule, euid: s.Cred.UID.Effective}
	j.noCaps = leftOut(rule) & (s.Cred.CapEff | s.Cred.CapPrm)
	j.caps = s.Cred.CapEff &^ j.noCaps
	j.fsuid, j.fsgid = s.Cred.UID.FS, s.Cred.GID.FS
	j.v = Verdict{
		Target: s.Target, Op: string(op.Op), Args: op.Args, Path: w.Path, Verdict: Allow,
		Steps: make([]Step, 0, 2*len(w.Steps)+4), Fixes: []Fix{}, Assumptions: []string{},
	}
	j.decide()
	j.settle()
	return j
}

// judge is one decision under way. Its checks record a [Step] each and return whether the kernel would go on.
type judge struct {
	s       *Subject
	w       *Walk
	op      Operation
	host    *Host
	ns      *UserNS // the subject's
	without Rule
	noCaps  uint64 // that the subject has and that do not count, since without is about them

	// The credentials that are checked: access(2) takes others than the rest.
	fsuid, fsgid, euid idmap.Kernel
	caps               uint64
	everyGroup         bool // to see whether it matters which groups it is in

	doubts []*Node // whose missing facts ended the decision
	hinges []Step  // facts that are missing and do not matter when a later check denies

	v Verdict
}

// leftOut is the capability that a rule is about.
func leftOut(rule Rule) uint64 {
	name, ok := strings.CutPrefix(string(rule), string(RuleCap))
	if !ok {
		return 0
	}
	return CapSet([]string{name})
}

func (j *judge) decide() {
	if j.host == nil {
		j.unknown(j.w.Path, RuleNone, "the facts of the host")
		return
	}
	j.ns = j.host.UserNS[j.s.UserNS]
	if j.ns == nil {
		j.unknown(j.w.Path, RuleNone, "the user namespace of "+j.s.Target)
		return
	}
	if !j.host.InitialNS && (!j.fsuid.Mapped() || !j.fsgid.Mapped()) {
		j.unknown(j.w.Path, RuleNone, "the ids of "+j.s.Target+", which are not mapped for nsview")
		return
	}
	switch j.op.Op {
	case OpLookup, OpLstat, OpChdir, OpReadlink:
		j.look()
	case OpRead, OpWrite, OpRdwr, OpAppend, OpOpentrunc, OpNoatime, OpOpencreat, OpCreate:
		j.open()
	case OpExec:
		j.exec()
	case OpMkdir, OpMkfifo, OpMknod, OpWhiteout, OpSymlink:
		j.make()
	case OpUnlink, OpRmdir:
		j.remove()
	case OpRename, OpNoreplace, OpExchange:
		j.rename()
	case OpLink:
		j.link()
	case OpTruncate:
		j.truncate()
	case OpChmod:
		j.chmod()
	case OpChown, OpLchown:
		j.chown()
	case OpTouch, OpUtimes:
		j.utimes()
	case OpSetxattr, OpGetxattr, OpGetACL:
		j.xattr()
	case OpAccess, OpEaccess:
		j.access()
	case OpConnect:
		j.connect()
	default:
		j.unknown(j.w.Path, RuleNone, "what "+string(j.op.Op)+" is")
	}
}

// pass records a check that lets the operation go on.
func (j *judge) pass(n *Node, rule Rule, detail string) bool {
	j.v.Steps = append(j.v.Steps, Step{Component: n.Path, Rule: rule, Result: Allow, Detail: detail})
	j.v.Rule, j.v.Component, j.v.HostPath = rule, n.Path, n.Host
	return true
}

// deny records the check that decides.
func (j *judge) deny(n *Node, rule Rule, errno Errno, detail string) bool {
	return j.denyAt(n.Path, n.Host, rule, errno, detail)
}

// denyAt is deny for a path where no file is.
func (j *judge) denyAt(path, host string, rule Rule, errno Errno, detail string) bool {
	if rule != RuleNone && rule == j.without && j.noCaps == 0 {
		return !rule.aboutWhatIsThere() // without a file there is nothing to go on with
	}
	j.v.Steps = append(j.v.Steps, Step{Component: path, Rule: rule, Result: Deny, Errno: errno, Detail: detail})
	j.v.Verdict, j.v.Errno, j.v.Rule, j.v.Component, j.v.HostPath = Deny, errno, rule, path, host
	return false
}

// unknown ends the decision for want of a fact.
func (j *judge) unknown(path string, rule Rule, missing string) bool {
	j.v.Steps = append(j.v.Steps, Step{Component: path, Rule: rule, Result: Unknown, Detail: missing})
	j.v.Verdict, j.v.Rule, j.v.Component, j.v.Missing = Unknown, rule, path, missing
	return false
}

// hinge notes that the answer, should nothing deny it, depends on a fact that is missing: a check that could not be made
// would have to let it pass, which fails with errno if it does not, or what decides by itself would have to agree.
func (j *judge) hinge(path string, rule Rule, errno Errno, missing string) {
	if slices.ContainsFunc(j.hinges, func(h Step) bool { return h.Detail == missing }) {
		return
	}
	j.hinges = append(j.hinges, Step{Component: path, Rule: rule, Result: Unknown, Errno: errno, Detail: missing})
}

// settle is what has been hinged on: an allow becomes unknown. So does a refusal of which the error would be another if the
// check had been made. What decides by itself and could refuse earlier, with whatever error, is noted.
func (j *judge) settle() {
	if j.v.Verdict == Unknown {
		return
	}
	for _, h := range j.hinges {
		if j.v.Verdict == Allow || h.Errno != "" && h.Errno != j.v.Errno {
			j.unknown(h.Component, h.Rule, h.Detail)
			j.v.Errno = ""
			return
		}
		if h.Errno == "" {
			j.assume("nothing is refused earlier: " + h.Detail + " could not be told")
		}
	}
}

// assume notes a fact that could not be seen and that the answer relies on.
func (j *judge) assume(what string) {
	if !slices.Contains(j.v.Assumptions, what) {
		j.v.Assumptions = append(j.v.Assumptions, what)
	}
}

// inGroup is in_group_p() (kernel/groups.c). Groups that are not mapped in the subject's namespace count as well.
func (j *judge) inGroup(id idmap.Kernel) bool {
	return id.Mapped() && (j.everyGroup || id == j.fsgid || slices.Contains(j.s.Cred.Groups, id))
}

// finish adds what could still deny although no check of this procedure does.
func (j *judge) finish() {
	for _, a := range j.s.Assumptions {
		j.assume(a)
	}
	for _, a := range j.w.Assumptions {
		j.assume(a)
	}
	if j.v.Verdict != Allow || j.host == nil {
		return
	}
	switch list := activeLSMs(j.host.LSMs); {
	case j.host.LSMs == nil:
		j.assume("no security module denies it: which are active could not be read")
	case list != "":
		j.assume("the security modules do not deny it: " + list)
	}
	if j.s.Cred.Seccomp == 2 {
		j.assume("the target's seccomp filter lets the system call pass")
	}
}

// activeLSMs are the modules that may deny access to files beyond this procedure.
func activeLSMs(list []string) string {
	out := ""
	for _, name := range list {
		switch name {
		case "capability", "yama", "lockdown", "safesetid", "loadpin", "integrity", "ima", "evm":
			continue
		}
		if out != "" {
			out += ", "
		}
		out += name
	}
	return out
}

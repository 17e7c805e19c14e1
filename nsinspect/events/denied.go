package events

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// Denied is the type of events that --denied shows: a file system call that failed with EACCES, EPERM, EOVERFLOW or EROFS.
const Denied Type = "denied"

// Denial is what a refused file system call asked for, what the kernel told of its reason, and what nsview makes of it.
type Denial struct {
	// Ops are the operations of package access that the call stands for, each with its arguments; more than one where a call
	// asks for more than one thing, none where there is no such operation.
	Ops [][]string `json:"-"`
	Why string     `json:"-"` // of none

	Root    Root  `json:"-"` // of the process
	Base    Begun `json:"-"` // of Args.Path
	NewBase Begun `json:"-"` // of Args.New

	Groups []idmap.Kernel `json:"-"` // supplementary groups of the thread, on the observer's side
	Cut    bool           `json:"-"` // it has more of them than Groups

	// Refused is the capabilities that the kernel asked for and did not find, in the user namespace AskedIn; Check is the
	// functions that asked for the last one, innermost first. Empty where none was asked, or the kernel does not tell.
	Refused []string        `json:"refused_caps,omitempty"`
	AskedIn nsinspect.Inode `json:"asked_in_user_ns,omitempty"`
	Check   []string        `json:"kernel_check,omitempty"`

	Verdict     access.Answer `json:"verdict"` // of nsview
	VerdictOf   access.Errno  `json:"verdict_errno"`
	Rule        access.Rule   `json:"rule"`
	Component   string        `json:"component"`
	Explanation string        `json:"explanation"`
	Agreement   Agreement     `json:"agreement"`
	Difference  string        `json:"difference,omitempty"` // in what they differ, or why that cannot be told
}

// Root is the root directory of a process: the id of its mount, and its inode, 0 where it is the root of that mount.
type Root struct {
	Mount int
	Inode uint64
}

// Begun is where the lookup of a path began that is shown from the root: in the working directory, or at a descriptor.
type Begun struct {
	Names int // the names before it, which the call did not look up
	Mount int // the id of its mount
}

// Agreement says whether the kernel and nsview say the same.
type Agreement string

// The agreements.
const (
	Agree    Agreement = "agree"
	Disagree Agreement = "disagree"
	Unknown  Agreement = "unknown" // nsview has no answer
)

// Shorten leaves out of a walk of Args.Path (and Args.New) what the call did not look up. It reports whether the walk leads
// where the call began: the directories above may have been moved since, or something was mounted there before the call.
func (d *Denial) Shorten(w *access.Walk) bool {
	return skip(w, d.Base) && (w.New == nil || skip(w.New, d.NewBase))
}

func skip(w *access.Walk, b Begun) bool {
	names := b.Names
	if names == 0 {
		return true
	}
	if len(w.Steps) < names {
		return false
	}
	for i := range w.Steps[:names] {
		if s := &w.Steps[i]; s.Followed || s.Found == nil {
			return false
		}
	}
	w.Start, w.Steps = w.Steps[names-1].Found, w.Steps[names:]
	return w.Start.Mount != nil && w.Start.Mount.ID == b.Mount
}

// Judge compares nsview's verdict with what the kernel did. The kernel is right: a difference is a fact to be reported.
func (e *Event) Judge(v *access.Verdict) {
	d := e.Denial
	d.Verdict, d.VerdictOf, d.Rule, d.Component, d.Explanation = v.Verdict, v.Errno, v.Rule, v.Component, v.Explanation
	d.Agreement = Agree
	switch {
	case v.Verdict == access.Unknown:
		d.Agreement, d.Difference = Unknown, v.Missing
	case v.Verdict == access.Allow:
		d.Agreement, d.Difference = Disagree, fmt.Sprintf("the kernel answered %s, nsview would allow it", e.Errno)
	case string(v.Errno) != e.Errno:
		d.Agreement, d.Difference = Disagree, fmt.Sprintf("the kernel answered %s, nsview %s", e.Errno, v.Errno)
	case !d.capsFit():
		d.Agreement = Disagree
		d.Difference = fmt.Sprintf("the kernel asked for %s, which is not what decides %s", strings.Join(d.Refused, " and "), v.Rule)
	}
}

// tick is how far behind the times of files are at most: many file systems have that of the last timer interrupt
// (current_time() in fs/inode.c, CONFIG_HZ is 100 or more).
const tick = 10 * time.Millisecond

// Doubt takes a disagreement back where something that nsview saw on the walk has been changed since the call: then what the
// kernel decided on is not known.
func (e *Event) Doubt(w *access.Walk) {
	if e.Denial.Agreement != Disagree {
		return
	}
	for ; w != nil; w = w.New {
		for i := range w.Steps {
			l := &w.Steps[i]
			for _, n := range []*access.Node{l.Dir, l.Found, l.End} {
				if n == nil || n.Changed.Before(e.Time.Add(-tick)) {
					continue
				}
				// Names come and go in a directory; that counts where one is missing.
				if n.Type == access.Directory && n.Changed.Equal(n.Written) && (n != l.Dir || l.Found != nil) {
					continue
				}
				e.Denial.Agreement = Unknown
				e.Denial.Difference += ", but " + n.Path + " has been changed since"
				return
			}
		}
	}
}

// Unjudged says why nsview has no verdict.
func (e *Event) Unjudged(why string) {
	e.Denial.Verdict, e.Denial.Agreement, e.Denial.Difference = access.Unknown, Unknown, why
}

// capsFit reports whether the capability that the kernel missed last is one that would have changed what the rule decided.
// Where the kernel asked for none, or the rule knows of none, there is nothing to compare.
func (d *Denial) capsFit() bool {
	if len(d.Refused) == 0 {
		return true
	}
	last := d.Refused[len(d.Refused)-1]
	if name, ok := strings.CutPrefix(string(d.Rule), string(access.RuleCap)); ok {
		return name == last
	}
	switch d.Rule {
	case access.RuleModeOwner, access.RuleModeGroup, access.RuleModeOther, access.RuleACLUser, access.RuleACLGroup, access.RuleACLMask, access.RuleACLOther:
		return slices.Contains([]string{"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"}, last)
	case access.RuleNotOwner, access.RuleSticky, access.RuleProtectedHardlinks, access.RuleSUIDKill:
		return slices.Contains([]string{"CAP_FOWNER", "CAP_CHOWN", "CAP_FSETID"}, last)
	}
	return true
}

// deniedCall is the call of a denial and its error.
func (e *Event) deniedCall() string {
	second := ""
	if e.Args.New != "" {
		second = ", " + quoteAny(e.Args.New)
	}
	return fmt.Sprintf("%s(%s%s) = %s", e.Name, quoteAny(e.Args.Path), second, e.Errno)
}

// deniedText is the call of a denial and what nsview makes of it.
func (e *Event) deniedText() string {
	d := e.Denial
	var b strings.Builder
	b.WriteString(e.deniedCall())
	if d.Explanation != "" {
		fmt.Fprintf(&b, "  %s", safe(d.Explanation))
	}
	if len(d.Refused) > 0 {
		fmt.Fprintf(&b, "; the kernel asked for %s in user:%v", strings.Join(d.Refused, ", "), d.AskedIn)
		if len(d.Check) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(d.Check[:min(len(d.Check), 3)], " < "))
		}
	}
	switch d.Agreement {
	case Disagree:
		fmt.Fprintf(&b, "; DISAGREEMENT: %s", safe(d.Difference))
	case Unknown:
		fmt.Fprintf(&b, "; unknown: %s", safe(d.Difference))
	}
	return b.String()
}

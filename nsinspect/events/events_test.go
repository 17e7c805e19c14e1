package events

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// story makes events of lines, a millisecond apart.
type story struct {
	n    int
	host nsinspect.NamespaceSet
}

func newStory() *story {
	return &story{host: nsinspect.NamespaceSet{User: 1, PID: 2, PIDForChildren: 2, Mnt: 3, Net: 4, UTS: 5, IPC: 6, Cgroup: 7, Time: 8, TimeForChildren: 8}}
}

func (s *story) event(pid int, t Type, name string, change func(*Event)) *Event {
	s.n++
	e := &Event{Time: time.Unix(0, 0).Add(time.Duration(s.n) * time.Millisecond), PID: pid, TID: pid, InsidePID: pid, Comm: "c", Type: t, Name: name, Before: s.host, Namespaces: s.host}
	change(e)
	return e
}

func (s *story) born(maker, child int) *Event {
	return s.event(maker, Clone, "clone", func(e *Event) { e.Args.Child, e.Args.ChildInside, e.Args.ChildParent = child, child, maker })
}

func (s *story) exit(pid int) *Event {
	return s.event(pid, Exit, "exit", func(*Event) {})
}

func (s *story) exec(pid int, ns nsinspect.NamespaceSet, argv ...string) *Event {
	return s.event(pid, Exec, "exec", func(e *Event) { e.Before, e.Namespaces, e.Args.Argv, e.Args.Path = ns, ns, argv, argv[0] })
}

func TestFollowerKnowsDescendantsAndWhoEnters(t *testing.T) {
	s := newStory()
	f := Follow(10)
	f.AddNamespace(99)
	enters := s.event(30, Setns, "setns", func(e *Event) { e.Namespaces.UTS = 99 })
	refused := s.event(31, Setns, "setns", func(e *Event) { e.Errno = "EPERM" })
	for _, c := range []struct {
		e    *Event
		want bool
	}{
		{s.exec(20, s.host, "x"), false},
		{s.born(10, 11), true},
		{s.born(11, 12), true},
		{s.exit(11), true},
		{s.exec(12, s.host, "x"), true}, // its parent has ended
		{s.born(20, 11), false},         // the PID is used again, by somebody else
		{s.exec(11, s.host, "x"), false},
		{s.exec(30, s.host, "x"), false},
		{enters, true},
		{s.exec(30, s.host, "x"), true},
		{refused, false},
	} {
		if got := f.Wants(c.e); got != c.want {
			t.Errorf("%d %s: %v", c.e.PID, c.e.Text(), got)
		}
	}
}

// The number of a namespace's inode is used again as soon as it is gone: each start is one of its own.
func TestSummaryTellsNamespacesOfOneNumberApart(t *testing.T) {
	s, h := newStory(), NewHistory()
	inner := s.host
	inner.User = 77
	for pid := 10; pid < 13; pid++ {
		h.Add(s.born(9, pid))
		h.Add(s.event(pid, Unshare, "unshare", func(e *Event) { e.Namespaces, e.Flags = inner, []string{"CLONE_NEWUSER"} }))
		h.Add(s.exec(pid, inner, "true"))
		h.Add(s.exit(pid))
	}
	var pids []int
	for _, start := range h.Summary().Starts {
		pids = append(pids, start.PID)
		if !slices.Equal(start.New, []NewNamespace{{nsinspect.User, 77}}) || len(start.Shared) != 7 || !start.Ended {
			t.Errorf("%+v", start)
		}
		var phases []string
		for _, p := range start.Phases {
			phases = append(phases, fmt.Sprintf("%s %v", p.Name, p.Took))
		}
		if diff := cmp.Diff([]string{"namespaces 0s", "command 1ms", "end 1ms"}, phases); diff != "" {
			t.Error(diff)
		}
	}
	if !slices.Equal(pids, []int{10, 11, 12}) {
		t.Errorf("starts of %v", pids)
	}
}

// Who enters a container that was there before starts none; the first process of a PID namespace that was made before the trace
// does.
func TestSummaryTellsEnteredNamespacesFromNew(t *testing.T) {
	for inside, want := range map[int]int{1: 1, 8: 0} {
		s, h := newStory(), NewHistory()
		entered, inner := s.host, s.host
		entered.PIDForChildren = 77
		inner.PID, inner.PIDForChildren = 77, 77
		if inside != 1 {
			h.Add(s.event(10, Setns, "setns", func(e *Event) { e.Namespaces, e.Flags, e.Args.NS = entered, []string{"CLONE_NEWPID"}, 77 }))
		}
		birth := s.born(10, 11)
		birth.Before, birth.Namespaces, birth.Args.ChildInside = entered, inner, inside
		h.Add(birth)
		h.Add(s.exec(11, inner, "id"))
		if starts := h.Summary().Starts; len(starts) != want {
			t.Errorf("born as %d there: %+v", inside, starts)
		}
	}
}

// A busy host starts thousands of programs that have nothing to do with namespaces: what has ended is not kept for ever.
func TestHistoryForgetsWhoHadNothingToDoWithNamespaces(t *testing.T) {
	inner := newStory().host
	inner.Mnt = 77
	for _, everyone := range []bool{false, true} {
		s, h := newStory(), NewHistory()
		h.Everyone = everyone
		h.Know(9, 1, "sh")
		for pid := 10; pid < 1000; pid++ {
			h.Add(s.born(9, pid))
			h.Add(s.event(pid, Exec, "execve", func(e *Event) { e.Errno = "ENOENT" }))
			h.Add(s.exec(pid, s.host, "make"))
			h.Add(s.born(pid, 1000+pid))
			if pid == 20 {
				h.Add(s.event(1000+pid, Unshare, "unshare", func(e *Event) { e.Namespaces, e.Flags = inner, []string{"CLONE_NEWNS"} }))
				h.Add(s.exec(1000+pid, inner, "true"))
			}
			h.Add(s.exit(1000 + pid))
			h.Add(s.exit(pid))
		}
		kept := 0
		h.each(func(*Process) { kept++ })
		want := 3 // sh, make, and its child
		if everyone {
			want = 1 + 2*990
		}
		if kept != want {
			t.Errorf("everyone %v: %d processes are kept, not %d", everyone, kept, want)
		}
		sum := h.Summary()
		if sum.Events != 6*990+2 || sum.Failed != 990 || len(sum.Starts) != 1 || !slices.Equal(sum.Starts[0].By, []string{"sh", "c"}) {
			t.Errorf("everyone %v: %+v", everyone, sum)
		}
	}
}

func TestTextIsSafeOnATerminal(t *testing.T) {
	hostile := "\x1b[31m\u202e\n\"x"
	s := newStory()
	for _, e := range []*Event{
		s.exec(1, s.host, hostile, hostile),
		s.event(1, Name, "prctl", func(e *Event) { e.Args.Name = hostile }),
		s.event(1, Map, "map_write", func(e *Event) { e.Args.Content, e.Args.Reason = hostile, hostile }),
		s.event(1, Setns, "setns", func(e *Event) { e.Args.NS, e.Args.Whose = 9, hostile }),
		s.event(1, Mount, "mount", func(e *Event) {
			e.Args.Source, e.Args.Point, e.Args.FSType, e.Args.Options = hostile, hostile, hostile, hostile
		}),
		s.event(1, Denied, "open", func(e *Event) {
			e.Args.Path, e.Args.New, e.Denial = hostile, hostile, &Denial{Explanation: hostile, Difference: hostile, Agreement: Disagree}
		}),
	} {
		if text := e.Text(); strings.ContainsAny(text, "\x1b\u202e\n") {
			t.Errorf("%q", text)
		}
	}
}

func TestFlagsByName(t *testing.T) {
	for _, c := range []struct{ got, want []string }{
		{CloneFlags(0x20000000 | 0x80), []string{"CLONE_NEWPID", "CLONE_NEWTIME"}},
		{CloneFlags(1 << 40), []string{"0x10000000000"}},
		{MountFlags(0xC0ED0000 | 4096 | 16384), []string{"MS_BIND", "MS_REC"}},
		{UmountFlags(2), []string{"MNT_DETACH"}},
		{MountAttrs(0x100000), []string{"MOUNT_ATTR_IDMAP"}},
		{CloneFlags(0), []string{}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

// The kernel is right, and whatever nsview says otherwise is a difference.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name    string
		errno   string
		refused []string
		verdict access.Verdict
		want    Agreement
	}{
		{"the same", "EACCES", []string{"CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"}, access.Verdict{Verdict: access.Deny, Errno: "EACCES", Rule: access.RuleModeOther}, Agree},
		{"no capability asked", "EROFS", nil, access.Verdict{Verdict: access.Deny, Errno: "EROFS", Rule: access.RuleROMount}, Agree},
		{"allowed", "EPERM", nil, access.Verdict{Verdict: access.Allow}, Disagree},
		{"another error", "EPERM", nil, access.Verdict{Verdict: access.Deny, Errno: "EACCES", Rule: access.RuleModeOther}, Disagree},
		{"another reason", "EPERM", []string{"CAP_MKNOD"}, access.Verdict{Verdict: access.Deny, Errno: "EPERM", Rule: access.RuleNotOwner}, Disagree},
		{"another capability", "EPERM", []string{"CAP_MKNOD"}, access.Verdict{Verdict: access.Deny, Errno: "EPERM", Rule: access.RuleCap + "CAP_CHOWN"}, Disagree},
		{"no answer", "EPERM", nil, access.Verdict{Verdict: access.Unknown, Missing: "x"}, Unknown},
	} {
		e := &Event{Errno: c.errno, Denial: &Denial{Refused: c.refused}}
		e.Judge(&c.verdict)
		if e.Denial.Agreement != c.want || (c.want == Agree) != (e.Denial.Difference == "") {
			t.Errorf("%s: %s, %q", c.name, e.Denial.Agreement, e.Denial.Difference)
		}
	}
}

// A source may learn which namespace a call made only later, from whoever is in it: it is still one that was made.
func TestMadeNamespaceIsKnownLater(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, int64(ms)*int64(time.Millisecond)) }
	host := nsinspect.NamespaceSet{User: 1, PID: 2, PIDForChildren: 2, Mnt: 3, Net: 4}
	unknown := host
	unknown.PIDForChildren, unknown.Mnt, unknown.Net = 0, 0, 0
	later := nsinspect.NamespaceSet{User: 1, PID: 12, PIDForChildren: 12, Mnt: 13, Net: 14}
	born := nsinspect.NamespaceSet{User: 1, PID: 12, PIDForChildren: 12, Mnt: 13}
	h := NewHistory()
	for _, e := range []*Event{
		{Time: at(1), PID: 10, Type: Unshare, Name: "unshare", Flags: []string{"CLONE_NEWPID", "CLONE_NEWNS", "CLONE_NEWNET"}, Before: host, Namespaces: unknown},
		{Time: at(2), PID: 10, Type: Clone, Name: "clone", Before: unknown, Namespaces: born, Args: Args{Child: 11, ChildInside: 1, ChildParent: 10}},
		{Time: at(3), PID: 11, InsidePID: 1, Type: Exec, Name: "exec", Comm: "sh", Before: later, Namespaces: later, Args: Args{Argv: []string{"sh"}}},
	} {
		h.Add(e)
	}
	s := h.Summary()
	if len(s.Starts) != 1 {
		t.Fatalf("starts %+v", s.Starts)
	}
	want := []NewNamespace{{Type: nsinspect.PID, Inode: 12}, {Type: nsinspect.Mnt, Inode: 13}, {Type: nsinspect.Net, Inode: 14}}
	if diff := cmp.Diff(want, s.Starts[0].New); diff != "" {
		t.Errorf("new (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]NewNamespace{{Type: nsinspect.User, Inode: 1}}, s.Starts[0].Shared); diff != "" {
		t.Errorf("shared (-want +got):\n%s", diff)
	}
}

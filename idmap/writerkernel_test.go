package idmap

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// TestValidateKnowsTheWriter asks the kernel about what is wrong with the writer, not with the map.
func TestValidateKnowsTheWriter(t *testing.T) {
	proctest.NeedRoot(t)
	needUserNS(t)
	const uid, gid, other = 54321, 54322, 54323
	boss := startAgent(t, &syscall.SysProcAttr{})
	user := func(caps ...uintptr) *agent {
		return startAgent(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}, AmbientCaps: caps})
	}
	own := Map{{0, uid, 1}}
	facts := Writer{Kind: UID, EUID: uid, EGID: gid, Owner: uid, Parent: Identity(), CapSysAdmin: true, Setgroups: "allow"}

	tests := []struct {
		name    string
		by      *agent
		owner   int // who makes the user namespace
		prepare func(t *testing.T, pid int)
		m       Map
		facts   func(w *Writer)
		want    []Rule
	}{
		{name: "own id", by: user(), owner: uid, m: own},
		{
			name: "already written", by: user(), owner: uid, m: own,
			prepare: func(t *testing.T, pid int) { mustWrite(t, boss, pid, "uid_map", "0 54321 1") },
			facts:   func(w *Writer) { w.AlreadyWritten = true },
			want:    []Rule{RuleAlreadyWritten},
		},
		{
			name: "already written, over a page: the page first", by: user(), owner: uid, m: wide(),
			prepare: func(t *testing.T, pid int) { mustWrite(t, boss, pid, "uid_map", "0 54321 1") },
			facts:   func(w *Writer) { w.AlreadyWritten = true },
			want:    []Rule{RuleOverPage, RuleAlreadyWritten, RuleTooMany, RuleSeveralExtents, RuleNotOwnID},
		},
		{
			name: "already written, empty", by: user(), owner: uid, m: nil,
			prepare: func(t *testing.T, pid int) { mustWrite(t, boss, pid, "uid_map", "0 54321 1") },
			facts:   func(w *Writer) { w.AlreadyWritten = true },
			want:    []Rule{RuleAlreadyWritten, RuleEmpty},
		},
		{
			name: "another user's namespace", by: user(unix.CAP_DAC_OVERRIDE), owner: other, m: own,
			facts: func(w *Writer) { w.Owner, w.CapSysAdmin = other, false },
			want:  []Rule{RuleNoSysAdmin, RuleNotOwner},
		},
		{
			name: "another user's namespace, zero count", by: user(unix.CAP_DAC_OVERRIDE), owner: other, m: Map{{0, uid, 0}},
			facts: func(w *Writer) { w.Owner, w.CapSysAdmin = other, false },
			want:  []Rule{RuleNoSysAdmin, RuleZeroCount, RuleNotOwner},
		},
		{
			name: "CAP_SYS_ADMIN over another user's namespace", by: user(unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_ADMIN), owner: other, m: own,
			facts: func(w *Writer) { w.Owner = other },
			want:  []Rule{RuleNotOwner},
		},
		{
			name: "all that is needed over another user's namespace", by: user(unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_ADMIN, unix.CAP_SETUID), owner: other,
			m: Map{{0, 1, 10}}, facts: func(w *Writer) { w.Owner, w.CapSetID = other, true },
		},
		{
			name: "parent's root without CAP_SETFCAP", by: user(unix.CAP_SETUID), owner: uid, m: Map{{5, 0, 1}},
			facts: func(w *Writer) { w.CapSetID = true },
			want:  []Rule{RuleParentRoot},
		},
		{
			name: "parent's root with CAP_SETFCAP", by: user(unix.CAP_SETUID, unix.CAP_SETFCAP), owner: uid, m: Map{{5, 0, 1}},
			facts: func(w *Writer) { w.CapSetID, w.CapSetFCAP = true, true },
		},
		{
			name: "setgroups not denied", by: user(), owner: uid, m: Map{{0, gid, 1}},
			facts: func(w *Writer) { w.Kind = GID },
			want:  []Rule{RuleSetgroups},
		},
		{
			name: "setgroups denied", by: user(), owner: uid, m: Map{{0, gid, 1}},
			prepare: func(t *testing.T, pid int) { mustWrite(t, boss, pid, "setgroups", "deny") },
			facts:   func(w *Writer) { w.Kind, w.Setgroups = GID, "deny" },
		},
		{
			name: "the parent's gid 0 needs no CAP_SETFCAP", by: user(unix.CAP_SETGID), owner: uid, m: Map{{0, 0, 1}},
			facts: func(w *Writer) { w.Kind, w.CapSetID = GID, true },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := facts
			w.PageSize = os.Getpagesize()
			if test.facts != nil {
				test.facts(&w)
			}
			pid := boss.must(t, order{Op: "spawn", UID: test.owner, GID: gid}).PID
			defer boss.must(t, order{Op: "end", PID: pid})
			if test.prepare != nil {
				test.prepare(t, pid)
			}
			problems := Validate(test.m, w)
			got := slices.Compact(rules(problems))
			if !slices.Equal(got, test.want) {
				t.Errorf("rules %v, want %v", got, test.want)
			}
			want := ""
			if len(problems) > 0 {
				want = problems[0].Errno
			}
			path := fmt.Sprintf("/proc/%d/%s_map", pid, w.Kind)
			if errno := test.by.do(t, order{Op: "write", Path: path, Text: test.m.Format()}).Errno; errno != want {
				t.Errorf("the kernel says %q, Validate %q: %v", errno, want, problems)
			}
		})
	}
}

// wide is a map of more extents and more bytes than the kernel takes, outside ids from 1 on.
func wide() Map {
	var m Map
	for i := range uint32(6000) {
		m = append(m, Extent{Inside(i), Kernel(i + 1), 1})
	}
	return m
}

func mustWrite(t *testing.T, a *agent, pid int, file, text string) {
	t.Helper()
	a.must(t, order{Op: "write", Path: fmt.Sprintf("/proc/%d/%s", pid, file), Text: text})
}

// TestValidateFromElsewhere writes the map of a grandchild: the writer must be in the namespace or in its parent.
func TestValidateFromElsewhere(t *testing.T) {
	proctest.NeedRoot(t)
	needUserNS(t)
	all := Map{{0, 0, 65536}}
	child := startAgent(t, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: sysMap(all), GidMappings: sysMap(all), GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	})
	pid := child.must(t, order{Op: "spawn", UID: -1}).PID
	w := root(UID)
	w.Parent = all
	m := Map{{0, 1, 1}}

	path := fmt.Sprintf("/proc/%d/uid_map", pid)
	w.Elsewhere = true
	problems := Validate(m, w)
	if errno := errnoName(writeOnce(path, m.Format())); len(problems) != 1 || problems[0].Errno != errno {
		t.Errorf("grandparent: the kernel says %q, Validate %v", errno, problems)
	}
	w.Elsewhere = false
	if errno := child.do(t, order{Op: "write", Path: path, Text: m.Format()}).Errno; errno != "" || len(Validate(m, w)) > 0 {
		t.Errorf("parent: the kernel says %q, Validate %v", errno, Validate(m, w))
	}
}

// TestValidateFromInside lets processes write the map of the namespace they are in.
func TestValidateFromInside(t *testing.T) {
	needUserNS(t)
	uid, gid := os.Geteuid(), os.Getegid()
	attr := &syscall.SysProcAttr{}
	if uid == 0 {
		uid, gid = 54321, 54322
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	user := startAgent(t, attr)
	facts := Writer{
		Kind: UID, EUID: Kernel(uid), EGID: Kernel(gid), Owner: Kernel(uid), Parent: readMap(t, "/proc/self", UID),
		CapSysAdmin: true, Setgroups: "allow",
	}
	own := Map{{0, facts.EUID, 1}}
	every := []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETFCAP}
	tests := []struct {
		name  string
		caps  []uintptr
		m     Map
		facts func(w *Writer)
		want  []Rule
	}{
		{name: "own id", caps: []uintptr{unix.CAP_SYS_ADMIN}, m: own},
		{name: "own id without CAP_SYS_ADMIN", m: own, facts: func(w *Writer) { w.CapSysAdmin = false }, want: []Rule{RuleNoSysAdmin}},
		{name: "a range", caps: every, m: Map{{0, facts.EUID, 2}}, want: []Rule{RuleSeveralIDs}},
		{name: "another id", caps: every, m: Map{{0, facts.EUID + 1, 1}}, want: []Rule{RuleNotOwnID}},
		{name: "the parent's root", caps: every, m: Map{{0, 0, 1}}, want: []Rule{RuleParentRoot, RuleNotOwnID}},
		{
			name: "gid, setgroups allowed", caps: every, m: Map{{0, facts.EGID, 1}},
			facts: func(w *Writer) { w.Kind = GID }, want: []Rule{RuleSetgroups},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := facts
			if test.facts != nil {
				test.facts(&w)
			}
			checkInside(t, user, w, test.caps, test.m, test.want)
		})
	}
}

// TestValidateKnowsWhatTheCreatorCould writes the parent's root from inside: what counts is whether the creator had
// CAP_SETFCAP.
func TestValidateKnowsWhatTheCreatorCould(t *testing.T) {
	proctest.NeedRoot(t)
	needUserNS(t)
	m := Map{{0, 0, 1}}
	w := Writer{Kind: UID, Parent: readMap(t, "/proc/self", UID), CapSysAdmin: true, CapSetFCAP: true, Setgroups: "allow"}
	caps := []uintptr{unix.CAP_SYS_ADMIN}
	checkInside(t, startAgent(t, &syscall.SysProcAttr{}), w, caps, m, nil)
	w.CapSetFCAP = false
	checkInside(t, startAgentBy(t, nil, "setpriv", "--bounding-set=-setfcap", "--inh-caps=-setfcap"), w, caps, m, []Rule{RuleParentRoot})
}

func checkInside(t *testing.T, by *agent, w Writer, caps []uintptr, m Map, want []Rule) {
	t.Helper()
	problems := Validate(m, w)
	if got := rules(problems); !slices.Equal(got, want) {
		t.Errorf("rules %v, want %v", got, want)
	}
	first := ""
	if len(problems) > 0 {
		first = problems[0].Errno
	}
	path := fmt.Sprintf("/proc/self/%s_map", w.Kind)
	if errno := by.must(t, order{Op: "inside", Path: path, Text: m.Format(), Caps: caps}).Output; errno != first {
		t.Errorf("the kernel says %q, Validate %q: %v", errno, first, problems)
	}
}

// TestAsReadByAgreesWithTheKernel reads the maps of namespaces beside, above and below the reader's.
func TestAsReadByAgreesWithTheKernel(t *testing.T) {
	proctest.NeedRoot(t)
	needUserNS(t)
	initial := readMap(t, "/proc/self", UID)
	proctest.Need(t, "initial-userns", initial.Equal(Identity()), "the reader's ids are compared with the kernel's own")
	// Adjacent for the reader, apart for the kernel.
	own := Map{{0, 1000, 1}, {1, 100000, 1000}, {5000, 500, 10}}
	reader := startAgent(t, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: sysMap(own), GidMappings: sysMap(own), Credential: &syscall.Credential{Uid: 0, Gid: 0},
	})
	var ownSide Map
	for _, e := range own {
		ownSide = append(ownSide, Extent{e.Inside, Kernel(e.Inside), e.Count})
	}
	beside := startAgent(t, &syscall.SysProcAttr{})
	m := Map{{0, 1000, 100}, {100, 100900, 200}, {300, 505, 20}, {400, 400, 50}, {500, 2000, 1}}
	pid := withMap(t, beside, m)
	below := reader.must(t, order{Op: "spawn", UID: -1}).PID
	mustWrite(t, reader, below, "uid_map", "7 1 999\n6 0 1\n")

	for name, path := range map[string]string{"above": "/proc/self", "beside": fmt.Sprintf("/proc/%d", pid), "below": fmt.Sprintf("/proc/%d", below)} {
		truth := readMap(t, path, UID) // the kernel's ids
		if name == "above" {
			path = fmt.Sprintf("/proc/%d", os.Getpid())
		}
		text, err := Parse(strings.NewReader(reader.must(t, order{Op: "read", Path: path + "/uid_map"}).Output))
		if err != nil {
			t.Fatal(err)
		}
		read := text.AsReadBy(ownSide)
		named := 0
		for id := range Inside(110000) {
			want := own.ToInside(truth.ToOutside(id))
			got := read.ToOutside(id)
			if got.Mapped() {
				named++
			}
			if got.Mapped() && Kernel(want) != got || read.Covers(id) != truth.Covers(id) {
				t.Fatalf("%s: %v is %v by the text, the kernel's way is %v\n%v\n%v", name, id, got, want, text, read)
			}
			if name == "below" && Kernel(want) != got {
				t.Fatalf("below: %v is %v, not %v", id, got, want)
			}
		}
		t.Logf("%s: %v is read as %v, %d ids have a number", name, text, read, named)
		if name != "above" && named == 0 {
			t.Errorf("%s: nothing has a number", name)
		}
	}
}

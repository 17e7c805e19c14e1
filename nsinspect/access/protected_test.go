package access

import (
	"testing"

	"github.com/nsview/nsview/idmap"
)

// The settings fs.protected_symlinks, protected_regular and protected_fifos are off on many a machine, so that the test
// against the kernel has nothing to compare (TestEveryRuleAgainstKernel of package pathwalk says so). What is expected
// here is what may_follow_link() and may_create_in_sticky() (fs/namei.c) say.
func TestProtected(t *testing.T) {
	const dirOwner, mine, other = 1, 1000, 2000
	tests := []struct {
		name    string
		kind    Type
		op      string
		dir     uint32
		owner   idmap.Kernel
		level   int
		verdict Answer
	}{
		{"off", Regular, "opencreat", 0o1777, other, 0, Allow},
		{"a file of another", Regular, "opencreat", 0o1777, other, 1, Deny},
		{"only opened", Regular, "write", 0o1777, other, 1, Allow},
		{"one's own", Regular, "opencreat", 0o1777, mine, 1, Allow},
		{"the directory owner's", Regular, "opencreat", 0o1777, dirOwner, 1, Allow},
		{"not sticky", Regular, "opencreat", 0o777, other, 2, Allow},
		{"writable to a group, level 1", Regular, "opencreat", 0o1775, other, 1, Allow},
		{"writable to a group, level 2", Regular, "opencreat", 0o1775, other, 2, Deny},
		{"writable to the owner", Regular, "opencreat", 0o1755, other, 2, Allow},
		{"not told", Regular, "opencreat", 0o1777, other, -1, Unknown},
		{"not told, one's own", Regular, "opencreat", 0o1777, mine, -1, Allow},
		{"off", FIFO, "opencreat", 0o1777, other, 0, Allow},
		{"a fifo of another", FIFO, "opencreat", 0o1777, other, 1, Deny},
		{"writable to a group, level 1", FIFO, "opencreat", 0o1775, other, 1, Allow},
		{"writable to a group, level 2", FIFO, "opencreat", 0o1775, other, 2, Deny},
		{"one's own", FIFO, "opencreat", 0o1777, mine, 2, Allow},
		{"off", Symlink, "read", 0o1777, other, 0, Allow},
		{"a link of another", Symlink, "read", 0o1777, other, 1, Deny},
		{"not followed", Symlink, "lstat", 0o1777, other, 1, Allow},
		{"one's own", Symlink, "read", 0o1777, mine, 1, Allow},
		{"the directory owner's", Symlink, "read", 0o1777, dirOwner, 1, Allow},
		{"not sticky", Symlink, "read", 0o777, other, 1, Allow},
		{"not writable to everybody", Symlink, "read", 0o1775, other, 1, Allow},
		{"not told", Symlink, "read", 0o1777, other, -1, Unknown},
	}
	for _, tt := range tests {
		rule := map[Type]Rule{Regular: RuleProtectedRegular, FIFO: RuleProtectedFifos, Symlink: RuleProtectedSymlinks}[tt.kind]
		t.Run(string(rule)+"/"+tt.name, func(t *testing.T) {
			s, w := explainSubject(), explainWalk()
			ns := w.Host.UserNS[s.UserNS]
			ns.Initial = true
			// No capability overrides these rules.
			s.Cred.CapEff, s.Cred.UID.FS = EveryCap, mine
			h := w.Host
			h.InitialNS, h.ProtectedRegular, h.ProtectedFifos, h.ProtectedSymlinks = true, tt.level, tt.level, tt.level
			last := &w.Steps[len(w.Steps)-1]
			dir, n := last.Dir, last.Found
			dir.Mode, dir.UID, dir.GID = tt.dir, seen(dirOwner), seen(dirOwner)
			n.Type, n.Mode, n.UID, n.GID = tt.kind, 0o666, seen(tt.owner), seen(tt.owner)
			last.Trailing = true
			if op := mustParse(t, tt.op); tt.kind == Symlink && op.Op != OpLstat {
				target := *n
				target.Type, target.Path = Regular, n.Path+".target"
				last.Followed = true
				w.Steps = append(w.Steps, Lookup{Dir: dir, Name: "target", Found: &target})
			}
			v := Decide(s, w, mustParse(t, tt.op))
			if v.Verdict != tt.verdict || tt.verdict == Deny && (v.Rule != rule || v.Errno != "EACCES") {
				t.Errorf("%s %q by %s, want %s: %v", v.Verdict, v.Errno, v.Rule, tt.verdict, v.Steps)
			}
			if tt.verdict != Deny {
				return
			}
			if v := DecideWithout(rule, s, w, mustParse(t, tt.op)); v.Verdict != Allow {
				t.Errorf("without the rule: %s by %s", v.Verdict, v.Rule)
			}
		})
	}
}

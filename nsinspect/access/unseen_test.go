package access

import (
	"strings"
	"testing"
)

// What decides besides the kernel's own checks is said, and never guessed: reported cases that need a host of another
// kind (docs/cases.md names them).
func TestUnseen(t *testing.T) {
	on := func(fs string) func(*Subject, *Walk) {
		return func(_ *Subject, w *Walk) {
			super := *file(w).Mount.Super
			mount := *file(w).Mount
			super.FSType, mount.Super = fs, &super
			file(w).Mount = &mount
		}
	}
	lower := func(edit func(*Node)) func(*Subject, *Walk) {
		return func(s *Subject, w *Walk) {
			real := *file(w)
			real.UID, real.GID = seen(100999), seen(100999)
			edit(&real)
			file(w).Overlay = &Overlay{Writable: true, UpperReadOnly: No, Real: &real, MounterNS: childNS}
			w.Host.Kernel = Kernel{6, 18}
		}
	}
	tests := []struct {
		name, op string
		subject  func() *Subject
		facts    func(*Subject, *Walk)
		verdict  Answer
		rule     Rule
		says     string // in an assumption, or in what is missing
	}{
		{
			name: "B26 a label of SELinux", op: "read", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "the security modules do not deny it: selinux",
			facts: func(_ *Subject, w *Walk) { w.Host.LSMs = []string{"capability", "yama", "selinux"} },
		},
		{
			name: "B26 a profile of AppArmor", op: "read", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "the security modules do not deny it: apparmor",
			facts: func(_ *Subject, w *Walk) { w.Host.LSMs = []string{"capability", "apparmor"} },
		},
		{
			name: "C32 a seccomp filter", op: "read", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "seccomp",
			facts: func(s *Subject, w *Walk) { w.Host.LSMs, s.Cred.Seccomp = []string{"capability"}, 2 },
		},
		{
			name: "Landlock, which no interface shows", op: "read", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "the security modules do not deny it: landlock",
			facts: func(_ *Subject, w *Walk) { w.Host.LSMs = []string{"capability", "landlock"} },
		},
		{
			name: "modules that could not be read", op: "read", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "which are active could not be read",
			facts: func(_ *Subject, w *Walk) { w.Host.LSMs = nil },
		},
		{name: "securebits", op: "access r", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "securebits", facts: func(*Subject, *Walk) {}},
		{name: "B28 a server of NFS", op: "read", subject: ownerOfFile, facts: on("nfs4"), verdict: Unknown, rule: RuleFS, says: "what the server of the nfs4 file system decides"},
		{name: "B28 chown on NFS, as root", op: "chown 5 5", subject: hostRoot, facts: on("nfs4"), verdict: Unknown, rule: RuleFS, says: "what the server of the nfs4 file system decides"},
		{name: "C18 chown on vfat, as root", op: "chown 5 5", subject: hostRoot, facts: on("vfat"), verdict: Unknown, rule: RuleFS, says: "stores neither owner nor mode"},
		{name: "C18 chmod on exfat, as its owner", op: "chmod 600", subject: ownerOfFile, facts: on("exfat"), verdict: Unknown, rule: RuleFS, says: "mount options uid, gid"},
		{
			name: "the ACL of what has to be copied up", op: "chmod 600", subject: ownerOfFile, verdict: Unknown, rule: RuleOverlayCopyUp, says: "the ACL of /data/f: refused",
			facts: lower(func(real *Node) { real.ACLMissing = "refused" }),
		},
		{
			name: "the owner of what has to be copied up", op: "chmod 600", subject: ownerOfFile, verdict: Unknown, rule: RuleOverlayCopyUp, says: "the owner of /data/f",
			facts: lower(func(real *Node) { real.UID.Known = false }),
		},
		{
			name: "the upper layer of an overlay", op: "chmod 600", subject: ownerOfFile, verdict: Allow, rule: RuleModeOwner, says: "the file system of the overlay's upper layer is writable",
			facts: func(s *Subject, w *Walk) { lower(func(*Node) {})(s, w); file(w).Overlay.UpperReadOnly = NotTold },
		},
		{name: "C18 chown on vfat, without any right to it", op: "chown 5 5", subject: plainSubject, facts: on("vfat"), verdict: Deny, rule: RuleNotOwner},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, w, op := tt.subject(), fixWalk(), mustParse(t, tt.op)
			tt.facts(s, w)
			v := Decide(s, w, op)
			if text := strings.Join(append(v.Assumptions, v.Missing), "\n"); v.Verdict != tt.verdict || v.Rule != tt.rule || !strings.Contains(text, tt.says) {
				t.Errorf("%s by %s, saying %q", v.Verdict, v.Rule, text)
			}
			if fixes := Fixes(s, w, op, v); v.Verdict != Deny && len(fixes) > 0 {
				t.Errorf("fixes for what is not denied: %v", fixes)
			}
		})
	}
}

// ownerOfFile is uid 1000 of the host, whose the file of fixWalk is.
func ownerOfFile() *Subject {
	s := plainSubject()
	s.Cred.UID.Real, s.Cred.UID.Effective, s.Cred.UID.Saved, s.Cred.UID.FS = 1000, 1000, 1000, 1000
	return s
}

// hostRoot is root of the host with every capability.
func hostRoot() *Subject {
	s := containerRoot()
	s.UserNS, s.Container = initialNS, nil
	s.Cred.UID, s.Cred.GID = plainSubject().Cred.UID, plainSubject().Cred.GID
	s.Cred.UID.Real, s.Cred.UID.Effective, s.Cred.UID.Saved, s.Cred.UID.FS = 0, 0, 0, 0
	return s
}

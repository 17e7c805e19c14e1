package access

import (
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
)

// A process may have 65536 groups. One that is mapped in the container and one that is not stand for all of them, and none
// of them for a group that it is not in.
func TestReadingsOfManyGroups(t *testing.T) {
	s, w := explainSubject(), explainWalk()
	s.Cred.Groups = append(s.Cred.Groups, idmap.UnmappedKernel, 100001)
	for id := range idmap.Kernel(65535) {
		s.Cred.Groups = append(s.Cred.Groups, 99000+id)
	}
	file(w).GID.Known = false
	j := run(RuleNone, s, w, mustParse(t, "write"))
	var groups, others []idmap.Kernel
	for _, id := range j.idReadings(file(w), idmap.GID) {
		switch {
		case !id.Mapped():
		case id != j.fsgid && slices.Contains(s.Cred.Groups, id):
			groups = append(groups, id)
		case id != j.fsgid:
			others = append(others, id)
		}
	}
	// 100000 is that of other files.
	if !slices.Equal(groups, []idmap.Kernel{100001, 99000, 100000}) || len(others) == 0 {
		t.Errorf("groups %v, others %v", groups, others)
	}
}

// A fact that is missing makes an answer unknown only where it hinges on it. The subject is mysql, uid and gid 999 of the
// container; /data is sticky and everybody's.
func TestMissingFacts(t *testing.T) {
	owner := func(n *Node) { n.UID.Known = false }
	group := func(n *Node) { n.GID.Known = false }
	acl := func(n *Node) { n.ACLMissing = "input/output error" }
	overflow := func(n *Node) { n.UID = ID{Seen: overflowID} }
	mode := func(mode uint32, missing ...func(*Node)) func(*Subject, *Walk) {
		return func(_ *Subject, w *Walk) {
			file(w).Mode = mode
			for _, m := range missing {
				m(file(w))
			}
		}
	}
	super := func(edit func(*Super)) func(*Subject, *Walk) {
		return func(_ *Subject, w *Walk) { edit(file(w).Mount.Super) }
	}
	asRoot := func(s *Subject) {
		*s = *explainSubject()
		s.UserNS, s.Cred.CapEff = initialNS, EveryCap
		s.Cred.UID.FS, s.Cred.UID.Effective, s.Cred.UID.Real, s.Cred.UID.Saved = 0, 0, 0, 0
		s.Cred.GID = s.Cred.UID
	}
	unmapped := func(s *Subject, w *Walk) {
		file(w).Mount.Idmapped = true
		file(w).UID, file(w).GID = seen(100005), seen(100005)
		if w.Steps[1].Dir.Mode = 0o755; s.Cred.CapEff != 0 {
			w.Steps[1].Dir.Mode = 0o777
		}
	}
	tests := []struct {
		name, op string
		facts    func(*Subject, *Walk)
		verdict  Answer
		errno    Errno
	}{
		{"everybody may read", "read", mode(0o444, owner, group), Allow, ""},
		{"nobody may write", "write", mode(0o444, owner, group), Deny, "EACCES"},
		{"only the owner may", "write", mode(0o644, owner), Unknown, ""},
		{"only the owner may, and that is not it", "read", mode(0o600, overflow), Deny, "EACCES"},
		{"whether 65534 owns it or nobody", "chmod 600", mode(0o644, overflow), Unknown, ""},
		{"the group may", "write", mode(0o664, group), Unknown, ""},
		{"the group may less", "read", mode(0o604, group), Unknown, ""},
		{"whoever owns it, a group more", "read", mode(0o640, owner), Unknown, ""},
		{"an ACL cannot give what mask and others lack", "write", mode(0o644, acl), Deny, "EACCES"},
		{"an ACL may take", "read", mode(0o644, acl), Unknown, ""},
		{"an ACL is not asked without group bits", "read", mode(0o604, acl), Allow, ""},
		{"an ACL may give", "write", mode(0o664, acl), Unknown, ""},
		{"whether there is an ACL", "getacl", mode(0o664, acl), Unknown, ""},
		{"ACL and owner", "write", mode(0o444, acl, owner, group), Deny, "EACCES"},
		{"lookup asks neither", "lookup", mode(0, acl, owner, group), Allow, ""},
		{"root reads whosever it is", "read", func(s *Subject, w *Walk) { asRoot(s); mode(0, acl)(s, w) }, Allow, ""},
		{"root changes whosever it is, were it not unmapped", "chmod 600", func(s *Subject, w *Walk) { asRoot(s); mode(0, owner)(s, w) }, Unknown, ""},
		{"unlink from a sticky directory", "unlink", mode(0o644, owner), Unknown, ""},
		{"a read-only file system comes first", "write", func(s *Subject, w *Walk) { mode(0o644, owner)(s, w); file(w).Mount.Super.ReadOnly = true }, Deny, "EROFS"},
		{"a read-only mount comes last", "write", func(s *Subject, w *Walk) { mode(0o666, owner, group)(s, w); file(w).Mount.ReadOnly = true }, Unknown, ""},
		{"a map that is not shown, and the error", "create", func(s *Subject, w *Walk) { unmapped(s, w); w.Steps[1].Found = nil }, Unknown, ""},
		{"a map that is not shown", "create", func(s *Subject, w *Walk) { s.Cred.CapEff = 1; unmapped(s, w); w.Steps[1].Found = nil }, Unknown, ""},
		{"nobody's file system, read", "read", super(func(s *Super) { s.UserNS = 0 }), Allow, ""},
		{"nobody's file system, created on", "create", func(s *Subject, w *Walk) { file(w).Mount.Super.UserNS = 0; w.Steps[1].Found = nil }, Unknown, ""},
		{"nobody's file system, a device", "read", func(_ *Subject, w *Walk) {
			file(w).Mount.Super.UserNS, file(w).Type = 0, CharDevice
		}, Unknown, ""},
		{"nobody's file system, a device that is nobody's", "write", func(_ *Subject, w *Walk) {
			file(w).Mount.Super.UserNS, file(w).Type = 0, CharDevice
		}, Deny, "EACCES"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, w := explainSubject(), explainWalk()
			w.Host.LSMs = []string{}
			tt.facts(s, w)
			v := Decide(s, w, mustParse(t, tt.op))
			if v.Verdict != tt.verdict || v.Errno != tt.errno {
				t.Errorf("%s %q by %s: %s", v.Verdict, v.Errno, v.Rule, v.Explanation)
			}
			if (v.Verdict == Unknown) != (v.Missing != "") {
				t.Errorf("%s, and missing is %q", v.Verdict, v.Missing)
			}
			if file(w) != nil && file(w).UID.Known && file(w).ACLMissing != "" && file(w).ACL != nil {
				t.Error("the facts were changed")
			}
		})
	}
}

// What is inferred is said, once, where it was used.
func TestInferredSuperOwner(t *testing.T) {
	s, w := explainSubject(), explainWalk()
	w.Host.LSMs = []string{}
	super := w.Start.Mount.Super
	super.FSType, super.UserNS, super.UserNSAssumed = "tmpfs", childNS, true
	says := func(op string) int {
		return strings.Count(strings.Join(Decide(s, w, mustParse(t, op)).Assumptions, "\n"), "belongs to the user namespace")
	}
	w.New = &Walk{Host: w.Host, Path: "/data/new", Start: w.Start, Steps: []Lookup{w.Steps[0], {Dir: w.Steps[1].Dir, Name: "new", Trailing: true}}}
	w.SameDir = true
	file(w).UID, w.Steps[1].Dir.Mode = seen(100999), 0o777
	if n := says("read"); n != 0 {
		t.Errorf("reading asks for the owner of the file system: said %d times", n)
	}
	if n := says("link /data/new"); n != 1 {
		t.Errorf("making a name does: said %d times", n)
	}
}

// FUSE's options have the ids of the user namespace that it was mounted in, and allow_other ends with that.
func TestFUSE(t *testing.T) {
	const everybody, ids, checked = "allow_other", "user_id=999,group_id=999", "default_permissions"
	tests := []struct {
		name, options string
		change        func(*Subject, *Super)
		op            string
		verdict       Answer
		rule          Rule
	}{
		{"the mounter", ids + "," + checked, nil, "read", Allow, RuleModeOther},
		{"the mounter, as its server sees it", ids, nil, "read", Unknown, RuleFS},
		{"a stranger", "user_id=998,group_id=999," + checked, nil, "read", Deny, RuleFUSE},
		{"a stranger by group", "user_id=999,group_id=998", nil, "lookup", Deny, RuleFUSE},
		{"the same number in another namespace", ids, func(_ *Subject, f *Super) { f.UserNS = initialNS }, "read", Deny, RuleFUSE},
		{"a set-uid program", ids + "," + checked, func(s *Subject, _ *Super) { s.Cred.UID.Real = 100000 }, "read", Deny, RuleFUSE},
		{"everybody", "user_id=0,group_id=0," + everybody + "," + checked, nil, "read", Allow, RuleModeOther},
		{"everybody but the mode", "user_id=0,group_id=0," + everybody + "," + checked, nil, "write", Deny, RuleModeOther},
		{"everybody but the server", "user_id=0,group_id=0," + everybody, nil, "write", Unknown, RuleFS},
		{"everybody but the server, chmod", "user_id=0,group_id=0," + everybody, nil, "chmod 600", Unknown, RuleFS},
		{"everybody below", "user_id=0,group_id=0," + everybody + "," + checked, func(_ *Subject, f *Super) { f.UserNS = initialNS }, "read", Allow, RuleModeOther},
		{"everybody but the host", "user_id=0,group_id=0," + everybody + "," + checked, func(s *Subject, _ *Super) { s.UserNS, s.Cred.CapEff = initialNS, EveryCap }, "read", Deny, RuleFUSE},
		{"the host, with allow_sys_admin_access", "user_id=0,group_id=0," + everybody + "," + checked, func(s *Subject, f *Super) {
			s.UserNS, s.Cred.CapEff, f.FUSEAdmin = initialNS, EveryCap, Yes
		}, "read", Allow, RuleModeOther},
		{"the host, and nobody knows", "user_id=0,group_id=0," + checked, func(s *Subject, f *Super) {
			s.UserNS, s.Cred.CapEff, f.FUSEAdmin = initialNS, EveryCap, NotTold
		}, "read", Unknown, RuleFUSE},
		{"an unknown namespace", ids, func(_ *Subject, f *Super) { f.UserNS = 0 }, "read", Unknown, RuleFUSE},
		{"no ids", checked, nil, "read", Unknown, RuleFUSE},
		{"without any x nothing is executed", ids, nil, "access x", Deny, RuleModeOther},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, w := explainSubject(), explainWalk()
			super := &Super{FSType: "fuse.sshfs", Options: strings.Split(tt.options, ","), UserNS: childNS, FUSEAdmin: No}
			file(w).Mount = &Mount{Point: "/data/f", Super: super}
			if tt.change != nil {
				tt.change(s, super)
			}
			if v := Decide(s, w, mustParse(t, tt.op)); v.Verdict != tt.verdict || v.Rule != tt.rule {
				t.Errorf("%s %q by %s: %s %v", v.Verdict, v.Errno, v.Rule, v.Explanation, v.Assumptions)
			}
		})
	}
}

// Where a server decides besides, the kernel's own refusal stands, and an allow hinges on the server.
func TestServers(t *testing.T) {
	on := func(fs, options string) func(*Walk) {
		return func(w *Walk) {
			*w.Start.Mount.Super = Super{FSType: fs, Options: strings.Split(options, ","), UserNS: initialNS}
		}
	}
	tests := []struct {
		fs, options, op string
		verdict         Answer
		errno           Errno
	}{
		{"9p", "", "read", Unknown, ""},
		{"9p", "", "write", Deny, "EACCES"},
		{"cifs", "", "read", Unknown, ""},
		{"cifs", "", "write", Deny, "EACCES"},
		{"cifs", "noperm", "write", Unknown, ""},
		{"cifs", "noperm", "exec", Deny, "EACCES"},
		{"cifs", "", "chmod 600", Deny, "EPERM"},
		{"ceph", "", "chown 1 1", Deny, "EPERM"},
		{"nfs4", "", "write", Unknown, ""},
		{"nfs4", "", "exec", Deny, "EACCES"},
		{"nfs4", "", "chmod 600", Unknown, ""},
		{"nfs4", "", "chown 70000 1", Deny, "EINVAL"},
		{"nfs4", "", "touch", Unknown, ""},
		{"nfs4", "", "utimes", Unknown, ""},
		{"nfs4", "", "setxattr user.x", Unknown, ""},
		{"nfs4", "", "setxattr trusted.x", Deny, "EPERM"},
		{"nfs4", "", "unlink", Deny, "EPERM"},
		{"nfs4", "", "mkdir", Deny, "EEXIST"},
		{"gfs2", "", "read", Allow, ""},
	}
	for _, tt := range tests {
		t.Run(tt.fs+" "+tt.options+" "+tt.op, func(t *testing.T) {
			s, w := explainSubject(), explainWalk()
			on(tt.fs, tt.options)(w)
			v := Decide(s, w, mustParse(t, tt.op))
			if v.Verdict != tt.verdict || v.Errno != tt.errno {
				t.Errorf("%s %q by %s: %s", v.Verdict, v.Errno, v.Rule, v.Explanation)
			}
			if tt.verdict == Unknown && !strings.Contains(v.Missing, "the server of the "+tt.fs+" file system") {
				t.Errorf("missing is %q", v.Missing)
			}
		})
	}
}

package access

import (
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// The host of these tests: user namespace 1 is the initial one, 2 is that of container db, which maps 0-65535 to
// 100000-165535.
const (
	initialNS nsinspect.Inode = 1
	childNS   nsinspect.Inode = 2
)

func explainHost() *Host {
	child := idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}
	return &Host{
		InitialNS: true,
		UserNS: map[nsinspect.Inode]*UserNS{
			initialNS: {Inode: initialNS, Initial: true, UID: idmap.Identity(), GID: idmap.Identity()},
			childNS:   {Inode: childNS, Parent: initialNS, UID: child, GID: child},
		},
		Names: &nsinspect.NameTable{Users: map[idmap.Inside]string{1000: "khope", 0: "root"}, Groups: map[idmap.Inside]string{}},
	}
}

// explainSubject is mysql, uid and gid 999 in container db.
func explainSubject() *Subject {
	id := idmap.Kernel(100999)
	ids := nsinspect.IDs{Real: id, Effective: id, Saved: id, FS: id}
	return &Subject{
		Target: "docker:db", UserNS: childNS,
		Cred:      nsinspect.Credentials{UID: ids, GID: ids},
		Names:     &nsinspect.NameTable{Users: map[idmap.Inside]string{0: "root", 999: "mysql"}, Groups: map[idmap.Inside]string{999: "mysql"}},
		Container: &nsinspect.Container{Engine: "docker", ID: "1234", Name: "db"},
	}
}

func seen(id idmap.Kernel) ID { return ID{OnDisk: idmap.Disk(id), Seen: id, Known: true} }

// explainWalk leads to /data/f: the root and /data are the container root's, the file is uid 999's outside.
func explainWalk() *Walk {
	mount := &Mount{Point: "/data", Super: &Super{FSType: "ext4", UserNS: initialNS}}
	root := &Node{Path: "/", Type: Directory, Mode: 0o755, UID: seen(100000), GID: seen(100000), Mount: mount}
	data := &Node{Path: "/data", Host: "/srv/db", Type: Directory, Mode: 0o1777, UID: seen(100000), GID: seen(100000), Mount: mount}
	file := &Node{Path: "/data/f", Host: "/srv/db/f", Type: Regular, Mode: 0o644, UID: seen(999), GID: seen(999), Mount: mount}
	return &Walk{
		Host: explainHost(), Path: "/data/f", Start: root,
		Steps: []Lookup{{Dir: root, Name: "data", Found: data}, {Dir: data, Name: "f", Found: file, Trailing: true}},
	}
}

// file is the last file of explainWalk.
func file(w *Walk) *Node { return w.Steps[1].Found }

func mustParse(t *testing.T, words string) Operation {
	t.Helper()
	w := strings.Fields(words)
	op, err := ParseOperation(w[0], w[1:])
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// Every rule has its sentence, and the ones that people meet say what they should.
func TestExplainDenied(t *testing.T) {
	const who = "denied: mysql (uid 999 inside, 100999 outside) "
	at := func(path string) func(*Verdict) { return func(v *Verdict) { v.Component = path } }
	tests := []struct {
		rule  Rule
		errno Errno
		op    string
		what  func(*Verdict)
		facts func(*Subject, *Walk)
		want  string
	}{
		{
			rule: RuleModeOther, errno: "EACCES", op: "write",
			want: who + "needs w on /data/f (host /srv/db/f), owned by uid 999 outside, which container db does not map (it maps 100000-165535): the mode 0644 gives others r--",
		},
		{
			rule: RuleModeOther, errno: "EACCES", op: "read", what: func(v *Verdict) {
				v.Component = "/data"
				v.Steps = []Step{{Component: "/data", Rule: RuleWalkX, Result: Deny}}
			},
			facts: func(_ *Subject, w *Walk) { w.Steps[1].Dir.Mode = 0o700 },
			want:  who + "needs x (search) on /data (host /srv/db) on the way to /data/f, owned by root (uid 0 inside, 100000 outside) and gid 0 inside, 100000 outside: the mode 0700 gives others ---",
		},
		{
			rule: RuleModeOther, errno: "EACCES", op: "unlink", what: at("/data"),
			want: who + "needs w and x on /data (host /srv/db), owned by root (uid 0 inside, 100000 outside) and gid 0 inside, 100000 outside: the mode 1777 gives others rwx",
		},
		{
			rule: RuleModeOwner, errno: "EACCES", op: "rdwr",
			facts: func(_ *Subject, w *Walk) { file(w).Mode, file(w).UID = 0o077, seen(100999) },
			want:  who + "needs r and w on /data/f (host /srv/db/f), which it owns, but the mode 0077 gives the owner ---",
		},
		{
			rule: RuleModeGroup, errno: "EACCES", op: "write",
			facts: func(_ *Subject, w *Walk) { file(w).UID, file(w).GID = seen(100001), seen(100999) },
			want:  who + "needs w on /data/f (host /srv/db/f), owned by uid 1 inside, 100001 outside and mysql (gid 999 inside, 100999 outside): it is in that group, and the mode 0644 gives the group r--",
		},
		{
			rule: RuleModeOther, errno: "EACCES", op: "write",
			facts: func(s *Subject, _ *Walk) { s.Cred.UID.FS = 100000 },
			want:  "; it is root without CAP_DAC_OVERRIDE, which counts as anybody",
		},
		{
			rule: RuleACLUser, errno: "EACCES", op: "write",
			facts: func(_ *Subject, w *Walk) {
				file(w).ACL = &ACL{[]ACLEntry{{Tag: ACLUser, ID: 5, Perm: 7}, {Tag: ACLUser, ID: 100999, Perm: 4}}}
			},
			want: "its ACL has for this user r--",
		},
		{rule: RuleACLGroup, errno: "EACCES", op: "write", want: "no ACL entry of a group that it is in gives enough"},
		{
			rule: RuleACLMask, errno: "EACCES", op: "write",
			facts: func(_ *Subject, w *Walk) { file(w).ACL = &ACL{[]ACLEntry{{Tag: ACLMask, Perm: 5}}} },
			want:  "the mask leaves r-x",
		},
		{rule: RuleACLOther, errno: "EACCES", op: "write", want: "no ACL entry names it"},
		{
			rule: RuleCapUnmappedInode, errno: "EACCES", op: "write", facts: func(s *Subject, _ *Walk) { s.Cred.UID.FS, s.Cred.CapEff = 100000, 1<<41-1 },
			want: "denied: root (uid 0 inside, 100000 outside) needs w on /data/f (host /srv/db/f), owned by uid 999 outside, which container db does not map (it maps 100000-165535): so its capabilities do not count for it",
		},
		{
			rule: RuleCapUnmappedInode, errno: "EPERM", op: "chown 5 5", facts: func(_ *Subject, w *Walk) { file(w).UID = seen(100000) },
			want: "cannot change the owner of /data/f to 5:5: whose group is gid 999 outside, which container db does not map",
		},
		{
			rule: RuleIdmapUnmapped, errno: "EACCES", op: "write", facts: func(_ *Subject, w *Walk) {
				m := *file(w).Mount
				m.Idmapped, m.MapKnown, m.UIDMap = true, true, idmap.MountMap{{OnDisk: 0, SeenAs: 100000, Count: 10}}
				file(w).Mount, file(w).UID = &m, ID{OnDisk: 77, Seen: idmap.UnmappedKernel, Known: true}
			},
			want: who + "cannot write /data/f: /data/f (host /srv/db/f) belongs to uid 77 on disk, which the idmapped mount at /data does not map (it maps 0-9 on disk): nobody may change such a file through this mount, root included",
		},
		{rule: RuleFsidUnmapped, errno: "EOVERFLOW", op: "create", want: "a new file would belong to mysql (uid 999 inside, 100999 outside) and mysql (gid 999 inside, 100999 outside), which the file system at /data cannot store"},
		{rule: RuleNotOwner, errno: "EPERM", op: "chmod 0600", want: who + "cannot change the mode of /data/f to 0600: /data/f (host /srv/db/f) is owned by uid 999 outside, which container db does not map (it maps 100000-165535): this needs ownership or CAP_FOWNER over it, write permission does not help"},
		{rule: RuleNotOwner, errno: "EPERM", op: "chown 0 -", want: "this needs CAP_CHOWN over it"},
		{rule: RuleInitCap, errno: "EPERM", op: "mknod", want: "this needs CAP_MKNOD in the initial user namespace; what it holds counts in container db only"},
		{rule: RuleCap + "CAP_SETFCAP", errno: "EPERM", op: "setxattr security.capability", want: "this needs CAP_SETFCAP over /data/f (host /srv/db/f), which it does not have"},
		{rule: RuleCap, want: "this needs a capability"},
		{rule: RuleWalkX, want: "may not be searched"},
		{rule: RuleNotFound, errno: "ENOENT", op: "read", what: at("/data/missing"), want: "there is no /data/missing"},
		{rule: RuleNotDir, errno: "ENOTDIR", want: "/data/f (host /srv/db/f) is no directory"},
		{rule: RuleIsDir, errno: "EISDIR", what: at("/data"), want: "/data (host /srv/db) is a directory"},
		{rule: RuleExists, errno: "EEXIST", op: "mkdir", want: "cannot make the directory /data/f: /data/f (host /srv/db/f) exists already"},
		{rule: RuleNotEmpty, want: "not empty"},
		{rule: RuleBusy, want: "is in use"},
		{rule: RuleInvalid, errno: "EINVAL", want: "(EINVAL)"},
		{rule: RuleNameTooLong, want: "longer than 255 bytes"},
		{rule: RuleSymlinkLoop, want: "symbolic links at /data/f"},
		{rule: RuleNoSymfollow, want: "the mount at /data has the flag nosymfollow"},
		{rule: RuleProtectedSymlinks, want: "in a sticky directory that everybody may write, /data of root (uid 0 inside, 100000 outside)"},
		{rule: RuleProtectedRegular, want: "fs.protected_regular"},
		{rule: RuleProtectedFifos, want: "fs.protected_fifos"},
		{rule: RuleProtectedHardlinks, want: "fs.protected_hardlinks"},
		{rule: RuleROMount, errno: "EROFS", op: "write", want: who + "cannot write /data/f: the mount at /data has the flag ro (the mount only: the file system itself is writable)"},
		{rule: RuleROSuper, errno: "EROFS", op: "write", want: "the ext4 file system at /data itself is read-only (ro)"},
		{rule: RuleROSuper, errno: "EROFS", op: "write", facts: func(_ *Subject, w *Walk) { file(w).Overlay = &Overlay{UpperReadOnly: Yes} }, want: "that of its upper layer, which has become read-only"},
		{rule: RuleROSuper, errno: "EROFS", facts: func(_ *Subject, w *Walk) { w.Fail = "EROFS" }, want: "looks up a directory for the first time"},
		{rule: RuleNoExec, want: "the mount at /data has the flag noexec"},
		{rule: RuleNoDev, want: "the flag nodev"},
		{rule: RuleSBNoDev, want: "was mounted in a user namespace"},
		{rule: RuleImmutable, want: "chattr +i"},
		{rule: RuleAppend, want: "chattr +a"},
		{rule: RuleSticky, errno: "EPERM", op: "unlink", want: "its directory /data of root (uid 0 inside, 100000 outside) is sticky: only these two, or CAP_FOWNER over the file, may remove or rename it, write permission does not help"},
		{rule: RuleChownUnmappedCaller, errno: "EINVAL", op: "chown 70000 -", want: "uid 70000 does not exist in container db (it has 0-65535)"},
		{rule: RuleChownUnmappedCaller, errno: "EINVAL", op: "chown 5 65536", want: "gid 65536 does not exist in container db"},
		{rule: RuleChownUnmappedFS, errno: "EOVERFLOW", op: "chown 5 5", want: "the mount at /data has no number for the new owner or group"},
		{rule: RuleSUIDKill, op: "chown - -", want: "this would clear its set-id bits"},
		{rule: RuleXDev, op: "rename /b", want: "/data/f and /b are on different mounts"},
		{rule: RuleFileCaps, want: "the bounding set lacks"},
		{rule: RuleFormat, want: "neither ELF nor a script"},
		{rule: RuleFormat, facts: func(_ *Subject, w *Walk) { file(w).Exec = &Exec{Format: "unknown", Machine: "aarch64"} }, want: "is an ELF program for another machine, aarch64"},
		{rule: RuleFormat, facts: func(_ *Subject, w *Walk) { file(w).Exec = &Exec{Format: "unknown", Broken: true} }, want: "begins as an ELF program does"},
		{rule: RuleNoACL, want: "has no ACLs"},
		{rule: RuleXattr, errno: "ENODATA", op: "getxattr user.a", want: "has no attribute user.a"},
		{rule: RuleOverlayMounter, want: "who mounted that is refused by the layer"},
		{rule: RuleOverlayCopyUp, want: "cannot be copied up"},
		{rule: RuleNoPeer, op: "connect", want: "nothing listens on"},
		{rule: RuleFUSE, want: "without allow_other"},
		{rule: RuleSysctl, want: "is a setting of the kernel"},
		{rule: RuleFSLacks, errno: "EPERM", want: "has no such operation for /data/f (host /srv/db/f), root included (EPERM)"},
		{rule: RulePtrace, want: "the link of another process"},
		{rule: RuleLSM, want: "a security module"},
		{rule: RuleFS, want: "decides by itself"},
	}
	tested := make(map[Rule]bool)
	for _, tt := range tests {
		tested[tt.rule] = true
		s, w := explainSubject(), explainWalk()
		if tt.facts != nil {
			tt.facts(s, w)
		}
		if tt.op == "" {
			tt.op = "write"
		}
		v := &Verdict{Verdict: Deny, Path: w.Path, Component: w.Path, Rule: tt.rule, Errno: tt.errno}
		if tt.what != nil {
			tt.what(v)
		}
		if got := explain(s, w, mustParse(t, tt.op), v); !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.rule, got, tt.want)
		}
	}
	for _, rule := range constants(t, "rule.go", "Rule") {
		if rule != "" && !tested[Rule(rule)] {
			t.Errorf("no sentence is tested for %s", rule)
		}
	}
}

// A rule has a sentence whatever is known, and for every operation; the sentence has no hole in it.
func TestExplainWithoutFacts(t *testing.T) {
	for _, rule := range constants(t, "rule.go", "Rule") {
		if rule == "" {
			continue
		}
		for _, info := range Operations() {
			op := Operation{Op: info.Op}
			v := &Verdict{Verdict: Deny, Path: "/x", Component: "/x", Rule: Rule(rule), Errno: "EACCES"}
			e := explainer{s: &Subject{}, w: &Walk{Path: "/x"}, op: op, v: v}
			e.find()
			if e.reason() == "" {
				t.Fatalf("%s has no sentence", rule)
			}
			for _, text := range []string{
				explain(&Subject{}, &Walk{Path: "/x"}, op, v),
				explain(explainSubject(), explainWalk(), op, v),
			} {
				if strings.Contains(text, "  ") || strings.Contains(text, "%!") || strings.HasSuffix(text, " ") || strings.Contains(text, " , ") {
					t.Errorf("%s %s: %q", rule, op.Op, text)
				}
			}
		}
	}
}

func TestExplainOtherAnswers(t *testing.T) {
	tests := []struct {
		v    Verdict
		op   string
		want string
	}{
		{Verdict{Verdict: Allow, Rule: RuleModeOther}, "read", "allowed: mysql (uid 999 inside, 100999 outside) may read /data/f: on /data/f (host /srv/db/f) the mode 0644 gives others r--"},
		{Verdict{Verdict: Allow, Rule: RuleCap + "CAP_DAC_OVERRIDE"}, "write", "may write /data/f: it has CAP_DAC_OVERRIDE over /data/f (host /srv/db/f)"},
		{Verdict{Verdict: Allow}, "lookup", "allowed: mysql (uid 999 inside, 100999 outside) may look up /data/f"},
		{Verdict{Verdict: Unknown, Missing: "the ACL of /data/f: permission denied"}, "read", "unknown: whether mysql (uid 999 inside, 100999 outside) may read /data/f depends on the ACL of /data/f: permission denied"},
		{Verdict{Verdict: Unknown}, "access rw", "may have rw on /data/f depends on a fact"},
	}
	for _, tt := range tests {
		tt.v.Path, tt.v.Component = "/data/f", "/data/f"
		if got := explain(explainSubject(), explainWalk(), mustParse(t, tt.op), &tt.v); !strings.Contains(got, tt.want) {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// A name cannot pass for a part of the sentence.
func TestExplainHostileNames(t *testing.T) {
	s, w := explainSubject(), explainWalk()
	s.Names.Users[999] = "root (uid 0)"
	const path = "/data/f: allowed"
	file(w).Path = path
	w.Path = path
	got := explain(s, w, Operation{Op: OpWrite}, &Verdict{Verdict: Deny, Rule: RuleExists, Path: path, Component: path})
	if want := `denied: "root (uid 0)" (uid 999 inside, 100999 outside) cannot write "/data/f: allowed": "/data/f: allowed"`; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
}

// Set-id bits that give nothing are said to be ignored, and why; those that count are not mentioned.
func TestExplainSetIDs(t *testing.T) {
	tests := map[string]struct {
		facts func(*Subject, *Walk)
		want  string
	}{
		"they count":        {func(*Subject, *Walk) {}, ""},
		"no_new_privs":      {func(s *Subject, _ *Walk) { s.Cred.NoNewPrivs = true }, "the target has no_new_privs"},
		"nosuid":            {func(_ *Subject, w *Walk) { file(w).Mount.NoSUID = true }, "the mount at /data has the flag nosuid"},
		"unmapped":          {func(_ *Subject, w *Walk) { file(w).UID = seen(0) }, "its owner and group are not both mapped in the target's user namespace"},
		"a script":          {func(_ *Subject, w *Walk) { file(w).Exec.Format = "script" }, "it is a script"},
		"set-gid without x": {func(s *Subject, w *Walk) { file(w).Mode, s.Cred.NoNewPrivs = 0o2705, true }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, w := explainSubject(), explainWalk()
			f := file(w)
			f.Mode, f.UID, f.GID, f.Exec = 0o4755, seen(100000), seen(100000), &Exec{Format: "elf"}
			tt.facts(s, w)
			text := explain(s, w, mustParse(t, "exec"), &Verdict{Verdict: Allow})
			if _, why, _ := strings.Cut(text, "set-id bits are ignored: "); why != tt.want {
				t.Errorf("%s", text)
			}
		})
	}
}

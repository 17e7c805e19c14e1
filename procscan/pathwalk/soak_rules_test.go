package pathwalk

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// ruleCase is a question that one rule decides: an engine without the rule answers it wrong.
type ruleCase struct {
	rule    access.Rule
	subject string
	op      string // as on the command line
	setting string // a number below /proc/sys/fs that has to be more than 0
}

// ruleSubjects ask the questions.
var ruleSubjects = map[string]subject{
	"root":     {Groups: []int{}, Prm: allCaps, Eff: allCaps, Bnd: allCaps},
	"user":     {UID: 1000, EUID: 1000, GID: 1000, EGID: 1000, Groups: []int{}, Bnd: allCaps},
	"member":   {UID: 1001, EUID: 1001, GID: 1001, EGID: 1001, Groups: []int{2000}, Bnd: allCaps},
	"bounded":  {UID: 1000, EUID: 1000, GID: 1000, EGID: 1000, Groups: []int{}},
	"reader":   having(unix.CAP_DAC_READ_SEARCH),
	"writer":   having(unix.CAP_DAC_OVERRIDE),
	"fowner":   having(unix.CAP_FOWNER),
	"chowner":  having(unix.CAP_CHOWN),
	"setgid":   having(unix.CAP_FSETID),
	"mknod":    having(unix.CAP_MKNOD),
	"setfcap":  having(unix.CAP_SETFCAP),
	"sysadmin": having(unix.CAP_SYS_ADMIN),
	"croot":    {In: where{1, 1}, Groups: []int{}, Prm: allCaps, Eff: allCaps, Bnd: allCaps},
	"visitor":  {In: where{0, 1}, Groups: []int{}, Prm: allCaps, Eff: allCaps, Bnd: allCaps},
	"rootless": {In: where{3, 0}, UID: 1, EUID: 1, GID: 1, EGID: 1, Groups: []int{}, Prm: allCaps, Eff: allCaps, Bnd: allCaps},
}

// having is an ordinary user with one capability.
func having(c int) subject {
	return subject{UID: 1001, EUID: 1001, GID: 1001, EGID: 1001, Groups: []int{}, Prm: 1 << c, Eff: 1 << c, Bnd: allCaps}
}

// ruleScene is what the questions are about: a container (space 1), and namespaces that map few ids.
func ruleScene() *scene {
	s := &scene{Spaces: []space{
		{},
		{UID: []extent{{0, 100000, 65536}}, GID: []extent{{0, 100000, 65536}}, OwnMounts: true},
		{UID: []extent{{0, 1000, 10}}, GID: []extent{{0, 1000, 10}}},
		{UID: []extent{{1, 1, 10}}, GID: []extent{{1, 1, 10}}},
	}}
	by := where{}
	file := func(kind, path string, uid, gid int, mode uint32, more ...func(*act)) {
		a := act{By: by, Kind: kind, Path: path, UID: uid, GID: gid, Mode: mode}
		for _, edit := range more {
			edit(&a)
		}
		s.Acts = append(s.Acts, a)
	}
	acl := func(text string) func(*act) { return func(a *act) { a.ACL = text } }
	text := func(text string) func(*act) { return func(a *act) { a.Text = text } }
	from := func(source string, idmap int, attr ...string) func(*act) {
		return func(a *act) { a.Source, a.Idmap, a.Attr = source, idmap, attr }
	}
	for _, name := range []string{"ro", "rosb", "noexec", "nodev", "nosym", "idm", "ram", "c", "full", "low"} {
		file("dir", "/t/"+name, 0, 0, 0o755)
	}
	file("dir", "/t/open", 0, 0, 0o777)
	file("dir", "/t/sticky", 0, 0, 0o1777)
	file("dir", "/t/full/entry", 0, 0, 0o755)
	file("dir", "/t/src", 0, 0, 0o755)
	file("file", "/t/src/file", 0, 0, 0o644)
	file("file", "/t/src/alien", 5000, 5000, 0o666)
	file("program", "/t/src/prog", 0, 0, 0o755)
	file("device", "/t/src/null", 0, 0, 0o666)
	file("link", "/t/src/link", 0, 0, 0, text("file"))
	file("link", "/t/loop", 0, 0, 0, text("loop"))
	file("dir", "/t/low/dir", 0, 0, 0o755)
	file("file", "/t/low/secret", 0, 0, 0o600)
	file("file", "/t/low/public", 0, 0, 0o666)
	file("socket", "/t/socket", 0, 0, 0o777)
	file("file", "/t/rootfile", 0, 0, 0o600)
	file("file", "/t/ours", 0, 0, 0o666)
	file("file", "/t/plain", 0, 0, 0o755)
	file("file", "/t/five", 5, 5, 0o644)
	file("file", "/t/mine", 1000, 1000, 0o644)
	file("file", "/t/notmine", 1000, 1000, 0o077)
	file("file", "/t/group", 0, 2000, 0o707)
	file("file", "/t/suid", 1000, 1000, 0o4755)
	file("file", "/t/sgid", 1000, 3000, 0o2644)
	file("file", "/t/acluser", 0, 0, 0o644, acl("user::rw-,user:1000:---,group::r--,mask::r--,other::r--"))
	file("file", "/t/aclgroup", 0, 0, 0o644, acl("user::rw-,group::r--,group:1000:---,mask::r--,other::r--"))
	file("file", "/t/aclmask", 0, 0, 0o644, acl("user::rw-,user:1000:rw-,group::r--,mask::-w-,other::r--"))
	file("file", "/t/aclother", 0, 0, 0o644, acl("user::rw-,user:7:r--,group::r--,mask::r--,other::---"))
	file("file", "/t/sticky/root", 0, 0, 0o666)
	file("file", "/t/sticky/other", 1001, 1001, 0o666)
	file("fifo", "/t/sticky/fifo", 1001, 1001, 0o666)
	file("link", "/t/sticky/link", 1001, 1001, 0, text("other"))
	file("program", "/t/capable", 0, 0, 0o755, func(a *act) { a.Caps = &fileCapsSpec{Permitted: 1 << unix.CAP_CHOWN, Effective: true, Root: -1} })
	file("file", "/t/foreign", 5, 5, 0o644, func(a *act) { a.Caps = &fileCapsSpec{Permitted: 1 << unix.CAP_CHOWN, Root: 100000} })
	file("file", "/t/immutable", 0, 0, 0o666)
	file("file", "/t/append", 0, 0, 0o666)
	file("mount", "/t/ro", 0, 0, 0, from("/t/src", 0, "ro"))
	file("mount", "/t/noexec", 0, 0, 0, from("/t/src", 0, "noexec"))
	file("mount", "/t/nodev", 0, 0, 0, from("/t/src", 0, "nodev"))
	file("mount", "/t/nosym", 0, 0, 0, from("/t/src", 0, "nosymfollow"))
	file("mount", "/t/idm", 0, 0, 0, from("/t/src", 2))
	file("tmpfs", "/t/rosb", 0, 0, 0, text("mode=755"))
	file("file", "/t/rosb/file", 0, 0, 0o666)
	file("ramfs", "/t/ram", 0, 0, 0, text("mode=755"))
	by = where{1, 1}
	file("tmpfs", "/t/c", 0, 0, 0, text("mode=755"))
	file("file", "/t/c/file", 0, 0, 0o644)
	for _, name := range []string{"up", "work", "merged"} {
		file("dir", "/t/c/"+name, 0, 0, 0o755)
	}
	file("overlay", "/t/c/merged", 0, 0, 0, text("lowerdir=/t/low,upperdir=/t/c/up,workdir=/t/c/work,userxattr"))
	by = where{0, 1}
	file("device", "/t/c/null", 100000, 100000, 0o666)
	by = where{}
	file("flag", "/t/immutable", 0, 0, 0, text("immutable"))
	file("flag", "/t/append", 0, 0, 0, text("append"))
	file("read-only", "/t/rosb", 0, 0, 0)
	return s
}

// ruleCases are at least one for every rule. Those that the kernel allows come last: they change something.
var ruleCases = []ruleCase{
	{rule: access.RuleNotFound, subject: "user", op: "lookup /t/none"},
	{rule: access.RuleNotDir, subject: "user", op: "lookup /t/mine/below"},
	{rule: access.RuleNotDir, subject: "root", op: "unlink /t/mine/"},
	{rule: access.RuleNotDir, subject: "root", op: "rename /t/mine /t/open/new/"},
	{rule: access.RuleIsDir, subject: "root", op: "write /t"},
	{rule: access.RuleExists, subject: "root", op: "mkdir /t/mine"},
	{rule: access.RuleNotEmpty, subject: "root", op: "rmdir /t/full"},
	{rule: access.RuleBusy, subject: "root", op: "rmdir /t/ro"},
	{rule: access.RuleInvalid, subject: "root", op: "readlink /t/mine"},
	{rule: access.RuleNameTooLong, subject: "user", op: "lookup /t/" + strings.Repeat("n", 256)},
	{rule: access.RuleSymlinkLoop, subject: "user", op: "lookup /t/loop"},
	{rule: access.RuleNoSymfollow, subject: "root", op: "read /t/nosym/link"},
	{rule: access.RuleProtectedSymlinks, subject: "root", op: "lookup /t/sticky/link", setting: "protected_symlinks"},
	{rule: access.RuleProtectedRegular, subject: "root", op: "opencreat /t/sticky/other", setting: "protected_regular"},
	{rule: access.RuleProtectedFifos, subject: "root", op: "opencreat /t/sticky/fifo", setting: "protected_fifos"},
	{rule: access.RuleProtectedHardlinks, subject: "user", op: "link /t/rootfile /t/open/link", setting: "protected_hardlinks"},
	{rule: access.RuleModeOwner, subject: "user", op: "read /t/notmine"},
	{rule: access.RuleModeGroup, subject: "member", op: "read /t/group"},
	{rule: access.RuleModeOther, subject: "user", op: "read /t/rootfile"},
	{rule: access.RuleACLUser, subject: "user", op: "read /t/acluser"},
	{rule: access.RuleACLGroup, subject: "user", op: "read /t/aclgroup"},
	{rule: access.RuleACLMask, subject: "user", op: "read /t/aclmask"},
	{rule: access.RuleACLOther, subject: "user", op: "read /t/aclother"},
	{rule: access.RuleCap + "CAP_SETFCAP", subject: "user", op: "setxattr security.capability /t/mine"},
	{rule: access.RuleCap + "CAP_SYS_ADMIN", subject: "user", op: "setxattr security.x /t/mine"},
	{rule: access.RuleCapUnmappedInode, subject: "croot", op: "read /t/rootfile"},
	{rule: access.RuleCapUnmappedInode, subject: "croot", op: "chmod 0600 /t/rootfile"},
	{rule: access.RuleCapUnmappedInode, subject: "croot", op: "setxattr security.capability /t/rootfile"},
	{rule: access.RuleIdmapUnmapped, subject: "root", op: "write /t/idm/alien"},
	{rule: access.RuleIdmapUnmapped, subject: "root", op: "chmod 0600 /t/idm/alien"},
	{rule: access.RuleIdmapUnmapped, subject: "root", op: "setxattr user.x /t/idm/alien"},
	{rule: access.RuleIdmapUnmapped, subject: "root", op: "chown 1000 - /t/idm/alien"},
	{rule: access.RuleFsidUnmapped, subject: "visitor", op: "create /t/c/new"},
	{rule: access.RuleFsidUnmapped, subject: "root", op: "create /t/idm/new"},
	{rule: access.RuleROMount, subject: "root", op: "write /t/ro/file"},
	{rule: access.RuleROMount, subject: "root", op: "unlink /t/ro/none"},
	{rule: access.RuleROSuper, subject: "root", op: "write /t/rosb/file"},
	{rule: access.RuleROSuper, subject: "root", op: "create /t/rosb/new"},
	{rule: access.RuleNoExec, subject: "root", op: "exec /t/noexec/prog"},
	{rule: access.RuleNoDev, subject: "root", op: "read /t/nodev/null"},
	{rule: access.RuleSBNoDev, subject: "visitor", op: "read /t/c/null"},
	{rule: access.RuleImmutable, subject: "root", op: "write /t/immutable"},
	{rule: access.RuleImmutable, subject: "root", op: "unlink /t/immutable"},
	{rule: access.RuleAppend, subject: "root", op: "write /t/append"},
	{rule: access.RuleAppend, subject: "root", op: "unlink /t/append"},
	{rule: access.RuleAppend, subject: "root", op: "truncate /t/append"},
	{rule: access.RuleSticky, subject: "user", op: "unlink /t/sticky/root"},
	{rule: access.RuleNotOwner, subject: "user", op: "chmod 0600 /t/ours"},
	{rule: access.RuleNotOwner, subject: "user", op: "chown 1000 - /t/ours"},
	{rule: access.RuleChownUnmappedCaller, subject: "croot", op: "chown 70000 - /t/c/file"},
	{rule: access.RuleChownUnmappedFS, subject: "root", op: "chown 4242 - /t/idm/file"},
	{rule: access.RuleSUIDKill, subject: "chowner", op: "chown 1001 - /t/suid"},
	{rule: access.RuleXDev, subject: "root", op: "rename /t/mine /t/idm/new"},
	{rule: access.RuleXDev, subject: "croot", op: "rename /t/c/merged/dir /t/c/merged/new"},
	{rule: access.RuleInitCap, subject: "croot", op: "mknod /t/c/new"},
	{rule: access.RuleInitCap, subject: "croot", op: "setxattr trusted.x /t/c/file"},
	{rule: access.RuleFileCaps, subject: "bounded", op: "exec /t/capable"},
	{rule: access.RuleFileCaps, subject: "rootless", op: "setxattr security.capability /t/five"},
	{rule: access.RuleFileCaps, subject: "rootless", op: "getxattr security.capability /t/foreign"},
	{rule: access.RuleFormat, subject: "root", op: "exec /t/plain"},
	{rule: access.RuleNoACL, subject: "root", op: "getacl /t/ram"},
	{rule: access.RuleXattr, subject: "root", op: "getxattr user.none /t/mine"},
	{rule: access.RuleOverlayMounter, subject: "visitor", op: "read /t/c/merged/secret"},
	{rule: access.RuleOverlayCopyUp, subject: "croot", op: "write /t/c/merged/public"},
	{rule: access.RuleNoPeer, subject: "root", op: "read /t/socket"},
	// What follows is opened at most: nothing of /proc is written to.
	{rule: access.RuleSysctl, subject: "root", op: "write /proc/sys/kernel/ostype"},
	{rule: access.RulePtrace, subject: "bounded", op: "chdir /proc/1/root"},
	{rule: access.RuleFSLacks, subject: "root", op: "mkdir /proc/sys/new"},
	// What a capability gives.
	{rule: access.RuleCap + "CAP_DAC_READ_SEARCH", subject: "reader", op: "read /t/rootfile"},
	{rule: access.RuleCap + "CAP_DAC_OVERRIDE", subject: "writer", op: "write /t/rootfile"},
	{rule: access.RuleCap + "CAP_FOWNER", subject: "fowner", op: "noatime /t/ours"},
	{rule: access.RuleCap + "CAP_CHOWN", subject: "chowner", op: "chown 0 - /t/ours"},
	{rule: access.RuleCap + "CAP_FSETID", subject: "setgid", op: "chown - - /t/sgid"},
	{rule: access.RuleCap + "CAP_MKNOD", subject: "mknod", op: "mknod /t/open/null"},
	{rule: access.RuleCap + "CAP_SETFCAP", subject: "setfcap", op: "setxattr security.capability /t/plain"},
	{rule: access.RuleCap + "CAP_SYS_ADMIN", subject: "sysadmin", op: "setxattr trusted.x /t/plain"},
}

// notCompared are the rules about which this test asks nothing.
var notCompared = map[access.Rule]string{
	access.RuleWalkX: "only names a step", access.RuleCap: "is followed by a name",
	access.RuleLSM: "denies nothing", access.RuleFS: "denies nothing",
	access.RuleFUSE: "takes a FUSE server",
}

// question is an operation as on the command line, in which the path comes last; of two paths the new one.
func (c *ruleCase) question(t *testing.T) request {
	t.Helper()
	words := strings.Fields(c.op)
	q := request{Path: words[len(words)-1]}
	args := words[1 : len(words)-1]
	switch access.Op(words[0]) {
	case access.OpRename, access.OpLink:
		q.Path, args = words[1], words[2:]
	}
	op, err := access.ParseOperation(words[0], args)
	if err != nil {
		t.Fatalf("%s: %v", c.op, err)
	}
	q.Op = op
	return q
}

// TestEveryRuleAgainstKernel has a question for every rule of the engine that the kernel answers as the rule says, and
// that an engine without the rule answers wrong.
func TestEveryRuleAgainstKernel(t *testing.T) {
	st := newStage(t)
	s := ruleScene()
	index := map[string]int{}
	for name, p := range ruleSubjects {
		index[name] = len(s.Subjects)
		s.Subjects = append(s.Subjects, p)
	}
	w, err := st.build(s)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	asked := map[access.Rule]bool{}
	for _, c := range ruleCases {
		asked[c.rule] = true
		if c.setting != "" {
			value, err := os.ReadFile("/proc/sys/fs/" + c.setting)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(value)) == "0" {
				t.Logf("not compared with this kernel: %s, since fs.%s is 0; the fixtures of package access hold it", c.rule, c.setting)
				continue
			}
		}
		q := c.question(t)
		a, err := w.ask(index[c.subject], q)
		switch {
		case err != nil:
			t.Fatalf("%s, %s: %v", c.rule, c.op, err)
		case a.verdict.Verdict == access.Unknown || a.wrong():
			t.Errorf("%s, as %s:\n%s", c.rule, c.subject, a.report(q))
		case a.verdict.Verdict == access.Deny && a.verdict.Rule != c.rule:
			t.Errorf("%s, as %s, is decided by %s, not by %s", c.op, c.subject, a.verdict.Rule, c.rule)
		case !a.lacking(c.rule, q.Op):
			t.Errorf("%s, as %s: an engine without %s is right as well", c.op, c.subject, c.rule)
		}
	}
	for _, rule := range engineRules(t) {
		switch why, known := notCompared[rule]; {
		case known && asked[rule]:
			t.Errorf("%s is asked about: but is said to be left out: it %s", rule, why)
		case !known && !asked[rule]:
			t.Errorf("no question is about the rule %s", rule)
		}
	}
}

// engineRules are all rules that the engine declares.
func engineRules(t *testing.T) []access.Rule {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../nsinspect/access/rule.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rules []access.Rule
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Rule" {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Value != `""` {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				rules = append(rules, access.Rule(text))
			}
		}
		return true
	})
	if len(rules) < 40 || !slices.Contains(rules, access.RuleSticky) {
		t.Fatalf("rule.go declares %d rules", len(rules))
	}
	return rules
}

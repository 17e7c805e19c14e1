package pathwalk

import (
	"os"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// TestStandIn: in a FUSE file system without allow_other root sees nothing, and who mounted it is answered all the same.
func TestStandIn(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	serveFUSE(t, dir, "user_id=1000,group_id=1000,default_permissions")
	p := proberNow(t)
	questions := []string{
		"lookup " + dir, "lookup " + dir + "/f", "read " + dir + "/f", "write " + dir + "/f", "access " + dir + "/f rw", "lookup " + dir + "/missing", "chmod " + dir + "/f 0600",
		"create " + dir + "/new", "unlink " + dir + "/f", "lookup " + dir + "/f/x", "chdir " + dir, "lookup " + dir + "/./f", "mkdir " + dir + "/f", "readlink " + dir + "/f",
	}
	rules := agree(t, p, user(t, "1000"), questions...)
	if rules[access.RuleModeOther] == 0 {
		t.Errorf("no answer was decided by what is in the file system: %v", rules)
	}
	for _, older := range []bool{false, true} {
		p.now.mountinfo = older
		agree(t, p, user(t, "1001"), questions...)
		agree(t, p, startAgent(t, "root", nil, agentProgram(t)), questions...)
		agree(t, p, user(t, "1000"), questions...)
	}
	if v, _ := decideFor(t, p, user(t, "1000"), "lookup "+dir+"/.."); v.Verdict != access.Unknown {
		t.Errorf("what is above the file system: %s: %s", v.Verdict, v.Explanation)
	}
}

// TestStandInIdmapped: a directory of an owner whom an idmapped mount does not map refuses root of the host as it refuses
// anybody, and lets its group in.
func TestStandInIdmapped(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	source, target := mkdir(t, dir+"/source"), mkdir(t, dir+"/target")
	for name, mode := range map[string]uint32{"d/f": 0o644, "d/secret": 0o600, "d/e/g": 0o664, "d/closed/h": 0o666} {
		if err := unix.Chmod(file(t, source+"/"+name, 1, 1), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("e/g", source+"/d/link"); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]uint32{"d": 0o730, "d/e": 0o750, "d/closed": 0o700} {
		if err := os.Lchown(source+"/"+name, 70000, 1); err != nil { // nobody's in the mount
			t.Fatal(err)
		}
		if err := unix.Chmod(source+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
	}
	idmappedMount(t, source, target, shiftedBy(100000))
	p := proberNow(t)
	questions := []string{}
	for _, name := range []string{"d", "d/f", "d/secret", "d/e", "d/e/g", "d/link", "d/closed", "d/closed/h", "d/missing", "d/e/missing", "d/f/x", "d/e/.", "d/e/..", "d/e/../f"} {
		at := target + "/" + name
		questions = append(questions, "lookup "+at, "read "+at, "write "+at, "access "+at+" r", "chdir "+at, "readlink "+at, "getacl "+at, "create "+at, "mkdir "+at, "unlink "+at, "chmod "+at+" 0644", "exec "+at)
	}
	allowed := 0
	for _, a := range []*agent{user(t, "100001"), user(t, "1000"), startAgent(t, "root", nil, agentProgram(t)), scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), "true")} {
		for _, q := range questions {
			agree(t, p, a, q)
			if v, _ := decideFor(t, p, a, q); v.Verdict == access.Allow {
				allowed++
			}
		}
	}
	if allowed == 0 {
		t.Error("nothing was allowed: the group was not let in")
	}
}

package pathwalk

import (
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
)

// TestStandIn: in a FUSE file system without allow_other root sees nothing, and who mounted it is answered all the same.
func TestStandIn(t *testing.T) {
	proctest.NeedRoot(t)
	dir := reachableDir(t)
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

package pathwalk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// overlayFiles fills layers: names say which layer has them.
func overlayFiles(t *testing.T, l *layers) {
	t.Helper()
	for _, d := range []string{l.dir, l.upper, l.lower1, l.lower2} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, uid := range map[string]int{"/low": 1000, "/d/low": 1000, "/d/root": 0, "/far/low": 70000, "/far/nobody": 65534, "/closed/f": 0, "/shifted/f": 101000} {
		p := file(t, l.lower1+name, uid, uid)
		if err := os.Lchown(filepath.Dir(p), uid, uid); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chmod(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for p, mode := range map[string]uint32{"/closed": 0o700, "/far/nobody": 0o666, "/far/low": 0o666, "/shifted/f": 0o666} {
		if err := unix.Chmod(l.lower1+p, mode); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, l.lower1+"/empty")
	file(t, l.upper+"/up", 1000, 1000)
	mkdir(t, l.upper+"/updir")
	file(t, l.upper+"/both/up", 1000, 1000)
	file(t, l.lower1+"/both/low", 1000, 1000)
	if err := os.Chown(l.upper+"/both", 1000, 1000); err != nil {
		t.Fatal(err)
	}
}

// overlayQuestions change nothing that another one asks about, or leave it as it was.
func overlayQuestions(at string) []string {
	q := []string{}
	for _, f := range []string{"low", "d/low", "d/root", "far/low", "far/nobody", "closed/f", "shifted/f", "up", "both/up", "both/low", "missing"} {
		p := at + "/" + f
		q = append(q, "read "+p, "access "+p+" w", "getacl "+p, "exec "+p, "lookup "+p, "rename "+p+" "+p+"/x", "link "+p+" "+at+"/d", "chmod "+p+" 0644", "write "+p, "unlink "+p)
	}
	for _, d := range []string{"d", "far", "closed", "shifted", "updir", "both", "empty"} {
		p := at + "/" + d
		q = append(q, "chdir "+p, "read "+p, "create "+p+"/new", "unlink "+p+"/new", "rename "+p+" "+at+"/x", "rename "+at+"/x "+p, "rmdir "+p)
	}
	return q
}

func TestOverlayFacts(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	overlayFiles(t, &l)
	mountAt(t, "overlay", l.merged, "overlay", 0, l.options())
	p := proberNow(t)
	in := scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), "true")
	for _, a := range []*agent{user(t, "1000"), in, startAgent(t, "root", nil, agentProgram(t))} {
		agree(t, p, a, overlayQuestions(l.merged)...)
	}
}

// TestOverlayIdmapped: a layer may be an idmapped mount; the overlay shows the ids that this shows.
func TestOverlayIdmapped(t *testing.T) {
	proctest.NeedRoot(t)
	for _, who := range []string{"1000", "101000", "0"} {
		l := makeLayers(t)
		overlayFiles(t, &l)
		mapped := mkdir(t, l.dir+"/mapped")
		idmappedMount(t, l.lower1, mapped, shiftedBy(100000))
		mountAt(t, "overlay", l.merged, "overlay", 0, "lowerdir="+mapped+",upperdir="+mkdir(t, l.dir+"/u")+",workdir="+mkdir(t, l.dir+"/w"))
		if err := os.Chmod(l.merged, 0o777); err != nil {
			t.Fatal(err)
		}
		rules := agree(t, proberNow(t), user(t, who), overlayQuestions(l.merged)...)
		if rules[access.RuleIdmapUnmapped] == 0 {
			t.Errorf("no answer was decided by an id that the layer does not map: %v", rules)
		}
	}
}

// TestOverlayOfUserNamespace: who mounted an overlay in a user namespace needs its layers too, and can copy up only what
// has ids there.
func TestOverlayOfUserNamespace(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	overlayFiles(t, &l)
	mount := "mount -t overlay -o userxattr,lowerdir=" + l.dir + "/lower,upperdir=" + mkdirOwned(t, l.dir+"/u") + ",workdir=" + mkdirOwned(t, l.dir+"/w") + " none " + l.merged
	if err := os.Rename(l.lower1, l.dir+"/lower"); err != nil {
		t.Fatal(err)
	}
	a := scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), mount)
	p := proberNow(t)
	rules := agree(t, p, a, overlayQuestions(l.merged)...)
	for _, rule := range []access.Rule{access.RuleOverlayMounter, access.RuleOverlayCopyUp} {
		if rules[rule] == 0 {
			t.Errorf("no answer was decided by %s: %v", rule, rules)
		}
	}
}

// TestOverlayRelative: engines change directory and name layers from there.
func TestOverlayRelative(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	overlayFiles(t, &l)
	for _, d := range []string{"store/l", "store/1", "store/1/work", "store/1/merged"} {
		mkdir(t, l.dir+"/"+d)
	}
	for from, to := range map[string]string{l.lower1: "store/0", l.upper: "store/1/diff"} {
		if err := os.Rename(from, l.dir+"/"+to); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../0", l.dir+"/store/l/ABC"); err != nil {
		t.Fatal(err)
	}
	a := scriptedAgent(t, "where it is mounted", nil, "cd "+l.dir+"/store && mount -t overlay -o lowerdir=l/ABC,upperdir=1/diff,workdir=1/work overlay "+l.dir+"/store/1/merged")
	p := proberNow(t)
	agree(t, p, a, overlayQuestions(l.dir+"/store/1/merged")...)
}

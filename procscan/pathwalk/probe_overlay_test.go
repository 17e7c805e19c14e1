package pathwalk

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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

// TestOverlayUpperReadOnly: the file system of the upper layer may become read-only when the overlay is mounted long since,
// and the overlay does not look it. What the lower layers have is refused later than what the upper one has.
func TestOverlayUpperReadOnly(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	overlayFiles(t, &l)
	disk := mkdir(t, l.dir+"/disk")
	mountAt(t, "tmpfs", disk, "tmpfs", 0, "mode=777")
	for _, d := range []string{"u", "w"} {
		if err := os.Chmod(mkdir(t, disk+"/"+d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// Merged and not made by the overlay: it notes where it comes from when it is looked up first.
	file(t, l.lower1+"/made/low", 1000, 1000)
	mkdir(t, disk+"/u/made")
	if err := os.Rename(l.lower1, l.dir+"/lower"); err != nil {
		t.Fatal(err)
	}
	mountAt(t, "overlay", l.merged, "overlay", 0, "lowerdir="+l.dir+"/lower,upperdir="+disk+"/u,workdir="+disk+"/w")
	if err := os.Chmod(l.merged, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"up", "updir/up", "sticky/up"} {
		if err := os.Chmod(filepath.Dir(file(t, l.merged+"/"+name, 1000, 1000)), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Chmod(l.merged+"/sticky", 0o1777); err != nil {
		t.Fatal(err)
	}
	questions := overlayQuestions(l.merged)
	for _, f := range []string{"up", "updir/up", "sticky/up", "low", "d/low", "d/root", "far/low"} {
		p := l.merged + "/" + f
		questions = append(questions, "opentrunc "+p, "truncate "+p, "append "+p, "rdwr "+p, "touch "+p, "utimes "+p, "chown "+p+" - -", "chown "+p+" 1001 -",
			"setxattr "+p+" user.x", "setxattr "+p+" trusted.x", "setxattr "+p+" system.posix_acl_access", "unlink "+p, "noatime "+p, "opencreat "+p,
			"exchange "+p+" "+l.merged+"/up", "noreplace "+p+" "+l.merged+"/updir/new", "link "+p+" "+l.merged+"/updir/new", "rename "+l.merged+"/up "+p)
	}
	for _, d := range []string{"", "/updir", "/sticky", "/d", "/both"} {
		p := l.merged + d + "/new"
		questions = append(questions, "create "+p, "opencreat "+p, "mkdir "+p, "symlink "+p, "mkfifo "+p, "mknod "+p, "whiteout "+p, "access "+l.merged+d+" w")
	}
	made := l.merged + "/made"
	questions = append(questions, "lookup "+made, "lookup "+made+"/low", "lookup "+made+"/none", "chdir "+made, "create "+made+"/new", "mkdir "+made, "create "+made,
		"unlink "+made, "rmdir "+made, "rename "+made+" "+l.merged+"/x", "rename "+l.merged+"/up "+made, "link "+l.merged+"/up "+made, "lookup "+made+"/..")
	p := proberNow(t)
	in := scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), "true")
	agents := []*agent{user(t, "1000"), user(t, "1001"), in, startAgent(t, "root", nil, agentProgram(t))}
	agree(t, p, agents[0], "write "+l.merged+"/up", "access "+l.merged+"/low w") // while it is writable
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	rules := map[access.Rule]int{}
	for _, a := range agents {
		for rule, n := range agree(t, p, a, questions...) {
			rules[rule] += n
		}
	}
	if rules[access.RuleROSuper] == 0 {
		t.Errorf("no answer was decided by the file system of the upper layer: %v", rules)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	agree(t, p, agents[0], "write "+l.merged+"/up", "chmod "+l.merged+"/low 0644")
}

// TestOverlayFlags: what ext4 refuses of an immutable file it refuses of one in the upper layer too, and not of the copy of
// one in a lower layer, whose flags the overlay keeps elsewhere.
func TestOverlayFlags(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	overlayFiles(t, &l)
	questions := []string{}
	for _, layer := range []string{l.upper, l.lower1} {
		for _, flag := range []int{flagImmutable, flagAppend} {
			for _, mode := range []uint32{0o644, 0o4755, 0o2755} {
				name := filepath.Base(layer)[:2] + "-" + strconv.Itoa(flag) + "-" + strconv.FormatUint(uint64(mode), 8)
				p := file(t, layer+"/"+name, 1000, 1000)
				if err := unix.Chmod(p, mode); err != nil {
					t.Fatal(err)
				}
				err := setFlag(p, flag)
				proctest.Need(t, "flags", err == nil, fmt.Sprintf("chattr on %s: %v", p, err))
				t.Cleanup(func() { _ = setFlag(p, 0) })
				shown := l.merged + "/" + name
				questions = append(questions, "chown "+shown+" 1000 -", "chmod "+shown+" 0600", "touch "+shown, "utimes "+shown, "append "+shown, "write "+shown, "truncate "+shown, "link "+shown+" "+l.merged+"/x", "unlink "+shown, "chown "+shown+" - -")
			}
		}
	}
	mountAt(t, "overlay", l.merged, "overlay", 0, l.options())
	p := proberNow(t)
	for _, a := range []*agent{user(t, "1000"), user(t, "1001"), scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), "true"), startAgent(t, "root", nil, agentProgram(t))} {
		agree(t, p, a, questions...)
	}
}

package pathwalk

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// layers is an overlay's directories on the host: upper, two lower ones, and where it is mounted.
type layers struct{ dir, upper, lower1, lower2, merged string }

func makeLayers(t *testing.T) layers {
	t.Helper()
	dir := tempDir(t)
	l := layers{dir, dir + "/up,per", dir + "/low:er", dir + `/back\slash`, dir + "/merged"}
	for _, d := range []string{l.upper, l.lower1, l.lower2, l.merged, dir + "/work"} {
		mkdir(t, d)
	}
	return l
}

// options are the mount options as overlayfs wants them escaped.
func (l *layers) options() string {
	esc := strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`)
	return "lowerdir=" + esc.Replace(l.lower1) + ":" + esc.Replace(l.lower2) + ",upperdir=" + esc.Replace(l.upper) + ",workdir=" + l.dir + "/work"
}

func TestOverlay(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	low := file(t, l.lower2+"/d/low", 1, 1)
	copied := file(t, l.lower1+"/d/copied", 2, 2)
	removed := file(t, l.lower1+"/d/removed", 3, 3)
	shadowed := file(t, l.lower2+"/d/shadowed", 4, 4)
	shadow := file(t, l.lower1+"/d/shadowed", 5, 5)
	buried := file(t, l.lower2+"/opaque/buried", 6, 6)
	replaced := file(t, l.lower2+"/replaced/file", 7, 7)
	mountAt(t, "overlay", l.merged, "overlay", 0, l.options())
	upper := file(t, l.merged+"/d/new", 8, 8)
	if err := os.Chown(l.merged+"/d/copied", 9, 9); err != nil { // copied up
		t.Fatal(err)
	}
	for _, gone := range []string{"/d/removed", "/opaque", "/replaced"} {
		if err := os.RemoveAll(l.merged + gone); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, l.merged+"/opaque") // made anew: what is below it in the lower layers stays gone
	file(t, l.merged+"/replaced", 10, 10)
	mkdir(t, l.dir+"/vol")
	c := start(t, unix.CLONE_NEWNS, shiftedBy(0), private+"mount --bind "+l.merged+"/d "+l.dir+"/vol"+ready)

	for _, tc := range []struct {
		name, path string
		uid        int
		in         string // path in the overlay, "" when it does not show the file
	}{
		{"lower", low, 1, "/d/low"},
		{"copied up: the lower file is hidden", copied, 2, ""},
		{"copied up: the upper file is seen", l.upper + "/d/copied", 9, "/d/copied"},
		{"whiteout", removed, 3, ""},
		{"the whiteout itself", l.upper + "/d/removed", 0, ""},
		{"in two lower layers", shadowed, 4, ""},
		{"in two lower layers, the higher one", shadow, 5, "/d/shadowed"},
		{"below an opaque directory", buried, 6, ""},
		{"below what is a file now", replaced, 7, ""},
		{"new", l.upper + "/d/new", 8, "/d/new"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, gaps := owners(t, tc.path)
			ids := hostNames(t, tc.uid)
			view := func(path string) string { return path + " " + number(tc.uid) + " " + ids }
			want, inside := []string{view(tc.path)}, []string{view(tc.path)}
			if tc.in != "" {
				want = append(want, view(l.merged+tc.in))
				inside = append(inside, view(l.merged+tc.in), view(l.dir+"/vol/"+filepath.Base(tc.in)))
			}
			wantViews(t, &f, nil, want...)
			wantViews(t, &f, &c, inside...)
			if hasGap(gaps, "confirmation") || hasGap(gaps, "overlay") {
				t.Errorf("gaps %v", gaps)
			}
		})
	}
	// The other way: from the overlay to the layer.
	f, _ := owners(t, upper)
	wantViews(t, &f, nil, upper+" 8:8 "+hostNames(t, 8), l.upper+"/d/new 8:8 "+hostNames(t, 8))
	f, _ = owners(t, l.dir+"/vol/low", in(c))
	wantViews(t, &f, nil, l.merged+"/d/low 1:1 "+hostNames(t, 1), low+" 1:1 "+hostNames(t, 1))
}

// The kernel shows the inode number of the lower file after a copy-up, so the number must not decide.
func TestCopyUpKeepsTheLowerInode(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	low := file(t, l.lower1+"/file", 1, 1)
	mountAt(t, "overlay", l.merged, "overlay", 0, l.options())
	if err := os.Chown(l.merged+"/file", 2, 2); err != nil {
		t.Fatal(err)
	}
	var a, b unix.Stat_t
	if unix.Stat(low, &a) != nil || unix.Stat(l.merged+"/file", &b) != nil {
		t.Fatal("stat")
	}
	if a.Ino != b.Ino {
		t.Logf("this overlay shows inode %d, not the lower %d", b.Ino, a.Ino)
	}
	f, _ := owners(t, low)
	wantViews(t, &f, nil, low+" 1:1 "+hostNames(t, 1))
	f, _ = owners(t, l.upper+"/file")
	wantViews(t, &f, nil, l.upper+"/file 2:2 "+hostNames(t, 2), l.merged+"/file 2:2 "+hostNames(t, 2))
}

// Engines change directory and name layers relative to it.
func TestRelativeLayers(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	low := file(t, l.lower1+"/file", 1, 1)
	file(t, l.dir+"/other/lower/file", 1, 1)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(l.dir); err != nil {
		t.Fatal(err)
	}
	err = unix.Mount("overlay", "merged", "overlay", 0, `lowerdir=low\:er,upperdir=up\,per,workdir=work`)
	if back := os.Chdir(wd); back != nil {
		t.Fatal(back)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(l.merged, unix.MNT_DETACH) })
	f, _ := owners(t, low)
	wantViews(t, &f, nil, low+" 1:1 "+hostNames(t, 1), l.merged+"/file 1:1 "+hostNames(t, 1))
}

// An overlay on an idmapped layer shows the layer's ids; one in a container is found from the host.
func TestOverlayOnIdmappedLayer(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	mapped := mkdir(t, l.dir+"/mapped")
	one := file(t, l.lower1+"/one", 1, 1)
	outside := file(t, l.lower1+"/outside", 70000, 70000)
	idmappedMount(t, l.lower1, mapped, shiftedBy(100000))
	c := start(t, unix.CLONE_NEWNS, shiftedBy(100000),
		private+"mount -t overlay -o userxattr,lowerdir="+mapped+",upperdir="+mkdirOwned(t, l.dir+"/u")+",workdir="+mkdirOwned(t, l.dir+"/w")+" none "+l.merged+ready)
	f, gaps := owners(t, one)
	wantViews(t, &f, &c, one+" unmapped:unmapped :", mapped+"/one 1:1 "+hostNames(t, 1), l.merged+"/one 1:1 "+hostNames(t, 1))
	if hasGap(gaps, "overlay") {
		t.Errorf("gaps %v", gaps)
	}
	f, _ = owners(t, outside)
	wantViews(t, &f, &c, outside+" unmapped:unmapped :", mapped+"/outside unmapped:unmapped :", l.merged+"/outside unmapped:unmapped :")
	f, _ = owners(t, l.merged+"/one", in(c))
	wantViews(t, &f, nil, one+" 1:1 "+hostNames(t, 1), mapped+"/one 100001:100001 :")
}

// An overlay one of whose layers is in another overlay.
func TestOverlayOnOverlay(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	low := file(t, l.lower2+"/dir/file", 1, 1)
	mountAt(t, "overlay", l.merged, "overlay", 0, l.options())
	second := mkdir(t, l.dir+"/second")
	empty := mkdir(t, l.dir+"/empty")
	mountAt(t, "overlay", second, "overlay", 0, "lowerdir="+empty+":"+l.merged+"/dir")
	f, gaps := owners(t, low)
	names := hostNames(t, 1)
	wantViews(t, &f, nil, low+" 1:1 "+names, l.merged+"/dir/file 1:1 "+names, second+"/file 1:1 "+names)
	if hasGap(gaps, "overlay") {
		t.Errorf("gaps %v", gaps)
	}
	f, _ = owners(t, second+"/file")
	wantViews(t, &f, nil, second+"/file 1:1 "+names, l.merged+"/dir/file 1:1 "+names, low+" 1:1 "+names)
}

func mkdirOwned(t *testing.T, path string) string {
	t.Helper()
	mkdir(t, path)
	if err := os.Chown(path, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	return path
}

func number(id int) string {
	s := strconv.Itoa(id)
	return s + ":" + s
}

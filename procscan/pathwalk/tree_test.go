package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// walked is what a walk found.
type walked struct {
	files map[string]string // UID:GID by the path from the top on
	gaps  []nsinspect.Gap
	err   error

	seen map[string][]string // views of each file: "VIEWER PATH UID:GID"
}

// walkTree walks a tree and judges every file of it.
func walkTree(t *testing.T, dir string, edit ...func(*TreeAsk, *nsinspect.Snapshot)) walked {
	t.Helper()
	s, err := procscan.Scan(context.Background(), procscan.Options{Facts: procscan.Graph | procscan.Mounts | procscan.Names})
	if err != nil {
		t.Fatal(err)
	}
	nsinspect.Group(s, nil)
	atlas := nsinspect.NewAtlas(s)
	out := walked{files: map[string]string{}, seen: map[string][]string{}}
	var mu sync.Mutex
	ask := TreeAsk{Ask: Ask{Path: dir}}
	for _, e := range edit {
		e(&ask, s)
	}
	viewers := s.OwnerViewers(atlas, nsinspect.OwnerQuery{})
	ask.Each = func(_ int, b *Batch) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range b.Entries {
			rel := string(b.AppendDir(nil)) + string(e.Name)
			if _, twice := out.files[rel]; twice {
				t.Errorf("%q comes twice", rel)
			}
			out.files[rel] = fmt.Sprintf("%d:%d", e.UID, e.GID)
			owners, _, _ := viewers.Pair(b.Region.Facts, nsinspect.RawIDs{UID: e.UID, GID: e.GID})
			for _, v := range owners.Views {
				out.seen[rel] = append(out.seen[rel], fmt.Sprintf("%s %s %v:%v", v.Viewer, v.Path+strings.TrimPrefix(rel, b.Region.Rel), v.UID, v.GID))
			}
		}
	}
	out.gaps, out.err = New(s, atlas, "/proc").Tree(t.Context(), ask)
	out.gaps = slices.DeleteFunc(out.gaps, func(g nsinspect.Gap) bool {
		return strings.HasPrefix(g.Fact, "layers of") || strings.HasPrefix(g.Fact, "confirmation of") // by whoever else is on this host
	})
	return out
}

// wantFiles compares the paths of a walk with those that filepath.WalkDir finds.
func (w *walked) wantFiles(t *testing.T, dir string) {
	t.Helper()
	if w.err != nil || len(w.gaps) > 0 {
		t.Errorf("error %v, gaps %v", w.err, w.gaps)
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		n++
		rel := strings.TrimPrefix(path, dir)
		if _, ok := w.files[rel]; !ok {
			t.Errorf("%q is missing", rel)
		}
		return err
	})
	if err != nil || n != len(w.files) {
		t.Errorf("%d files, want %d; %v", len(w.files), n, err)
	}
}

func TestTreeFindsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"a/b/c/file", "a/b/file", "a/new\nline/\x1b[31m", "a/not\xffutf8/\xfe", ".hidden/..x/...", "empty/", "wide/0"} {
		if err := os.MkdirAll(filepath.Dir(dir+"/"+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, "/") {
			if err := os.WriteFile(dir+"/"+path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 3000 { // more than one buffer of entries, and every third a directory
		path := dir + "/wide/" + strings.Repeat("n", 40) + strconv.Itoa(i)
		err := os.Symlink("/", path)
		if i%3 == 0 {
			err = errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(path+"/x", nil, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := walkTree(t, dir)
	w.wantFiles(t, dir)
	w = walkTree(t, dir+"/wide/0")
	if len(w.files) != 1 || w.files[""] == "" {
		t.Errorf("a file: %v", w.files)
	}
	w = walkTree(t, dir+"/nothing")
	if !errors.Is(w.err, fs.ErrNotExist) {
		t.Errorf("error %v", w.err)
	}
}

// comb makes a chain of directories with a directory and a file beside each link, deeper than a path may be long.
func comb(t *testing.T, depth int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nsview-deep")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // os.RemoveAll has every level open
		if out, err := exec.Command("rm", "-rf", "--", dir).CombinedOutput(); err != nil {
			t.Errorf("rm: %v %s", err, out)
		}
	})
	at, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; err == nil && i < depth; i++ {
		err = errors.Join(unix.Mkdirat(at, "deeper", 0o755), unix.Mkdirat(at, "beside", 0o755), unix.Mknodat(at, "file", unix.S_IFREG|0o600, 0))
		if err == nil {
			next, e := unix.Openat(at, "deeper", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			unix.Close(at)
			at, err = next, e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(at)
	return dir
}

// A tree of any depth takes few descriptors, and no recursion.
func TestDeepTree(t *testing.T) {
	const depth = 10_000
	dir := comb(t, depth)
	s := &nsinspect.Snapshot{Observer: nsinspect.Observer{MountTable: -1}}
	ask := TreeAsk{Ask: Ask{Path: dir}}
	var mu sync.Mutex
	longest, n, fds := 0, 0, 0
	ask.Each = func(_ int, b *Batch) {
		mu.Lock()
		defer mu.Unlock()
		n += len(b.Entries)
		longest = max(longest, len(b.AppendDir(nil)))
		if n%1000 == 0 {
			open, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Error(err)
			}
			fds = max(fds, len(open))
		}
	}
	gaps, err := New(s, nsinspect.NewAtlas(s), "/proc").Tree(t.Context(), ask)
	for _, g := range gaps {
		if g.Fact != "mount" { // there are none in this snapshot
			t.Error(g)
		}
	}
	if err != nil || n != 1+3*depth || longest != depth*len("/deeper")-len("deeper") {
		t.Errorf("%d files, want %d; longest path %d; %v", n, 1+3*depth, longest, err)
	}
	if fds > 100 {
		t.Errorf("%d descriptors", fds)
	}
}

// The memory does not grow with a directory.
func TestHugeDirectory(t *testing.T) {
	const files = 6_000
	dir := t.TempDir()
	for i := range files {
		if err := os.Mkdir(dir+"/"+strconv.Itoa(i)+strings.Repeat("x", 100), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &nsinspect.Snapshot{Observer: nsinspect.Observer{MountTable: -1}}
	var mu sync.Mutex
	n, most := 0, 0
	var tr *tree
	ask := TreeAsk{Ask: Ask{Path: dir}, Each: func(_ int, b *Batch) {
		mu.Lock()
		defer mu.Unlock()
		n += len(b.Entries)
		if d := b.dir; d != nil {
			tr.mu.Lock()
			most = max(most, len(tr.stack))
			tr.mu.Unlock()
		}
	}}
	tr = New(s, nsinspect.NewAtlas(s), "/proc").newTree(t.Context(), ask)
	if _, err := tr.walk(); err != nil || n != files+1 {
		t.Errorf("%d files, want %d; %v", n, files+1, err)
	}
	if most > 4*direntBuffer/100 {
		t.Errorf("%d directories waited", most)
	}
}

// What vanishes under the walk is neither a gap nor an error.
func TestTreeThatVanishes(t *testing.T) {
	dir := t.TempDir()
	for i := range 200 {
		if err := os.MkdirAll(dir+"/"+strconv.Itoa(i)+"/sub/sub", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var once sync.Once
	s := &nsinspect.Snapshot{Observer: nsinspect.Observer{MountTable: -1}}
	gaps, err := New(s, nsinspect.NewAtlas(s), "/proc").Tree(t.Context(), TreeAsk{Ask: Ask{Path: dir}, Each: func(_ int, b *Batch) {
		if b.dir != nil {
			once.Do(func() {
				for i := range 200 {
					if err := os.RemoveAll(dir + "/" + strconv.Itoa(i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}})
	if err != nil || slices.ContainsFunc(gaps, func(g nsinspect.Gap) bool { return g.Fact != "mount" }) {
		t.Errorf("%v, gaps %v", err, gaps)
	}
}

func TestUnreadableDirectory(t *testing.T) {
	proctest.NeedOrdinary(t)
	dir := t.TempDir()
	for _, d := range []string{"/shut/in", "/open/in"} {
		if err := os.MkdirAll(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/shut", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir+"/shut", 0o755) })
	w := walkTree(t, dir)
	if w.err != nil || w.files["/open/in"] == "" || w.files["/shut"] == "" || len(w.files) != 4 {
		t.Errorf("%v %v", w.files, w.err)
	}
	if len(w.gaps) != 1 || w.gaps[0].Subject != dir+"/shut" || w.gaps[0].Error != "permission denied" || w.gaps[0].Hint != "run as root" {
		t.Errorf("gaps %+v", w.gaps)
	}
	if w = walkTree(t, dir+"/shut"); w.err == nil {
		t.Error("the top cannot be read, and that is no error")
	}
}

// An interrupted walk returns at once.
func TestTreeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &nsinspect.Snapshot{Observer: nsinspect.Observer{MountTable: -1}}
	var at time.Time
	var once sync.Once
	_, err := New(s, nsinspect.NewAtlas(s), "/proc").Tree(ctx, TreeAsk{Ask: Ask{Path: "/"}, Each: func(_ int, b *Batch) {
		if b.dir != nil {
			once.Do(func() { at = time.Now(); cancel() })
		}
	}})
	if late := time.Since(at); !errors.Is(err, context.Canceled) || late > time.Second {
		t.Errorf("%v after %v", err, late)
	}
}

// Viewers change where somebody has something mounted, and nowhere else.
func TestTreeMounts(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	srv := dir + "/srv"
	for path, id := range map[string]int{"top": 1, "data/file": 2, "data/deep/file": 3, "over/hidden": 4, "conf": 5, "own/under": 6} {
		file(t, srv+"/"+path, id, id)
	}
	for _, d := range []string{"/data", "/all"} {
		mkdir(t, dir+d)
	}
	file(t, dir+"/app.conf", 0, 0)
	mountAt(t, "none", srv+"/own", "tmpfs", 0, "mode=755")
	file(t, srv+"/own/tmpfs", 7, 7)
	c := start(t, unix.CLONE_NEWNS, shiftedBy(0), private+
		"mount --bind "+srv+"/data "+dir+"/data; mount --bind "+srv+"/conf "+dir+"/app.conf; mount --rbind "+srv+" "+dir+"/all; mount -t tmpfs none "+
		dir+"/all/over; mount -t tmpfs none "+srv+ready)
	name := "cat/" + strconv.Itoa(c.pid)
	views := func(w *walked, rel string) []string {
		var of []string
		for _, v := range w.seen[rel] {
			if strings.HasPrefix(v, name+" ") || strings.HasPrefix(v, "host ") {
				of = append(of, strings.TrimPrefix(v, name))
			}
		}
		slices.Sort(of)
		return of
	}
	w := walkTree(t, srv)
	w.wantFiles(t, srv)
	for rel, want := range map[string][]string{
		"":                {" " + dir + "/all 0:0", "host " + srv + " 0:0"},
		"/top":            {" " + dir + "/all/top 1:1", "host " + srv + "/top 1:1"},
		"/data/file":      {" " + dir + "/all/data/file 2:2", " " + dir + "/data/file 2:2", "host " + srv + "/data/file 2:2"},
		"/data/deep/file": {" " + dir + "/all/data/deep/file 3:3", " " + dir + "/data/deep/file 3:3", "host " + srv + "/data/deep/file 3:3"},
		"/over/hidden":    {"host " + srv + "/over/hidden 4:4"},
		"/conf":           {" " + dir + "/all/conf 5:5", " " + dir + "/app.conf 5:5", "host " + srv + "/conf 5:5"},
		"/own/tmpfs":      {" " + dir + "/all/own/tmpfs 7:7", "host " + srv + "/own/tmpfs 7:7"},
	} {
		if got := views(&w, rel); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", rel, got, want)
		}
	}
	w = walkTree(t, srv, func(ask *TreeAsk, _ *nsinspect.Snapshot) { ask.OneFS = true })
	if w.files["/own"] != "" || w.files["/own/tmpfs"] != "" || w.files["/data/deep/file"] == "" || len(w.gaps) > 0 {
		t.Errorf("one file system: %v, gaps %v", w.files, w.gaps)
	}
	// Inside the container its own mounts count.
	w = walkTree(t, dir+"/all", func(ask *TreeAsk, s *nsinspect.Snapshot) { in(c)(&ask.Ask, s) })
	if _, hidden := w.files["/over/hidden"]; hidden || w.files["/own/tmpfs"] != "7:7" || w.files["/top"] != "1:1" || len(w.gaps) > 0 {
		t.Errorf("inside: %v, gaps %v", w.files, w.gaps)
	}
	if got, want := views(&w, "/top"), []string{" " + dir + "/all/top 1:1", "host " + srv + "/top 1:1"}; !slices.Equal(got, want) {
		t.Errorf("inside: %q, want %q", got, want)
	}
}

// A file system below the tree that does not answer costs one deadline and one gap.
func TestHungMountBelowTree(t *testing.T) {
	proctest.NeedRoot(t)
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	proctest.Need(t, "fuse", err == nil, fmt.Sprint("open /dev/fuse: ", err))
	t.Cleanup(func() { unix.Close(dev) }) // ends whoever waits
	dir := tempDir(t)
	for i := range 50 {
		file(t, dir+"/"+strconv.Itoa(i)+"/file", 1, 1)
	}
	hung := mkdir(t, dir+"/25/hung")
	mountAt(t, "hung", hung, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", dev))
	begin := time.Now()
	w := walkTree(t, dir)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if len(w.files) != 101 || w.err != nil {
		t.Errorf("%d files, want 101; %v", len(w.files), w.err)
	}
	if len(w.gaps) != 1 || w.gaps[0].Subject != hung || w.gaps[0].Error != procscan.ErrNoAnswer.Error() {
		t.Errorf("gaps %+v", w.gaps)
	}
	w = walkTree(t, dir, func(ask *TreeAsk, _ *nsinspect.Snapshot) { ask.OneFS = true })
	if len(w.files) != 101 || len(w.gaps) > 0 {
		t.Errorf("one file system: %d files, gaps %+v", len(w.files), w.gaps)
	}
}

// The heap of a walk stays small.
func BenchmarkTree(b *testing.B) {
	dir := os.Getenv("NSVIEW_BENCH_TREE")
	if dir == "" {
		dir = "/usr"
	}
	s := &nsinspect.Snapshot{Observer: nsinspect.Observer{MountTable: -1}}
	b.ReportAllocs()
	for b.Loop() {
		var n [TreeWorkers]int
		if _, err := New(s, nsinspect.NewAtlas(s), "/proc").Tree(b.Context(), TreeAsk{Ask: Ask{Path: dir}, Each: func(k int, batch *Batch) {
			n[k] += len(batch.Entries)
		}}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n[0]+n[1]), "files/op")
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapSys)/1e6, "heap-MB")
}

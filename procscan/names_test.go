package procscan

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

func TestParseNames(t *testing.T) {
	got := ParseNames([]byte("root:x:0:0:root:/root:/bin/sh\n" +
		"toor:x:0:0::/:/bin/sh\n" + // the first name of an id wins
		"# comment:x:1:1::/:\n+nis:x:2:2::/:\n-nis:x:2:2::/:\n+::::::\n" +
		"\n:x:3:3::/:\nshort\nshort:x\nshort:x:4\n" +
		"neg:x:-5:5::/:\nplus:x:+5:5::/:\nhex:x:0x5:5::/:\nspace:x: 5:5::/:\nempty:x::5::/:\n" +
		"big:x:4294967296:5::/:\nunmapped:x:4294967295:5::/:\nlast:x:4294967294:5::/:\n" +
		"nul\x00:x:6:6::/:\n\x1b[31mred:x:7:7::/:\n\xff\xfe:x:8:8::/:\nzeros:x:0009:9::/:\r\ngroup:x:10:a,b"))
	want := map[idmap.Inside]string{
		0: "root", 4294967294: "last", 6: "nul\x00", 7: "\x1b[31mred", 8: "\xff\xfe", 9: "zeros", 10: "group",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseNames(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for id, name := range ParseNames(content) {
			if !id.Mapped() || name == "" || strings.ContainsAny(name, ":\n") {
				t.Errorf("id %d is named %q", id, name)
			}
		}
	})
}

// imageRoot starts a process in a mount namespace of its own, chrooted into a directory where prepare made /etc.
func imageRoot(t *testing.T, prepare func(root string), flags uintptr) int {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"/etc", "/bin"} {
		if err := os.Mkdir(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err == nil {
		err = os.WriteFile(root+"/bin/busybox", busybox, 0o755)
	}
	proctest.Need(t, "busybox", err == nil, "a static busybox is the image")
	prepare(root)
	return startImage(t, root, flags)
}

// startImage starts a process that has root as its root directory.
func startImage(t *testing.T, root string, flags uintptr) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/busybox", "sh", "-c", "echo ready; exec /bin/busybox cat")
	cmd.Path = "/bin/busybox"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	_, lines := proctest.Start(t, cmd)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("image said %q: %v", line, err)
	}
	return cmd.Process.Pid
}

// namesOf scans one process and returns its names, nil when they are unknown, and the gaps about it.
func namesOf(t *testing.T, pid int) (*nsinspect.NameTable, []nsinspect.Gap, time.Duration) {
	t.Helper()
	began := time.Now()
	s, err := Scan(context.Background(), Options{Facts: Names, PIDs: []int{pid}})
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	p := s.Process(pid)
	if p == nil {
		t.Fatalf("pid %d is not in the snapshot", pid)
	}
	var gaps []nsinspect.Gap
	for _, g := range s.Gaps {
		if g.PID == pid {
			gaps = append(gaps, g)
		}
	}
	return s.NamesAt(p.Names), gaps, took
}

func TestNamesOfHostileImages(t *testing.T) {
	proctest.NeedRoot(t)
	const group = "ctr:x:1000:\n"
	put := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name  string
		make  func(t *testing.T, passwd string)
		users map[idmap.Inside]string
		gap   string // in the error of the gap about passwd, "" for none
	}{
		{"plain", func(t *testing.T, p string) { put(t, p, "ctr:x:1000:1000::/:\n") }, map[idmap.Inside]string{1000: "ctr"}, ""},
		{"none", func(*testing.T, string) {}, map[idmap.Inside]string{}, ""},
		{"terminal escapes", func(t *testing.T, p string) { put(t, p, "\x1b]0;x\a:x:1000:1000::/:\n") }, map[idmap.Inside]string{1000: "\x1b]0;x\a"}, ""},
		{"fifo", func(t *testing.T, p string) { must(t, unix.Mkfifo(p, 0o666)) }, map[idmap.Inside]string{}, "not a regular file"},
		{"directory", func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o755)) }, map[idmap.Inside]string{}, "not a regular file"},
		{"device", func(t *testing.T, p string) { must(t, unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))) }, map[idmap.Inside]string{}, "not a regular file"},
		{"socket", func(t *testing.T, p string) { must(t, unix.Mknod(p, unix.S_IFSOCK|0o666, 0)) }, map[idmap.Inside]string{}, "not a regular file"},
		{"loop", func(t *testing.T, p string) { must(t, os.Symlink("passwd", p)) }, map[idmap.Inside]string{}, "too many levels"},
		{"link out", func(t *testing.T, p string) { must(t, os.Symlink("../../../../../../etc/shadow", p)) }, map[idmap.Inside]string{}, ""},
		{"absolute link to the host's", func(t *testing.T, p string) { must(t, os.Symlink("/etc/shadow", p)) }, map[idmap.Inside]string{}, ""},
		{"link inside", func(t *testing.T, p string) {
			put(t, strings.TrimSuffix(p, "passwd")+"real", "linked:x:5:5::/:\n")
			must(t, os.Symlink("/etc/real", p))
		}, map[idmap.Inside]string{5: "linked"}, ""},
		{"magic link", func(t *testing.T, p string) { must(t, os.Symlink("/proc/self/root/etc/passwd", p)) }, map[idmap.Inside]string{}, ""},
		{"1 GiB of nothing", func(t *testing.T, p string) { put(t, p, ""); must(t, os.Truncate(p, 1<<30)) }, map[idmap.Inside]string{}, "larger than"},
		{"one line of 3 MiB", func(t *testing.T, p string) { put(t, p, strings.Repeat("x", 3<<20)+"\nend:x:1:1::/:\n") }, map[idmap.Inside]string{1: "end"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pid := imageRoot(t, func(root string) {
				put(t, root+"/etc/group", group)
				tc.make(t, root+"/etc/passwd")
			}, unix.CLONE_NEWNS)
			names, gaps, _ := namesOf(t, pid)
			if names == nil {
				t.Fatalf("no names, gaps %v", gaps)
			}
			if diff := cmp.Diff(tc.users, names.Users); diff != "" {
				t.Error(diff)
			}
			if names.Groups[1000] != "ctr" {
				t.Errorf("groups %v: a bad passwd must not cost them", names.Groups)
			}
			if tc.gap == "" && len(gaps) > 0 || tc.gap != "" && (len(gaps) != 1 || gaps[0].Fact != "passwd" || !strings.Contains(gaps[0].Error, tc.gap)) {
				t.Errorf("gaps %v, want one that says %q", gaps, tc.gap)
			}
		})
	}
}

// A chroot in the observer's own mount namespace has names of its own, everything else there has the host's.
func TestNamesByRoot(t *testing.T) {
	proctest.NeedRoot(t)
	pid := imageRoot(t, func(root string) { must(t, os.WriteFile(root+"/etc/passwd", []byte("jailed:x:0:0::/:\n"), 0o644)) }, 0)
	names, gaps, _ := namesOf(t, pid)
	if names == nil || names.Users[0] != "jailed" {
		t.Errorf("names %v gaps %v", names, gaps)
	}
	s, err := Scan(context.Background(), Options{Facts: Names, PIDs: []int{pid, os.Getpid()}})
	must(t, err)
	if own := s.Process(os.Getpid()); own.Names != s.Observer.Names || s.NamesAt(own.Names).Users[0] != "root" {
		t.Errorf("own names %d, observer's %d", own.Names, s.Observer.Names)
	}
}

func TestHostRootNamesTheHost(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(root+"/etc", 0o755))
	must(t, os.WriteFile(root+"/etc/passwd", []byte("elsewhere:x:0:0::/:\n"), 0o644))
	s, err := Scan(context.Background(), Options{Facts: Names, HostRoot: root, PIDs: []int{os.Getpid()}})
	must(t, err)
	want := map[idmap.Inside]string{0: "elsewhere"}
	if diff := cmp.Diff(want, s.NamesAt(s.Observer.Names).Users); diff != "" {
		t.Error(diff)
	}
}

// Without rights over a process its names are unknown: one gap for all of them.
func TestNamesOutOfReach(t *testing.T) {
	proctest.NeedOrdinary(t)
	s, err := Scan(context.Background(), Options{Facts: Names})
	must(t, err)
	var gaps []nsinspect.Gap
	for _, g := range s.Gaps {
		if g.Fact == "names" {
			gaps = append(gaps, g)
		}
	}
	if len(gaps) != 1 || gaps[0].Hint == "" {
		t.Errorf("gaps %v, want one with a hint", gaps)
	}
	if own := s.Process(os.Getpid()); own == nil || s.NamesAt(own.Names) == nil {
		t.Error("its own names are unknown")
	}
}

func TestGetentFindsWhatFilesLack(t *testing.T) {
	path, err := getentPath()
	proctest.Need(t, "getent", err == nil, "getent(1) asks the name service")
	known, err := exec.Command(path, "passwd").Output()
	must(t, err)
	want := ParseNames(known)
	ids := make([]idmap.Inside, 0, len(want))
	for id := range want {
		ids = append(ids, id)
	}
	got, err := getent(context.Background(), "passwd", append(ids, 3999999999)) // nobody's: no error
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := getent(context.Background(), "no-such-database", ids); err == nil {
		t.Error("a getent that fails is no error")
	}
}

func TestLackingAsksOncePerID(t *testing.T) {
	got := lacking(map[idmap.Inside]string{1: "one"}, []idmap.Inside{3, 1, 2, 3, idmap.UnmappedInside})
	if !slices.Equal(got, []idmap.Inside{2, 3}) {
		t.Errorf("%v, want [2 3]", got)
	}
}

func TestReadFileStaysBelowTheCap(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/file", bytes.Repeat([]byte("x"), 100), 0o600))
	root, err := OpenRoot(dir)
	must(t, err)
	defer root.Close()
	if content, err := root.ReadFile("/file", 100); err != nil || len(content) != 100 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	if _, err := root.ReadFile("/file", 99); err == nil {
		t.Error("no error for a file above the cap")
	}
	// procfs says that its files are empty: what is read counts.
	proc, err := OpenRoot("/proc/" + strconv.Itoa(os.Getpid()))
	must(t, err)
	defer proc.Close()
	if _, err := proc.ReadFile("/status", 10); err == nil {
		t.Error("no error for a file that is longer than it says")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The name service is asked while ids still come in: in parts, for each id once, and no more after it failed.
func TestIDQueueAsksWhileIDsCome(t *testing.T) {
	_, err := getentPath()
	proctest.Need(t, "getent", err == nil, "getent(1) asks the name service")
	q := newIDQueue(context.Background(), "passwd", func() map[idmap.Inside]string { return nil })
	q.onlyFiles = func() bool { return false }
	const nobodys = 3_000_000_000
	for i := range 5 * fewIDs {
		q.want(nobodys + idmap.Inside(i/2)) // twice each
		q.mu.Lock()
		wanted, began := len(q.wanted), len(q.waiting) < len(q.wanted)
		q.mu.Unlock()
		if began != (wanted >= fewIDs) {
			t.Fatalf("asked after %d ids: %v", wanted, began)
		}
	}
	q.want(0, idmap.UnmappedInside)
	q.end()
	names := map[idmap.Inside]string{}
	if gaps := q.addTo(names); len(gaps) > 0 || len(q.waiting) > 0 || q.running != 0 {
		t.Errorf("gaps %v, %d not asked, %d running", gaps, len(q.waiting), q.running)
	}
	if diff := cmp.Diff(map[idmap.Inside]string{0: "root"}, names); diff != "" {
		t.Error(diff)
	}

	q = newIDQueue(context.Background(), "no-such-database", q.files)
	q.onlyFiles = func() bool { return false }
	for i := range 10 * fewIDs {
		q.want(nobodys + idmap.Inside(i))
	}
	q.end()
	if gaps := q.addTo(names); len(gaps) != 1 || len(q.waiting) == 0 {
		t.Errorf("gaps %v, %d not asked: it goes on after a failure", gaps, len(q.waiting))
	}
}

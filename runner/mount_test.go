package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/procscan/proctest"
)

func owner(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

func touch(t *testing.T, path string, uid, gid int) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}

func mapped(inside, outside, count uint32) []idmap.Extent {
	return []idmap.Extent{{Inside: idmap.Inside(inside), Outside: idmap.Kernel(outside), Count: count}}
}

func TestRoot(t *testing.T) {
	root := rootDir(t)
	if err := os.WriteFile(filepath.Join(root, "etc/only-here"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	script := "pwd; ls /etc; ls -d /.. /usr 2>/dev/null; cat /proc/self/mountinfo | cut -d' ' -f5; echo $$; echo x >/dev/null && test -c /dev/null && echo null"
	want := "/\nonly-here\n/..\n/\n/proc\n/dev\n/dev/null\n/dev/zero\n/dev/full\n/dev/random\n/dev/urandom\n/dev/tty\n1\nnull"
	spec := Spec{MapRoot: true, Root: root, MountProc: true, Command: []string{"/bin/sh", "-c", script}}
	if got := ordinary(t, spec).output(t); got != want {
		t.Errorf("ordinary: got %q, want %q", got, want)
	}
	if os.Geteuid() == 0 {
		spec.MapRoot = false
		if got := run(t, spec).output(t); got != want {
			t.Errorf("root: got %q, want %q", got, want)
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), root) {
		t.Error("a mount is left on the host")
	}
}

func TestRootOnTmpfsAndSubmounts(t *testing.T) {
	got := ordinary(t, Spec{MapRoot: true, Root: "/", MountProc: true, Command: sh("pwd; echo $$")}).output(t)
	if got != "/\n1" {
		t.Errorf("--root /: %q", got)
	}
}

func TestRootIsNoDirectory(t *testing.T) {
	for _, dir := range []string{"/etc/passwd", "/no/such/dir"} {
		got := ordinary(t, Spec{MapRoot: true, Root: dir, Command: []string{"true"}})
		if got.status != StatusFailure || !strings.Contains(got.stderr, "--root "+dir) {
			t.Errorf("%s: %d %s", dir, got.status, got.stderr)
		}
	}
}

func TestBind(t *testing.T) {
	root, data := rootDir(t), publicDir(t)
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := Spec{
		MapRoot: true, Root: root, Command: []string{"/bin/sh", "-c", "cat /data/file; touch /data/new; touch /raw/no 2>&1 || echo refused; cat /tmp/a/b; ls /tmp"},
		Mounts: []MountSpec{
			{Source: data, Target: "/data"},
			{Source: data, Target: "/raw", ReadOnly: true},
			{Target: "/tmp"},
			{Source: filepath.Join(data, "file"), Target: "/tmp/a/b"},
			{Source: data, Target: "/tmp/c"},
		},
	}
	want := "texttouch: /raw/no: Read-only file system\nrefused\ntexta\nc"
	if got := ordinary(t, spec).output(t); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	uid, gid := ordinaryIDs()
	if got := owner(t, filepath.Join(data, "new")); got != fmt.Sprintf("%d:%d", uid, gid) {
		t.Errorf("the file made inside is %s outside", got)
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in the root directory: %v, %v", left, err)
	}
}

func TestBindWithoutTarget(t *testing.T) {
	root := rootDir(t)
	got := ordinary(t, Spec{MapRoot: true, Root: root, Mounts: []MountSpec{{Source: root, Target: "/missing"}}, Command: []string{"/bin/true"}})
	if got.status != StatusFailure || !strings.Contains(got.stderr, "hint: create /missing first") {
		t.Errorf("got %d %s", got.status, got.stderr)
	}
	if _, err := os.Lstat(filepath.Join(root, "missing")); !os.IsNotExist(err) {
		t.Errorf("the target was made: %v", err)
	}
}

// TestHostileRoot holds that a symbolic link in the new root leads nowhere outside of it.
func TestHostileRoot(t *testing.T) {
	root, outside := rootDir(t), publicDir(t)
	if err := os.Symlink(outside, filepath.Join(root, "escape")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self/root/etc", filepath.Join(root, "magic")); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/escape", "/magic", "/../../escape"} {
		got := ordinary(t, Spec{MapRoot: true, Root: root, Mounts: []MountSpec{{Source: root, Target: target}}, Command: []string{"/bin/sh", "-c", "true"}})
		if got.status != StatusFailure || !strings.Contains(got.stderr, "inside: no such file or directory") {
			t.Errorf("%s: %d %s", target, got.status, got.stderr)
		}
	}
	// Inside, the link means a directory of the new root.
	if err := os.MkdirAll(filepath.Join(root, outside), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := Spec{MapRoot: true, Root: root, Mounts: []MountSpec{{Target: "/escape"}}, Command: []string{"/bin/sh", "-c", "touch " + outside + "/x && ls " + outside}}
	if got := ordinary(t, spec).output(t); got != "x" {
		t.Errorf("got %q", got)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
}

// TestPrivateDirectories holds that root can use directories which root inside a user namespace could not even enter.
func TestPrivateDirectories(t *testing.T) {
	proctest.NeedRoot(t)
	top := publicDir(t)
	root := rootDir(t)
	private := filepath.Join(top, "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(root, filepath.Join(private, "root")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(private, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{private} {
		if err := os.Chown(dir, 4242, 4242); err != nil {
			t.Fatal(err)
		}
	}
	spec := Spec{
		MapUID: mapped(0, 100000, 1000), Root: filepath.Join(private, "root"),
		Mounts:  []MountSpec{{Source: filepath.Join(private, "data"), Target: "/data"}},
		Command: []string{"/bin/ls", "/data"},
	}
	run(t, spec).output(t)
}

func TestIdmappedBind(t *testing.T) {
	proctest.NeedRoot(t)
	for _, fstype := range []string{"here", "tmpfs"} {
		t.Run(fstype, func(t *testing.T) { testIdmappedBind(t, fstype) })
	}
}

func testIdmappedBind(t *testing.T, fstype string) {
	root, data := rootDir(t), publicDir(t)
	if fstype == "tmpfs" {
		if err := unix.Mount("nsview-test", data, "tmpfs", 0, "mode=0777"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(data, unix.MNT_DETACH) })
	}
	if err := os.Chmod(data, 0o777); err != nil {
		t.Fatal(err)
	}
	touch(t, filepath.Join(data, "mine"), 1000, 1001)
	touch(t, filepath.Join(data, "far"), 70000, 70000)
	const look = "/bin/stat -c '%u:%g' "
	for _, c := range []struct {
		name                  string
		extents               []idmap.Extent
		mine, far             string // as seen inside
		newInside, newOutside string
	}{
		{"own map", nil, "1000:1001", "65534:65534", "5:5", "5:5"},
		{"another map", mapped(1000, 5, 2), "5:6", "65534:65534", "5:5", "1000:1000"},
		{"far ids", mapped(70000, 5, 1), "65534:65534", "5:5", "5:5", "70000:70000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Only a mapped owner lets the directory be written.
			var disk int
			if _, err := fmt.Sscanf(c.newOutside, "%d:", &disk); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(data, disk, disk); err != nil {
				t.Fatal(err)
			}
			made := strings.ReplaceAll(c.name, " ", "-")
			spec := Spec{
				MapUID: mapped(0, 100000, 65536), MapGID: mapped(0, 200000, 65536), UID: inside(5), GID: inside(5),
				Root: root, Mounts: []MountSpec{{Source: data, Target: "/data", Idmap: true, IDExtents: c.extents}},
				Command: []string{"/bin/sh", "-c", look + "/data/mine /data/far; touch /data/" + made + " && " + look + "/data/" + made},
			}
			want := c.mine + "\n" + c.far + "\n" + c.newInside
			if got := run(t, spec).output(t); got != want {
				t.Errorf("inside: got %q, want %q", got, want)
			}
			if got := owner(t, filepath.Join(data, made)); got != c.newOutside {
				t.Errorf("the file made inside is %s on disk, want %s", got, c.newOutside)
			}
		})
	}
	if got := owner(t, filepath.Join(data, "mine")); got != "1000:1001" {
		t.Errorf("the host sees %s", got)
	}
}

func TestIdmapRefused(t *testing.T) {
	data := publicDir(t)
	m := []MountSpec{{Source: data, Target: data, Idmap: true}}
	got := ordinary(t, Spec{MapRoot: true, Mounts: m, Command: []string{"true"}})
	if got.status != StatusFailure || !strings.Contains(got.stderr, "is the host's") {
		t.Errorf("ordinary: %d %s", got.status, got.stderr)
	}
	proctest.NeedRoot(t)
	got = run(t, Spec{Mounts: m, Command: []string{"true"}})
	if got.status != StatusFailure || !strings.Contains(got.stderr, "no id map of its own") {
		t.Errorf("without a map: %d %s", got.status, got.stderr)
	}
	got = run(t, Spec{MapUID: mapped(0, 100000, 10), Mounts: []MountSpec{{Source: "/proc", Target: "/mnt", Idmap: true}}, Command: []string{"true"}})
	if got.status != StatusFailure || !strings.Contains(got.stderr, "does not take id maps") {
		t.Errorf("procfs: %d %s", got.status, got.stderr)
	}
	m[0].IDExtents = mapped(1000, 5, 10)
	got = run(t, Spec{MapUID: mapped(0, 100000, 10), Mounts: m, Command: []string{"true"}})
	if got.status != StatusFailure || !strings.Contains(got.stderr, "hint: SEEN is an inside id: 0-9") {
		t.Errorf("not inside: %d %s", got.status, got.stderr)
	}
	// Root of a user namespace may not idmap what belongs to the host either.
	inner := Spec{MapUID: mapped(0, 1, 5), New: []Namespace{Mount}, Mounts: []MountSpec{{Source: data, Target: data, Idmap: true}}, Command: []string{"true"}}
	outer := Spec{MapUID: mapped(0, 100000, 1000), New: []Namespace{Mount}, Command: []string{program(), runArg, specJSON(t, inner)}}
	got = run(t, outer)
	if got.status != StatusFailure || !strings.Contains(got.stderr, "no CAP_SYS_ADMIN") {
		t.Errorf("nested: %d %s", got.status, got.stderr)
	}
	// But what it has mounted itself it may.
	inner.Mounts[0].Source = "/mnt"
	inner.Mounts[0].Target = "/mnt"
	inner.Command = sh("stat -c %u /mnt/zero /mnt/three; touch /mnt/two; stat -c %u /mnt/two")
	outer.Mounts = []MountSpec{{Target: "/mnt"}}
	outer.Command = sh("touch /mnt/zero /mnt/three; chown 3 /mnt/three; " + program() + " " + runArg + " '" + specJSON(t, inner) + "'; stat -c %u /mnt/two")
	if got := run(t, outer).output(t); got != "0\n3\n0\n0" {
		t.Errorf("own tmpfs: %q", got)
	}
}

func TestOvermountedProc(t *testing.T) {
	inner := Spec{MapRoot: true, New: []Namespace{PID}, MountProc: true, Command: []string{"true"}}
	outer := Spec{
		MapRoot: true, Mounts: []MountSpec{{Source: "/dev/null", Target: "/proc/version"}},
		Command: []string{program(), runArg, specJSON(t, inner)},
	}
	got := ordinary(t, outer)
	if got.status != StatusFailure || !strings.Contains(got.stderr, "--mount-proc") || !strings.Contains(got.stderr, "hint: in a user namespace a new procfs") {
		t.Errorf("got %d %s", got.status, got.stderr)
	}
}

package pathwalk

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// container is a process in namespaces of its own, as the kernel made it.
type container struct {
	pid int
}

// shiftedBy is an id map 0:base:65536.
func shiftedBy(base int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 65536}}
}

// start runs a shell script in new namespaces, waits until it is done, and keeps its last process until the test ends.
func start(t *testing.T, flags uintptr, ids []syscall.SysProcIDMap, script string) container {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, UidMappings: ids, GidMappings: ids, Pdeathsig: syscall.SIGKILL}
	if ids != nil {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		if os.Geteuid() == 0 && ids[0].ContainerID == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{}
		}
	}
	cmd.Stderr = os.Stderr
	in, lines := proctest.Start(t, cmd)
	line, err := lines.ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("container said %q: %v", line, err)
	}
	// The shell says that; only cat says what it was told.
	if _, err := io.WriteString(in, "again\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); line != "again\n" {
		t.Fatalf("container said %q: %v", line, err)
	}
	return container{cmd.Process.Pid}
}

// ready ends a script: say so, and stay as cat until stdin is closed.
const ready = "\necho ready; exec cat"

// private keeps the mounts of a script away from the host.
const private = "mount --make-rprivate /\n"

// owners asks whose path is, for everyone.
func owners(t *testing.T, path string, edit ...func(*Ask, *nsinspect.Snapshot)) (nsinspect.FileOwners, []nsinspect.Gap) {
	t.Helper()
	s, err := procscan.Scan(context.Background(), procscan.Options{Facts: procscan.Graph | procscan.Mounts | procscan.Names})
	if err != nil {
		t.Fatal(err)
	}
	nsinspect.Group(s, nil)
	atlas := nsinspect.NewAtlas(s)
	ask := Ask{Path: path}
	var q nsinspect.OwnerQuery
	for _, e := range edit {
		e(&ask, s)
	}
	if ask.Process != nil {
		q.Target = &nsinspect.Target{Process: ask.Process}
	}
	w := New(s, atlas, "/proc")
	w.findOverlays(context.Background())
	w.overlays = slices.DeleteFunc(w.overlays, func(o overlay) bool { return o.err != nil && !ours(&o, path) })
	f, err := w.File(context.Background(), ask)
	if err != nil {
		t.Fatal(err)
	}
	return s.Owners(atlas, f, q)
}

// ours reports whether an overlay is made of what a test has made: those of others on this host may have layers that nobody
// finds, which is a gap for every file.
func ours(o *overlay, path string) bool {
	rest, ok := strings.CutPrefix(path, os.TempDir()+"/")
	test, _, _ := strings.Cut(rest, "/")
	return !ok || slices.ContainsFunc(o.Layers, func(l string) bool { return strings.HasPrefix(l, os.TempDir()+"/"+test+"/") })
}

// in asks for a path inside a container.
func in(c container) func(*Ask, *nsinspect.Snapshot) {
	return func(a *Ask, s *nsinspect.Snapshot) { a.Process, a.Target = s.Process(c.pid), strconv.Itoa(c.pid) }
}

// seen is a view in short: PATH UID:GID USER:GROUP, and "?" where it is not confirmed.
func seen(v *nsinspect.OwnerView) string {
	mark := ""
	if !v.Confirmed {
		mark = " ?"
	}
	return fmt.Sprintf("%s %v:%v %s:%s%s", v.Path, v.UID, v.GID, v.User, v.Group, mark)
}

// viewsOf are the views of a container, of the host for nil.
func viewsOf(f *nsinspect.FileOwners, c *container) []string {
	views := []string{}
	for i := range f.Views {
		v := &f.Views[i]
		if c == nil && v.PID == nil || c != nil && v.PID != nil && *v.PID == c.pid {
			views = append(views, seen(v))
		}
	}
	return views
}

// wantViews compares the views of a container with what is expected, and the ids with what stat(1) says inside.
func wantViews(t *testing.T, f *nsinspect.FileOwners, c *container, want ...string) {
	t.Helper()
	got := viewsOf(f, c)
	if len(got) != len(want) {
		t.Errorf("views %q, want %q", got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("view %q, want %q", got[i], want[i])
		}
	}
	if c == nil {
		return
	}
	for i := range f.Views {
		v := &f.Views[i]
		if v.PID == nil || *v.PID != c.pid {
			continue
		}
		oracle := c.stat(t, v.Path)
		if ours := overflowed(v.UID.String()) + ":" + overflowed(v.GID.String()); ours != oracle {
			t.Errorf("%s: stat inside says %s, we say %s", v.Path, oracle, ours)
		}
	}
}

func overflowed(id string) string {
	if id == "unmapped" {
		return "65534"
	}
	return id
}

// stat is what stat(1) says inside. The program itself is the host's, opened before.
func (c container) stat(t *testing.T, path string) string {
	t.Helper()
	pid := strconv.Itoa(c.pid)
	cmd := exec.CommandContext(t.Context(), "nsenter", "-t", pid, "-U", "--preserve-credentials", "-m", "-r", "-w", "stat", "-c", "%u:%g", path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && strings.Contains(stderr.String(), "Invalid argument") { // the same user namespace
		out, err = exec.CommandContext(t.Context(), "nsenter", "-t", pid, "-m", "-r", "-w", "stat", "-c", "%u:%g", path).Output()
	}
	if err != nil {
		t.Fatalf("stat %s in pid %s: %v %s", path, pid, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// file makes a file with an owner.
func file(t *testing.T, path string, uid, gid int) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("content of "+filepath.Base(path)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	return path
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// idmappedMount makes target an idmapped mount of source, whose map is that of a user namespace with ids.
func idmappedMount(t *testing.T, source, target string, ids []syscall.SysProcIDMap) {
	t.Helper()
	holder := start(t, 0, ids, ready)
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", holder.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr)
	proctest.Need(t, "idmapped mounts", err == nil, fmt.Sprint(err))
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// mountAt mounts on the host, until the test ends.
func mountAt(t *testing.T, source, target, fsType string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fsType, flags, data); err != nil {
		t.Fatalf("mount %s on %s: %v", fsType, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

func hasGap(gaps []nsinspect.Gap, fact string) bool {
	for _, g := range gaps {
		if strings.Contains(g.Fact, fact) || strings.Contains(g.Error, fact) {
			return true
		}
	}
	return false
}

// hostNames are "USER:GROUP" as the host's files name the ids; one id is both.
func hostNames(t *testing.T, ids ...int) string {
	t.Helper()
	names := make([]string, 2)
	for i, path := range []string{"/etc/passwd", "/etc/group"} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		id := strconv.Itoa(ids[min(i, len(ids)-1)])
		for line := range strings.Lines(string(content)) {
			if f := strings.Split(line, ":"); len(f) > 2 && f[2] == id {
				names[i] = f[0]
				break
			}
		}
	}
	return strings.Join(names, ":")
}

// static puts a static busybox at path.
func static(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile("/bin/busybox")
	if err == nil {
		err = os.WriteFile(path, content, 0o755)
	}
	proctest.Need(t, "busybox", err == nil, fmt.Sprint(err))
}

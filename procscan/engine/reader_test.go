package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
)

// tree writes files below a directory, which stands for the host's root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func open(t *testing.T, dir string) *procscan.Root {
	t.Helper()
	root, err := procscan.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}

// What is read of a directory of records: regular files that are the owner's own, of a size that a record has, reached
// without a symbolic link.
func TestReadPattern(t *testing.T) {
	self := uint32(os.Geteuid())
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   []string
	}{
		"as it should be": {nil, []string{"/state/a/record", "/state/b/record"}},
		"a link to another record": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/b/record"), os.Symlink("../a/record", dir+"/b/record"))
		}, []string{"/state/a/record"}},
		"a link to a directory elsewhere": {func(t *testing.T, dir string) {
			must(t, os.Rename(dir+"/b", dir+"/../elsewhere"), os.Symlink("/elsewhere", dir+"/b"))
		}, []string{"/state/a/record"}},
		"100 MiB": {func(t *testing.T, dir string) { must(t, os.Truncate(dir+"/b/record", 100<<20)) }, []string{"/state/a/record"}},
		"a directory": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/b/record"), os.Mkdir(dir+"/b/record", 0o755))
		}, []string{"/state/a/record"}},
		"writable for all": {func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/b/record", 0o622)) }, []string{"/state/a/record"}},
		"a file where a directory should be": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(dir+"/b"), os.WriteFile(dir+"/b", nil, 0o600))
		}, []string{"/state/a/record"}},
		"somebody else's": {func(t *testing.T, dir string) {
			proctest.NeedRoot(t)
			must(t, os.Chown(dir+"/b/record", 54321, 54321))
		}, []string{"/state/a/record"}},
		"a link where the directory should be": {func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"/../real"), os.Symlink("/real", dir)) // an administrator's
		}, []string{"/state/a/record", "/state/b/record"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"state/a/record": "a", "state/b/record": "b"})
			if c.change != nil {
				c.change(t, root+"/state")
			}
			files, err := readPattern(t.Context(), open(t, root), Pattern{Glob: "/state/*/record", Owner: self}, maxFiles)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, f.Path)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("read %q, want %q", got, c.want)
			}
		})
	}
}

// A user's files do not fill the observer's memory: what is too much is left, and the error says so.
func TestReadTooMuch(t *testing.T) {
	self := uint32(os.Geteuid())
	root := tree(t, map[string]string{"state/a/record": "12345", "state/b/record": "12345", "state/c/record": "12345"})
	for limit, want := range map[int]int{0: 0, 1: 1, 5: 1, 6: 2, 14: 3, 15: 3} {
		files, err := readPattern(t.Context(), open(t, root), Pattern{Glob: "/state/*/record", Owner: self}, limit)
		if len(files) != want || errors.Is(err, errTooMuch) != (want < 3) {
			t.Errorf("of %d bytes: %d files, %v", limit, len(files), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if files, err := readPattern(ctx, open(t, root), Pattern{Glob: "/state/*/record", Owner: self}, maxFiles); len(files) > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody waits: %d files, %v", len(files), err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A process inside a container is evidence of nothing, whatever it calls itself.
func TestPrograms(t *testing.T) {
	proc := proctest.NewTree(t)
	host, container := t.TempDir(), t.TempDir()
	s := &nsinspect.Snapshot{}
	add := func(pid, ppid int, comm, root string, levels ...int) {
		if len(levels) == 0 {
			levels = []int{pid}
		}
		proc.Add(proctest.Process{PID: pid, PPID: ppid, PIDs: levels, Comm: comm, Args: []string{comm, "--data-root", "/" + strconv.Itoa(pid)}, Root: root})
		s.Processes = append(s.Processes, nsinspect.Process{PID: pid, PPID: ppid, PIDs: levels, Comm: comm})
	}
	add(1, 0, "init", host)
	add(10, 1, "dockerd", host)
	add(20, 10, "containerd", host)
	add(30, 1, "containerd-shim", host)
	add(40, 30, "dockerd", container, 40, 1) // docker in docker
	add(41, 40, "containerd-shim", container, 41, 2)
	add(50, 30, "dockerd", container) // --pid=host
	add(60, 30, "sh", host)           // --pid=host, in the host's root directory
	add(61, 60, "dockerd", host)
	add(62, 61, "containerd-shim", host)
	r := newReader(t.Context(), Options{Proc: proc.Dir, HostRoot: host}, s)
	var got []int
	for _, p := range r.programs([]Engine{docker()}) {
		got = append(got, p.PID)
	}
	if want := []int{10, 20, 30}; !slices.Equal(got, want) || len(r.gaps) > 0 {
		t.Errorf("the programs are %v, want %v, gaps %v", got, want, r.gaps)
	}
}

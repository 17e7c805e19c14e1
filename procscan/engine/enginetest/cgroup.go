package enginetest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Cgroup makes a cgroup in the unified hierarchy and returns its directory. RemoveCgroups, called before what is to use it
// is started, removes it.
func Cgroup(t *testing.T, path string) string {
	t.Helper()
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/unified"); err == nil {
		root += "/unified" // beside version 1
	}
	dir := filepath.Join(root, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Move moves a process into a cgroup.
func Move(t *testing.T, pid int, dir string) {
	t.Helper()
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// RemoveCgroups removes at the end the cgroups that a test or an engine leaves, from a path, or a glob pattern, up, in
// every hierarchy, as far as nothing is in them.
func RemoveCgroups(t *testing.T, path string) {
	t.Cleanup(func() {
		for at := path; at != "/"; at = filepath.Dir(at) {
			for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
				dirs, err := filepath.Glob(pattern + at)
				if err != nil {
					t.Error(err)
				}
				for _, dir := range dirs {
					_ = os.Remove(dir) // it is in use
				}
			}
		}
	})
}

package procscan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

// Without pins, what is above the namespaces of processes is the same.
func TestRelationsAreThoseOfTheGraph(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-Ur", "unshare", "-Ur", "unshare", "-Urm"}, "")
	graph, relations := scanFacts(t, Graph), scanFacts(t, Relations|Brief)
	n, chain := mustNamespace(t, relations, nsOf(t, pid, "mnt")), 0
	if want := mustNamespace(t, graph, n.Inode); n.OwnerUserNS != want.OwnerUserNS || n.OwnerUserNS == 0 {
		t.Errorf("the mount namespace's owner is %d, want %d", n.OwnerUserNS, want.OwnerUserNS)
	}
	for at := nsOf(t, pid, "user"); at != 0; chain++ {
		got, want := mustNamespace(t, relations, at), mustNamespace(t, graph, at)
		if got.Parent != want.Parent || got.OwnerUserNS != want.OwnerUserNS || got.OwnerUID != want.OwnerUID || got.Leader != want.Leader || got.IDMaps != want.IDMaps {
			t.Errorf("user namespace %d: %+v, want %+v", at, got, want)
		}
		if len(got.Pins) > 0 {
			t.Errorf("user namespace %d has pins: %+v", at, got.Pins)
		}
		at = got.Parent
	}
	if chain < 4 {
		t.Errorf("%d user namespaces in a chain of 4", chain)
	}
}

// What is said to be missing is, and what was made meanwhile is not said to be.
func TestRootLacks(t *testing.T) {
	dir := t.TempDir()
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/file", "/link", "/"} {
		if root.Lacks(path) {
			t.Errorf("%s is lacking", path)
		}
	}
	if _, err := root.OpenPath("/other", 0, 0); err == nil {
		t.Fatal("/other is there")
	}
	proctest.Need(t, "negative-dentries", root.Lacks("/other"), "nobody remembers that /other was not found (tmpfs, or Linux before 5.12)")
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if root.Lacks("/other") {
		t.Error("/other is lacking after it was made")
	}
}

package pathwalk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

// TestRenameBelow: whether one path is above the other is about where they end, not about what is on the way.
func TestRenameBelow(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	for _, d := range []string{"a/b/d", "a/e", "x/y"} {
		mkdir(t, filepath.Join(dir, d))
	}
	if err := os.Symlink("a/b", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, "root", nil, "/bin/sh", "-c", `cd "$1" && exec "$0"`, agentProgram(t), filepath.Join(dir, "a/b"))
	p := proberNow(t)
	agree(t, p, a,
		"rename ../b ../b/d/c", "rename ../../a new", "rename ../../x new", "rename ../../a d/../../../a/n",
		"noreplace d ../../a/b/../n", "rename ../n d", "exchange ../../a d", "exchange ../../x d", "exchange ../../a d",
		"rename d ../../x", "rename ../../link/d ../e", "rename ../e/../b/d ../../a",
	)
	// The path goes through the moved directory and leaves it again.
	b := startAgent(t, "root", nil, agentProgram(t))
	for _, d := range []string{"p/q", "r"} {
		mkdir(t, filepath.Join(dir, d))
	}
	agree(t, p, b, "rename "+dir+"/p/q "+dir+"/p/q/../c", "rename "+dir+"/p "+dir+"/p/c/../../s", "rename "+dir+"/s "+dir+"/s/c/t", "rename "+dir+"/s/c "+dir+"/r/../s")
}

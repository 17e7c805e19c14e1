package pathwalk

import (
	"maps"
	"slices"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

// What is left out of a tree is left out with all below it and nothing else is, whether something is mounted there or not.
func TestTreeExcept(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	for _, name := range []string{"/in/file", "/in/out/deep/file", "/in/outside/file", "/out", "/mounted/file"} {
		file(t, dir+name, 1, 1)
	}
	mountAt(t, "inner", mkdir(t, dir+"/in/inner"), "tmpfs", 0, "")
	file(t, dir+"/in/inner/file", 2, 2)
	w := walkTree(t, dir, func(ask *TreeAsk, _ *nsinspect.Snapshot) {
		ask.Except = []string{"/in/out", "/out", "/in/inner", "/mounted/not/there"}
	})
	got := slices.Sorted(maps.Keys(w.files))
	if want := []string{"", "/in", "/in/file", "/in/outside", "/in/outside/file", "/mounted", "/mounted/file"}; !slices.Equal(got, want) || w.err != nil || len(w.gaps) > 0 {
		t.Errorf("%q, want %q; %v, gaps %v", got, want, w.err, w.gaps)
	}
}

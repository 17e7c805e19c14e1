package nsinspect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

func TestIDUses(t *testing.T) {
	own := idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}
	keep := idmap.Map{{Inside: 0, Outside: 165000, Count: 1000}, {Inside: 1000, Outside: 1000, Count: 1}}
	rows := []ContainerRow{
		{Viewer: "plain", ActualUID: idmap.Identity()},
		{Viewer: "web", ActualUID: own},
		{Viewer: "stopped"},
		{Viewer: "db", ActualUID: own},
		{Viewer: "keep", ActualUID: keep},
	}
	uses := IDUses(rows, false)
	want := []IDUse{{keep, []string{"keep"}}, {own, []string{"web", "db"}}, {idmap.Identity(), []string{"plain"}}}
	if diff := cmp.Diff(want, uses); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]IDOverlap{{First: 165000, Count: 536, A: 0, B: 1}}, IDOverlaps(uses)); diff != "" {
		t.Error(diff)
	}
	for id, want := range map[idmap.Kernel]bool{99999: false, 100000: true, 165535: true, 165536: false, 1000: false} {
		if got := uses[1].Covers(id); got != want {
			t.Errorf("%d is covered: %v", id, got)
		}
	}
	if len(IDUses(rows, true)) != 0 {
		t.Error("containers without a gid map have one")
	}
}

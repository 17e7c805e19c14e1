package nsinspect

import (
	order "cmp"
	"math/rand/v2"
	"slices"
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

// All overlaps are found, as comparing each extent with each other finds them.
func TestIDOverlapsOfMany(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var uses []IDUse
		for range 4 {
			var m idmap.Map
			next := uint32(0)
			for inside := range random.Uint32N(6) {
				next += random.Uint32N(20)
				e := idmap.Extent{Inside: idmap.Inside(inside * 100), Outside: idmap.Kernel(next), Count: 1 + random.Uint32N(30)}
				m, next = append(m, e), next+e.Count
			}
			random.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
			uses = append(uses, IDUse{Map: m})
		}
		var want []IDOverlap
		for a := range uses {
			for b := a + 1; b < len(uses); b++ {
				for _, x := range uses[a].Map {
					for _, y := range uses[b].Map {
						first, end := max(x.Outside, y.Outside), min(x.Outside+idmap.Kernel(x.Count), y.Outside+idmap.Kernel(y.Count))
						if first < end {
							want = append(want, IDOverlap{First: uint64(first), Count: uint64(end - first), A: a, B: b})
						}
					}
				}
			}
		}
		slices.SortFunc(want, func(a, b IDOverlap) int {
			return order.Or(order.Compare(a.First, b.First), order.Compare(a.A, b.A), order.Compare(a.B, b.B))
		})
		if diff := cmp.Diff(want, IDOverlaps(uses)); diff != "" {
			t.Fatalf("%v: %s", uses, diff)
		}
	}
}

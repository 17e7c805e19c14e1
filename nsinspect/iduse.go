package nsinspect

import (
	"cmp"
	"slices"

	"github.com/nsview/nsview/idmap"
)

// IDUse is an id map and the containers that have it.
type IDUse struct {
	Map     idmap.Map
	Viewers []string // as TARGETs
}

// IDUses are the different uid maps, or gid maps, of containers, by their first outside id. Containers that map every id
// to itself, as those without a user namespace of their own do, come last. What maps nothing is left out.
func IDUses(rows []ContainerRow, gids bool) []IDUse {
	var uses []IDUse
	for i := range rows {
		m := rows[i].ActualUID
		if gids {
			m = rows[i].ActualGID
		}
		if len(m) == 0 {
			continue
		}
		at := slices.IndexFunc(uses, func(u IDUse) bool { return slices.Equal(u.Map, m) })
		if at < 0 {
			at = len(uses)
			uses = append(uses, IDUse{Map: m})
		}
		uses[at].Viewers = append(uses[at].Viewers, rows[i].Viewer)
	}
	slices.SortStableFunc(uses, func(a, b IDUse) int {
		if a.Identity() != b.Identity() {
			if a.Identity() {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.lowest(), b.lowest())
	})
	return uses
}

// Identity reports whether the map leads every id to itself.
func (u *IDUse) Identity() bool { return slices.Equal(u.Map, idmap.Identity()) }

func (u *IDUse) lowest() uint64 {
	low := uint64(1) << 32
	for _, e := range u.Map {
		if e.Outside.Mapped() {
			low = min(low, uint64(e.Outside))
		}
	}
	return low
}

// Covers reports whether an outside id is one of the map's.
func (u *IDUse) Covers(id idmap.Kernel) bool {
	return u.Map.ToInside(id).Mapped()
}

// IDOverlap are outside ids that two maps lead to: there, containers that are apart can be each other's users.
type IDOverlap struct {
	First, Count uint64
	A, B         int // indices of the uses
}

// IDOverlaps are all of them, by their first id. Maps of every id to itself overlap with everything and are left out.
func IDOverlaps(uses []IDUse) []IDOverlap {
	type extent struct {
		first, end uint64
		use        int
	}
	var all []extent
	for i := range uses {
		if uses[i].Identity() {
			continue
		}
		for _, e := range uses[i].Map {
			if e.Outside.Mapped() && e.Count > 0 {
				all = append(all, extent{uint64(e.Outside), uint64(e.Outside) + uint64(e.Count), i})
			}
		}
	}
	slices.SortFunc(all, func(a, b extent) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.use, b.use), cmp.Compare(a.end, b.end))
	})
	var found []IDOverlap
	var open []extent // those that began before and have not ended
	for _, e := range all {
		open = slices.DeleteFunc(open, func(o extent) bool { return o.end <= e.first })
		for _, o := range open {
			if o.use != e.use {
				found = append(found, IDOverlap{First: e.first, Count: min(o.end, e.end) - e.first, A: min(o.use, e.use), B: max(o.use, e.use)})
			}
		}
		open = append(open, e)
	}
	slices.SortStableFunc(found, func(a, b IDOverlap) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B))
	})
	return found
}

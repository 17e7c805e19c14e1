package doctor

import (
	"cmp"
	"slices"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// CountOf is the count of an owner pair, as [nsinspect.OwnerViewers.Pair] judged it for the container of p alone.
func CountOf(seen *nsinspect.FileOwners, host nsinspect.OwnerIDs, p *PathAsk) Count {
	c := Count{
		Container: p.Container, Path: p.Volume.Point, OnDisk: seen.OnDisk, Host: host,
		UID: idmap.UnmappedInside, GID: idmap.UnmappedInside, Unknown: true,
	}
	for i := range seen.Views {
		v := &seen.Views[i]
		if v.Viewer == hostTarget || !within(p.Volume.Point, v.Path) {
			continue
		}
		c.UID, c.GID, c.Host, c.Unknown = v.UID, v.GID, v.Host, len(v.UnknownIDs) > 0
		break
	}
	return c
}

// SortCounts orders counts, most files first, so that the same tree gives the same evidence.
func SortCounts(list []Count) {
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Host.UID, b.Host.UID), cmp.Compare(a.Host.GID, b.Host.GID),
			cmp.Compare(a.OnDisk.UID, b.OnDisk.UID), cmp.Compare(a.Mode, b.Mode), cmp.Compare(a.Example, b.Example))
	})
}

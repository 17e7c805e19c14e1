package doctor

import (
	"fmt"
	"slices"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// staleGrant says in which other range of the same user an unmapped owner is, "" when in none.
func (j *judge) staleGrant(i int, c *Count) string {
	uid, gid := j.containerMaps(i)
	for _, id := range []struct {
		stale  bool
		grants idmap.SubIDs
		of     idmap.Map
		id     idmap.Kernel
	}{{!c.UID.Mapped(), j.SubUID, uid, c.Host.UID}, {!c.GID.Mapped(), j.SubGID, gid, c.Host.GID}} {
		if g := staleIn(id.grants, id.of, id.id); id.stale && g != nil {
			return fmt.Sprintf("in the range %s:%v", g.Owner, g.Grant)
		}
	}
	return ""
}

// renew is to give files to the ids that are in the container's range what their owners are in the earlier one. all says
// that no other owner has files there.
func (j *judge) renew(i int, v *nsinspect.Volume, pairs []nsinspect.OwnerIDs, all bool) []access.Fix {
	uids, gids := j.containerMaps(i)
	return give("give them to the same places in the range that the container has now", v, pairs, all, func(pair nsinspect.OwnerIDs) nsinspect.OwnerIDs {
		return nsinspect.OwnerIDs{UID: renewed(j.SubUID, uids, pair.UID), GID: renewed(j.SubGID, gids, pair.GID)}
	})
}

// renewed is an id of an earlier range as the range has it that m is of: as far behind its first. An id that m has stays.
// Unmapped where m does not have it, or where m is of several ranges: which of them came in the place of the earlier one
// cannot be told.
func renewed(ids idmap.SubIDs, m idmap.Map, id idmap.Kernel) idmap.Kernel {
	if m.ToInside(id).Mapped() {
		return id
	}
	old, now := staleIn(ids, m, id), idmap.UnmappedKernel
	if old == nil {
		return now
	}
	for k := range ids {
		g := &ids[k]
		if g.Owner != old.Owner || !uses(m, g.Grant) {
			continue
		}
		to := g.First + (id - old.First)
		if now.Mapped() && to != now || !has(g.Grant, to) || !m.ToInside(to).Mapped() {
			return idmap.UnmappedKernel
		}
		now = to
	}
	return now
}

// staleIn is the grant that has id and of which m maps nothing, of a user who has also another that it does map.
func staleIn(ids idmap.SubIDs, m idmap.Map, id idmap.Kernel) *idmap.SubID {
	if !id.Mapped() {
		return nil
	}
	for i := range ids {
		g := &ids[i]
		if !has(g.Grant, id) || uses(m, g.Grant) {
			continue
		}
		if slices.ContainsFunc(ids, func(other idmap.SubID) bool { return other.Owner == g.Owner && uses(m, other.Grant) }) {
			return g
		}
	}
	return nil
}

// uses reports whether an extent of a map begins in a grant.
func uses(m idmap.Map, g idmap.Grant) bool {
	return slices.ContainsFunc(m, func(e idmap.Extent) bool { return e.Outside.Mapped() && has(g, e.Outside) })
}

func has(g idmap.Grant, id idmap.Kernel) bool {
	return id >= g.First && uint64(id)-uint64(g.First) < uint64(g.Count)
}

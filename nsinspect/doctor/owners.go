package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/shell"
)

// tally is the files of a volume that one kind of finding is about.
type tally struct {
	files   uint64
	owners  map[string]uint64 // the files of each
	pairs   []nsinspect.OwnerIDs
	example string
}

func (t *tally) add(c *Count, owner string) {
	t.files += c.Files
	if t.example == "" {
		t.example = c.Example
	}
	if t.owners == nil {
		t.owners = map[string]uint64{}
	}
	if t.owners[owner] == 0 {
		t.pairs = append(t.pairs, c.Host)
	}
	t.owners[owner] += c.Files
}

// text is how many files, of whom and which for instance.
func (t *tally) text(all uint64, partial bool) string {
	const shown = 4
	owners := slices.SortedFunc(maps.Keys(t.owners), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.owners[b], t.owners[a]), strings.Compare(a, b))
	})
	if len(owners) > shown {
		owners = append(owners[:shown], fmt.Sprintf("%d more", len(t.owners)-shown))
	}
	text := fmt.Sprintf("%d of %d files (of %s)", t.files, all, strings.Join(owners, ", "))
	if t.example != "" {
		text += ", such as " + t.example
	}
	if partial {
		text += "; the time budget ended before all were counted"
	}
	return text
}

// owners finds files of volumes that belong to nobody inside: simply unmapped, shifted twice, or left by an earlier range
// of subordinate ids.
func (j *judge) owners(i int) {
	for _, v := range j.volumes(i) {
		var unmapped, twice, stale tally
		var all uint64
		partial := false
		for n := range j.Counts {
			c := &j.Counts[n]
			if c.Container != i || c.Path != v.Point {
				continue
			}
			all += c.Files
			partial = partial || c.Partial
			if c.Unknown || c.UID.Mapped() && c.GID.Mapped() {
				continue
			}
			switch {
			case j.shiftedTwice(i, &v, c):
				twice.add(c, c.OnDisk.UID.String()+":"+c.OnDisk.GID.String()+" on disk")
			case j.staleGrant(i, c) != "":
				stale.add(c, fmt.Sprintf("%v:%v, %s", c.Host.UID, c.Host.GID, j.staleGrant(i, c)))
			default:
				unmapped.add(c, ownerText(c))
			}
		}
		j.ownerFinding(i, &v, DoubleShift, &twice, all, partial)
		j.ownerFinding(i, &v, StaleSubID, &stale, all, partial)
		j.ownerFinding(i, &v, Unmapped, &unmapped, all, partial)
	}
}

// ownerText is the owner pair of a count as the host sees it, or as it is on disk where the mount maps it to nothing.
func ownerText(c *Count) string {
	if !c.Host.UID.Mapped() && c.OnDisk.UID.Mapped() {
		return c.OnDisk.UID.String() + ":" + c.OnDisk.GID.String() + " on disk"
	}
	return c.Host.UID.String() + ":" + c.Host.GID.String()
}

func (j *judge) ownerFinding(i int, v *nsinspect.Volume, id ID, t *tally, all uint64, partial bool) {
	if t.files == 0 {
		return
	}
	f := Finding{ID: id, Severity: Warning, Target: j.viewers[i], Path: v.Point, Evidence: t.text(all, partial)}
	switch id {
	case DoubleShift:
		f.Evidence += ": already ids of the container's range, and the mount is idmapped as well"
		f.Meaning = "the shift is made twice, once on disk and once by the mount: the files are nobody's inside and closed to the container's root"
		f.Fixes = j.unshift(v)
	case StaleSubID:
		f.Meaning = "they were written with another range of subordinate ids: they are nobody's inside, and closed to the container's root"
		if !systemTree(v.Source) {
			f.Fixes = j.renew(i, v, t.pairs, !partial)
		}
	case Unmapped:
		f.Meaning = "they are nobody's inside: only group and mode for others count, and the container's root may neither read what these close nor change them"
		if v.ReadOnly || systemTree(v.Source) {
			f.Severity = Info
		} else {
			f.Fixes = j.shift(i, v, t.pairs, !partial)
		}
	}
	j.add(f)
}

// maxShifts bounds the owners for whose files there is a fix.
const maxShifts = 4

// shift is to give files to the ids that are inside what their owners are on the host, as a volume needs it that was
// filled without a user namespace. all says that no other owner has files there.
func (j *judge) shift(i int, v *nsinspect.Volume, pairs []nsinspect.OwnerIDs, all bool) []access.Fix {
	uids, gids := j.containerMaps(i)
	return give("give them to the same numbers inside", v, pairs, all, func(pair nsinspect.OwnerIDs) nsinspect.OwnerIDs {
		if !uids.ToInside(pair.UID).Mapped() {
			pair.UID = uids.ToOutside(idmap.Inside(pair.UID))
		}
		if !gids.ToInside(pair.GID).Mapped() {
			pair.GID = gids.ToOutside(idmap.Inside(pair.GID))
		}
		return pair
	})
}

// give is to give the files of some owners, for whom the container has no ids, to those that to says, for whom it has
// them: so no command undoes what another did. There is no fix where to has none for one of them.
func give(title string, v *nsinspect.Volume, pairs []nsinspect.OwnerIDs, all bool, to func(nsinspect.OwnerIDs) nsinspect.OwnerIDs) []access.Fix {
	if v.Source == "" || v.Idmapped || len(pairs) > maxShifts {
		return nil
	}
	fix := access.Fix{Title: title, Proven: all, Commands: []string{}}
	var opens []string
	for _, old := range pairs {
		owner := to(old)
		if !old.UID.Mapped() || !old.GID.Mapped() || !owner.UID.Mapped() || !owner.GID.Mapped() {
			return nil
		}
		fix.Commands = append(fix.Commands, shell.Command(
			"find", v.Source, "-xdev", "-uid", old.UID.String(), "-gid", old.GID.String(), "-execdir", "chown", "-h", "--", owner.UID.String()+":"+owner.GID.String(), "{}", "+",
		))
		opens = append(opens, fmt.Sprintf("%v:%v on the host loses its files to %v:%v", old.UID, old.GID, owner.UID, owner.GID))
	}
	fix.Opens = strings.Join(opens, ", ")
	return []access.Fix{fix}
}

// shiftedTwice reports whether a file is unmapped because its id on disk is already one that the idmapped mount leads to.
func (j *judge) shiftedTwice(i int, v *nsinspect.Volume, c *Count) bool {
	if !v.Idmapped {
		return false
	}
	m := j.mountAt(i, v.Point)
	if m == nil || !m.MapKnown {
		return false
	}
	again := func(list idmap.MountMap, id idmap.Disk) bool {
		return id.Mapped() && !list.SeenAs(id).Mapped() && list.OnDisk(idmap.Kernel(id)).Mapped()
	}
	return again(m.UIDMap, c.OnDisk.UID) || again(m.GIDMap, c.OnDisk.GID)
}

// mountAt is the topmost mount at a path of a container.
func (j *judge) mountAt(i int, point string) *nsinspect.Mount {
	table := j.s.Mounts(j.container(i).MountTable)
	if table == nil {
		return nil
	}
	for n := len(table.Mounts) - 1; n >= 0; n-- {
		if table.Mounts[n].Point == point {
			return &table.Mounts[n]
		}
	}
	return nil
}

// unshift is to take the mount's map away: what is on disk is then what the container's own map makes of it.
func (j *judge) unshift(v *nsinspect.Volume) []access.Fix {
	return []access.Fix{{
		Title:    "mount the volume without an id map (without :idmap, or with --userns and :U but not both)",
		Commands: []string{},
		Restart:  true,
		Opens:    "nothing: the ids on disk are those of the container already (" + shell.Arguments(v.Point) + ")",
	}}
}

// containerMaps are the maps that a container has or would have.
func (j *judge) containerMaps(i int) (uid, gid idmap.Map) {
	c := j.container(i)
	if maps := j.s.Maps(c.IDMaps); maps != nil {
		return maps.UID, maps.GID
	}
	return c.UIDMap, c.GIDMap
}

package doctor

import (
	"fmt"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// use is a volume as one container has it.
type use struct {
	container int
	volume    nsinspect.Volume
}

// sharedIDs finds volumes that two containers use with different ids: the same file is another's inside the one than
// inside the other, or each writes as a user that the other is not.
func (j *judge) sharedIDs() {
	byPlace := map[[2]string][]use{}
	var places [][2]string
	for _, i := range j.Containers {
		for _, v := range Volumes(j.s, i) {
			place := [2]string{v.Dev, v.Root}
			if v.Dev == "" {
				place = [2]string{"", v.Source}
			}
			if v.Source == "" && v.Dev == "" || systemTree(v.Source) {
				continue
			}
			if byPlace[place] == nil {
				places = append(places, place)
			}
			byPlace[place] = append(byPlace[place], use{i, v})
		}
	}
	for _, place := range places {
		uses := byPlace[place]
		for n := 1; n < len(uses); n++ {
			if j.shared(&uses[0], &uses[n]) {
				break // one pair says it
			}
		}
	}
}

// shared judges one pair, and reports whether there was something to say.
func (j *judge) shared(a, b *use) bool {
	if a.container == b.container {
		return false
	}
	f := Finding{Target: j.viewers[b.container], Path: b.volume.Point, ID: SharedIDs, Severity: Info}
	readOnly := a.volume.ReadOnly || b.volume.ReadOnly
	switch uidA, uidB, known := j.uidsOf(a, b); {
	case j.differentMaps(a, b):
		if !readOnly {
			f.Severity = Warning
		}
		f.Evidence = fmt.Sprintf("%s has it too, at %s, and the two map ids differently", j.viewers[a.container], a.volume.Point)
		f.Meaning = "a file that one of them creates has another owner for the other, or none: unmapped, and closed to its root"
	case known && uidA != uidB && !readOnly && uidA != 0 && uidB != 0:
		f.Evidence = fmt.Sprintf("%s has it too, at %s, and writes as uid %v where this one writes as %v (on disk)", j.viewers[a.container], a.volume.Point, uidA, uidB)
		f.Meaning = "what one of them creates is the other's only as far as group and mode allow"
	default:
		return false
	}
	j.add(f)
	return true
}

// differentMaps reports whether the same file surely has different ids in the two containers.
func (j *judge) differentMaps(a, b *use) bool {
	x, y := j.s.Maps(j.container(a.container).IDMaps), j.s.Maps(j.container(b.container).IDMaps)
	if x == nil || y == nil {
		return false
	}
	switch asOnDisk := j.asOnDisk(a, x); {
	case asOnDisk != j.asOnDisk(b, y):
		return true
	case asOnDisk:
		return false
	case a.volume.Idmapped || b.volume.Idmapped:
		return false // with maps of some other kind: that is not compared
	}
	return !x.UID.Equal(y.UID) || !x.GID.Equal(y.GID)
}

// asOnDisk reports whether the ids of the volume's files are inside the container what they are on disk: where nothing
// maps them, or where the mount's map undoes the container's. A map of the mount that is not known is taken for one that
// does.
func (j *judge) asOnDisk(u *use, maps *nsinspect.IDMaps) bool {
	if !u.volume.Idmapped {
		return maps.UID.Equal(idmap.Identity()) && maps.GID.Equal(idmap.Identity())
	}
	m := j.mountOf(u)
	return m == nil || !m.MapKnown || undoes(m.UIDMap, maps.UID) && undoes(m.GIDMap, maps.GID)
}

// mountOf is the volume's mount in the container, nil where it is not known.
func (j *judge) mountOf(u *use) *nsinspect.Mount {
	if table := j.s.Mounts(j.container(u.container).MountTable); table != nil {
		for i := range table.Mounts {
			if m := &table.Mounts[i]; m.Point == u.volume.Point {
				return m
			}
		}
	}
	return nil
}

// undoes reports whether a container with that id map sees the ids on disk through the mount.
func undoes(mount idmap.MountMap, container idmap.Map) bool {
	for _, e := range mount {
		last := e.OnDisk + idmap.Disk(e.Count-1)
		if container.ToInside(e.SeenAs) != idmap.Inside(e.OnDisk) || container.ToInside(mount.SeenAs(last)) != idmap.Inside(last) {
			return false
		}
	}
	return true
}

// uidsOf are as whom the first processes of two containers write to their volume, as the file system stores it.
func (j *judge) uidsOf(a, b *use) (x, y idmap.Disk, known bool) {
	x, y = j.writesAs(a), j.writesAs(b)
	return x, y, x.Mapped() && y.Mapped()
}

// writesAs is the uid on disk of what the first process of a container writes, unmapped when it can write nothing there or
// that is not known.
func (j *judge) writesAs(u *use) idmap.Disk {
	p := j.s.Process(j.container(u.container).InitPID)
	m := j.mountOf(u)
	if p == nil || m == nil || m.Idmapped && !m.MapKnown {
		return idmap.UnmappedDisk
	}
	ids := idmap.MountIDs{Idmapped: m.Idmapped, Map: m.UIDMap, Superblock: idmap.Identity()} // a volume of the host's
	return ids.OnDisk(p.Cred.UID.FS)
}

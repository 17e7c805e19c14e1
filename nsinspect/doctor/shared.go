package doctor

import (
	"fmt"
	"slices"
	"strings"

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
	type placeKey [2]string // device and root; of what only a container that is not running has, "" and the host's path
	byPlace, bySource := map[placeKey][]use{}, map[string]placeKey{}
	var places []placeKey
	for _, running := range []bool{true, false} {
		for _, i := range j.Containers {
			if j.container(i).Running() != running {
				continue
			}
			for _, v := range j.volumes(i) {
				if v.Source == "" && v.Dev == "" || systemTree(v.Source) {
					continue
				}
				place := placeKey{v.Dev, v.Root}
				if known, ok := bySource[v.Source]; v.Dev == "" && ok {
					place = known
				} else if v.Dev == "" {
					place = placeKey{"", v.Source}
				}
				if v.Source != "" {
					bySource[v.Source] = place
				}
				if byPlace[place] == nil {
					places = append(places, place)
				}
				byPlace[place] = append(byPlace[place], use{i, v})
			}
		}
	}
	for _, place := range places {
		j.sharedBy(byPlace[place])
	}
}

// sharedBy says of all who use one volume what one pair of them says, those first who write.
func (j *judge) sharedBy(uses []use) {
	slices.SortStableFunc(uses, func(a, b use) int {
		switch {
		case a.volume.ReadOnly == b.volume.ReadOnly:
			return 0
		case b.volume.ReadOnly:
			return -1
		}
		return 1
	})
	for n := range uses {
		for k := range n {
			if j.shared(&uses[k], &uses[n]) {
				return
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
	x, y := j.mapsOf(a.container), j.mapsOf(b.container)
	if x == nil || y == nil || j.futureIDMap(a) || j.futureIDMap(b) {
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

// mapsOf are the maps that a container has or would have, nil when they are not known.
func (j *judge) mapsOf(i int) *nsinspect.IDMaps {
	c := j.container(i)
	if c.Running() || len(c.UIDMap) == 0 || len(c.GIDMap) == 0 {
		return j.s.Maps(c.IDMaps)
	}
	return &nsinspect.IDMaps{UID: c.UIDMap, GID: c.GIDMap}
}

// futureIDMap reports whether an engine would mount the volume of a container that is not running with an id map.
func (j *judge) futureIDMap(u *use) bool {
	c := j.container(u.container)
	return !c.Running() && slices.ContainsFunc(c.Mounts, func(m nsinspect.EngineMount) bool {
		return m.Destination == u.volume.Point && slices.ContainsFunc(m.Options, func(o string) bool { return o == "idmap" || strings.HasPrefix(o, "idmap=") })
	})
}

// asOnDisk reports whether the ids of the volume's files are inside the container what they are on disk: where nothing
// maps them, or where the mount's map undoes the container's. A map of the mount that is not known is taken for one that
// does.
func (j *judge) asOnDisk(u *use, maps *nsinspect.IDMaps) bool {
	if !u.volume.Idmapped {
		return maps.UID.Equal(idmap.Identity()) && maps.GID.Equal(idmap.Identity())
	}
	m := j.mountAt(u.container, u.volume.Point)
	return m == nil || !m.MapKnown || undoes(m.UIDMap, maps.UID) && undoes(m.GIDMap, maps.GID)
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

// uidsOf are as whom two containers write to their volume, as the file system stores it.
func (j *judge) uidsOf(a, b *use) (x, y idmap.Disk, known bool) {
	x, y = j.writesAs(a), j.writesAs(b)
	return x, y, x.Mapped() && y.Mapped()
}

// writesAs is the uid on disk of what the first process of a container writes, or would write once it is started, unmapped
// when it can write nothing there or that is not known.
func (j *judge) writesAs(u *use) idmap.Disk {
	if !j.container(u.container).Running() {
		for _, a := range j.answersOf(u.container, true) {
			if a.Path == u.volume.Point && !j.futureIDMap(u) {
				return idmap.Disk(a.Subject.Cred.UID.FS)
			}
		}
		return idmap.UnmappedDisk
	}
	p := j.s.Process(j.container(u.container).InitPID)
	m := j.mountAt(u.container, u.volume.Point)
	if p == nil || m == nil || m.Idmapped && !m.MapKnown {
		return idmap.UnmappedDisk
	}
	ids := idmap.MountIDs{Idmapped: m.Idmapped, Map: m.UIDMap, Superblock: idmap.Identity()} // a volume of the host's
	return ids.OnDisk(p.Cred.UID.FS)
}

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
		f.Evidence = fmt.Sprintf("%s has it too, at %s, and writes as uid %v where this one writes as %v (on the host)", j.viewers[a.container], a.volume.Point, uidA, uidB)
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
	if a.volume.Idmapped || b.volume.Idmapped {
		// On an idmapped mount that fits the container's map the ids on disk are those inside.
		return a.volume.Idmapped != b.volume.Idmapped && !(plainMaps(x) && plainMaps(y))
	}
	return !x.UID.Equal(y.UID) || !x.GID.Equal(y.GID)
}

// plainMaps reports whether ids are the same inside and outside.
func plainMaps(m *nsinspect.IDMaps) bool {
	return m.UID.Equal(idmap.Identity()) && m.GID.Equal(idmap.Identity())
}

// uidsOf are as whom the first processes of two containers write, on the observer's side.
func (j *judge) uidsOf(a, b *use) (x, y idmap.Kernel, known bool) {
	p, q := j.s.Process(j.container(a.container).InitPID), j.s.Process(j.container(b.container).InitPID)
	if p == nil || q == nil {
		return 0, 0, false
	}
	x, y = p.Cred.UID.FS, q.Cred.UID.FS
	return x, y, x.Mapped() && y.Mapped()
}

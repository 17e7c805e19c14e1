package doctor

import (
	"path"

	"github.com/nsview/nsview/nsinspect"
)

// Place is a directory of the host that is below a mount of a container: Path in the host's root, or in Layer, a layer of
// the container's overlay.
type Place struct {
	Layer string
	Path  string
}

// String is the path on the host.
func (p Place) String() string { return path.Join(p.Layer, p.Path) }

// Below lists where the host may have what the volume of a path hides, the topmost layer first. It follows from the mount
// tables alone: whoever looks compares.
func Below(s *nsinspect.Snapshot, atlas *nsinspect.Atlas, overlays []nsinspect.Overlay, p *PathAsk) []Place {
	table := s.Containers[p.Container].MountTable
	upper := atlas.At(table, p.Volume.Point)
	if upper == nil || upper.Point != p.Volume.Point {
		return nil
	}
	lower := atlas.Mount(nsinspect.MountRef{Table: table, Mount: upper.Parent})
	if lower == nil || lower.Point == upper.Point {
		return nil
	}
	at, ok := nsinspect.PlaceOf(lower, upper.Point)
	if !ok {
		return nil
	}
	var places []Place
	for i := range overlays {
		if overlays[i].Dev != at.Dev {
			continue
		}
		for _, layer := range overlays[i].Layers {
			if path.IsAbs(layer) {
				places = append(places, Place{Layer: layer, Path: at.Path})
			}
		}
		return places
	}
	if s.Observer.MountTable < 0 {
		return nil
	}
	for _, c := range atlas.Candidates(s.Observer.MountTable, at) {
		places = append(places, Place{Path: c.Path})
	}
	return places
}

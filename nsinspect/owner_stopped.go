package nsinspect

import (
	"slices"

	"github.com/nsview/nsview/idmap"
)

// stopped adds the views that a container which is not running would have: at the mounts that its engine would make of
// what the host sees, through the id maps that it is configured with. There is no root file system to take names from.
func (j *ownerJudge) stopped(v *ownerViewer) {
	for i := range j.f.Sightings {
		g := &j.f.Sightings[i]
		if g.Table != j.s.Observer.MountTable || g.Table < 0 {
			continue
		}
		m, path := v.container.mountOf(g.Path)
		if m == nil || slices.ContainsFunc(j.out.Views, func(w OwnerView) bool { return w.Viewer == v.name && w.Path == path }) {
			continue
		}
		j.assume(v.name + " is not running: its view follows from the mounts and maps that it is configured with")
		j.out.Views = append(j.out.Views, j.stoppedView(v, g, m, path))
	}
}

// mountOf is the configured mount that would show a path of the host, and where in the container.
func (c *Container) mountOf(hostPath string) (*EngineMount, string) {
	for i := range c.Mounts {
		m := &c.Mounts[i]
		rest, ok := beneath(m.Source, hostPath)
		if !ok || m.Destination == "" {
			continue
		}
		path := join(m.Destination, rest)
		hidden := slices.ContainsFunc(c.Mounts, func(over EngineMount) bool {
			_, above := beneath(over.Destination, path)
			return above && len(over.Destination) > len(m.Destination)
		})
		if !hidden {
			return m, path
		}
	}
	return nil, ""
}

// HostPath is where on the host a path of a container that is not running would be: below the configured mount that is
// nearest above it. False when it would be in the container's own root file system.
func (c *Container) HostPath(path string) (string, bool) {
	best, found := "", -1
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if rest, ok := beneath(m.Destination, path); ok && len(m.Destination) > found {
			best, found = "", len(m.Destination)
			if m.Source != "" {
				best = join(m.Source, rest)
			}
		}
	}
	return best, best != ""
}

func (j *ownerJudge) stoppedView(v *ownerViewer, g *Sighting, m *EngineMount, path string) OwnerView {
	out := OwnerView{Viewer: v.name, Path: path, UID: idmap.UnmappedInside, GID: idmap.UnmappedInside}
	out.Host = OwnerIDs{UID: idmap.UnmappedKernel, GID: idmap.UnmappedKernel}
	out.Mount = OwnerMount{Point: m.Destination, Volume: m.Name, ReadOnly: m.ReadOnly, Idmapped: slices.Contains(m.Options, "idmap")}
	maps := v.container.configuredMaps()
	for _, h := range []struct {
		half   *judgedHalf
		host   *idmap.Kernel
		inside *idmap.Inside
	}{{&j.uid, &out.Host.UID, &out.UID}, {&j.gid, &out.Host.GID, &out.GID}} {
		seen, known := j.seenAs(g, h.half)
		if known && !out.Mount.Idmapped {
			*h.host = seen
		}
		switch {
		case !known || out.Mount.Idmapped || maps == nil:
			j.unknown(&out, h.half)
		case seen.Mapped():
			*h.inside = h.half.maps(maps).ToInside(seen)
		}
	}
	return out
}

package pathwalk

import (
	"path"
	"slices"
	"sync/atomic"

	"github.com/nsview/nsview/nsinspect"
)

// Region is a part of a tree that everybody sees through the same mounts: it begins at the top, and where this process or
// a viewer has something mounted.
type Region struct {
	ID    int    // counts from 0, the top
	Rel   string // path of its topmost file from the top of the tree on, "" or beginning with a slash
	Facts *nsinspect.FileFacts

	mount    int
	answered atomic.Bool // its file system did
}

// region finds who sees a file of the tree, and where below it that changes.
func (t *tree) region(st *stat, rel string, bounds *boundary) *Region {
	t.regionMu.Lock()
	defer t.regionMu.Unlock()
	f := &nsinspect.FileFacts{
		Target: "host", Path: t.display(rel), Follow: t.ask.Follow, Sightings: []nsinspect.Sighting{}, Gaps: []nsinspect.Gap{},
	}
	if t.ask.Process != nil {
		f.Target, f.PID = t.ask.Target, t.ask.Process.PID
	}
	f.Type, f.Mode, f.Dev, f.Inode, f.Nlink = st.typeName(), st.mode&0o7777, st.dev, st.inode, st.nlink
	ask := t.ask.Ask
	ask.Path = f.Path
	t.w.places++
	places := t.w.sight(t.ctx, f, &ask, t.table, st, path.Clean(below(t.where, rel)))
	if st.isDir() {
		t.addBounds(bounds, f, places)
	}
	t.mu.Lock()
	for _, g := range f.Gaps {
		same := func(o nsinspect.Gap) bool { return o.Subject == t.ask.Path && o.Fact == g.Fact && o.Error == g.Error }
		if t.ctx.Err() == nil && !slices.ContainsFunc(t.gaps, same) { // what holds for the whole tree is said once
			t.addGap(g)
		}
	}
	t.mu.Unlock()
	f.Gaps = nil
	t.regions++
	return &Region{ID: t.regions - 1, Rel: rel, Facts: f, mount: st.mount}
}

// addBounds notes where below a directory somebody's view changes: a mount point of any table that shows it, a part of
// it that is mounted by itself, and layers of overlays.
func (t *tree) addBounds(bounds *boundary, f *nsinspect.FileFacts, places []nsinspect.Place) {
	for i := range f.Sightings {
		for _, rel := range t.w.atlas.SubMounts(f.Sightings[i].Table, f.Sightings[i].Path) {
			bounds.add(rel)
		}
	}
	for _, place := range places {
		for table := range t.w.atlas.Tables() {
			for _, rel := range t.w.atlas.MountedBelow(table, place) {
				bounds.add(rel)
			}
		}
		for i := range t.w.overlays {
			for _, l := range t.w.overlays[i].layers {
				if rel, ok := nsinspect.InLayer(place, l.place); ok && rel != "/" {
					bounds.add(rel)
				}
			}
		}
	}
}

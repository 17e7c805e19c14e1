package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// spot is one place in a file system where the file is, and what it looks like there.
type spot struct {
	place    nsinspect.Place
	ref      *stat
	overlaid bool                // place is in an overlay, ref is the layer's file
	layer    *nsinspect.MountRef // the mount of the layer that holds the file, for a place in an overlay
	sure     bool                // nothing hides it
	doubt    error               // why not sure
}

// shows reports whether a file seen at a candidate path is the one at the spot.
func (s *spot) shows(st *stat) bool {
	if s.overlaid {
		return s.ref.sameAttributes(st)
	}
	return s.ref.sameFile(st)
}

// overlay is an overlay of the snapshot with its layers found, the upper one first.
type overlay struct {
	nsinspect.Overlay
	layers []layer
	err    error // why layers are not known
}

// layer is a directory that an overlay is made of.
type layer struct {
	name  string // path that leads to it in the root of table
	table int
	ref   nsinspect.MountRef
	place nsinspect.Place
	st    *stat
}

type layerKey struct {
	table int
	name  string
}

// spots lists the places of the file: where it was found, the layer's file below an overlay, and the overlays of whose
// layers it is part. The first one is start.
func (w *Walker) spots(ctx context.Context, f *nsinspect.FileFacts, start spot) []spot {
	start.sure = true
	spots := []spot{start}
	w.findOverlays(ctx)
	w.gapOverlays(f)
	for i := 0; i < len(spots) && len(spots) < maxPlaces; i++ {
		if o := w.overlayOf(spots[i].place.Dev); o != nil && spots[i].layer == nil {
			under, err := w.under(ctx, o, spots[i].place.Path)
			if err != nil {
				f.Gaps = append(f.Gaps, nsinspect.Gap{Subject: f.Path, Fact: "layer of the overlay", Error: err.Error()})
			} else {
				spots[i].layer = &under.mount
				if add := (spot{place: under.place, ref: under.st, sure: true}); !knows(spots, add.place) {
					spots = append(spots, add)
				}
			}
		}
		for n := range w.overlays {
			if o := &w.overlays[n]; o.Dev != spots[i].place.Dev {
				spots = w.over(ctx, f, spots, i, o)
			}
		}
	}
	return spots
}

func knows(spots []spot, p nsinspect.Place) bool {
	return slices.ContainsFunc(spots, func(s spot) bool { return s.place == p })
}

func (w *Walker) overlayOf(dev string) *overlay {
	for i := range w.overlays {
		if w.overlays[i].Dev == dev {
			return &w.overlays[i]
		}
	}
	return nil
}

// over adds the place in overlay o that shows spot i, if it is in one of o's layers and no higher one hides it.
func (w *Walker) over(ctx context.Context, f *nsinspect.FileFacts, spots []spot, i int, o *overlay) []spot {
	for n := range o.layers {
		l := &o.layers[n]
		below, ok := nsinspect.InLayer(l.place, spots[i].place)
		place := nsinspect.Place{Dev: o.Dev, Path: below}
		if !ok || knows(spots, place) {
			continue
		}
		view, err := w.throughLayers(ctx, o, n, below)
		if errors.Is(err, errHidden) {
			if o.Redirects {
				f.Gaps = append(f.Gaps, nsinspect.Gap{
					Subject: f.Path, Fact: "path in an overlay", Error: "hidden where it is in the layer; with redirect_dir it may have another name",
				})
			}
			continue
		}
		s := spot{place: place, ref: view, overlaid: true, layer: &l.ref, sure: err == nil, doubt: err}
		if spots[i].layer != nil {
			s.layer = spots[i].layer
		}
		if view == nil {
			s.ref = spots[i].ref
		}
		spots = append(spots, s)
	}
	return spots
}

// findOverlays finds the layers of all overlays, once.
func (w *Walker) findOverlays(ctx context.Context) {
	if w.asked {
		return
	}
	w.asked = true
	for _, o := range w.atlas.Overlays() {
		layers, err := w.findLayers(ctx, &o)
		w.overlays = append(w.overlays, overlay{o, layers, err})
	}
}

// gapOverlays is one gap for the overlays whose layers are unknown: the file may be seen through them. One whose layers
// are out of this user's reach is left out, since the file was not.
func (w *Walker) gapOverlays(f *nsinspect.FileFacts) {
	var failed error
	count := 0
	for i := range w.overlays {
		if err := w.overlays[i].err; err != nil && !errors.Is(err, unix.EACCES) {
			if failed == nil {
				failed = err
			}
			count++
		}
	}
	if count > 0 {
		f.Gaps = append(f.Gaps, nsinspect.Gap{Subject: f.Path, Fact: fmt.Sprintf("layers of %d overlays", count), Error: failed.Error()})
	}
}

// findLayers finds the directories that an overlay's options name. Whose root and working directory they are relative to
// is not known: the observer's and those of the processes that see the overlay are tried, and the overlay's root, which
// shows the owner, the mode and the times of its top layer, tells which is right.
func (w *Walker) findLayers(ctx context.Context, o *nsinspect.Overlay) ([]layer, error) {
	if len(o.Layers) == 0 {
		return nil, errors.New("the overlay's options name no layers")
	}
	root := w.overlayRoot(ctx, o)
	tables := []int{}
	for _, t := range append([]int{w.snap.Observer.MountTable}, o.Tables...) {
		if t >= 0 && !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	var failed error
	for _, t := range tables {
		for _, base := range w.bases(o, t) {
			layers, err := w.layersFrom(ctx, o, t, base)
			switch {
			case err != nil:
				if failed == nil {
					failed = err
				}
			case root == nil && base == "":
				return layers, nil // not to be checked: what it shows is
			case root != nil && layers[0].st.sameAttributes(root):
				return layers, nil
			}
		}
	}
	if failed == nil {
		failed = fmt.Errorf("the layers of overlay %s are not where its options say (%s)", o.Dev, strings.Join(o.Layers, ":"))
	}
	return nil, failed
}

// bases are the directories that relative layers of an overlay may start from, in the root of a mount table.
func (w *Walker) bases(o *nsinspect.Overlay, table int) []string {
	var points []string
	for _, c := range w.atlas.Candidates(table, nsinspect.Place{Dev: o.Dev, Path: "/"}) {
		points = append(points, c.Path)
	}
	return layerBases(o, points)
}

func (w *Walker) overlayRoot(ctx context.Context, o *nsinspect.Overlay) *stat {
	for _, t := range o.Tables {
		for _, c := range w.atlas.Candidates(t, nsinspect.Place{Dev: o.Dev, Path: "/"}) {
			if st, err := w.statIn(ctx, t, o.Dev, c.Path); err == nil && st.mount == c.Mount.ID {
				return st
			}
		}
	}
	return nil
}

func (w *Walker) layersFrom(ctx context.Context, o *nsinspect.Overlay, table int, base string) ([]layer, error) {
	layers := make([]layer, 0, len(o.Layers))
	for _, name := range o.Layers {
		if !strings.HasPrefix(name, "/") {
			if base == "" {
				return nil, fmt.Errorf("layer %s of overlay %s is a relative path", name, o.Dev)
			}
			name = base + "/" + name
		}
		key := layerKey{table, name}
		l, ok := w.layers[key]
		if !ok {
			var err error
			if l, err = w.findLayer(ctx, table, name); err != nil {
				return nil, err
			}
			w.layers[key] = l
		}
		layers = append(layers, l)
	}
	return layers, nil
}

func (w *Walker) findLayer(ctx context.Context, table int, name string) (layer, error) {
	if on := w.atlas.At(table, path.Clean(name)); on != nil && w.silent[on.Dev] {
		return layer{}, errSilent
	}
	o, err := visit(ctx, w, table, func(root *procscan.Root) (opened, error) {
		fd, err := root.OpenPath(name, unix.O_DIRECTORY, 0)
		if err != nil {
			return opened{}, err
		}
		defer unix.Close(fd)
		return lookAt(fd, name)
	})
	if errors.Is(err, procscan.ErrNoAnswer) {
		if on := w.atlas.At(table, path.Clean(name)); on != nil {
			w.silent[on.Dev] = true
		}
	}
	if err != nil {
		return layer{}, err
	}
	ref, m := w.atlas.Find(o.st.mount, table)
	if m == nil {
		return layer{}, fmt.Errorf("layer %s: mount %d is in no mount table of the snapshot", name, o.st.mount)
	}
	inside, _ := trimRoot(w.rootText(ref.Table), o.path)
	place, ok := nsinspect.PlaceOf(m, inside)
	if !ok {
		return layer{}, fmt.Errorf("layer %s: %s is not below the mount point %s", name, inside, m.Point)
	}
	return layer{name: name, table: table, ref: ref, place: place, st: o.st}, nil
}

// underlying is the layer's file that an overlay shows.
type underlying struct {
	mount nsinspect.MountRef // at the bottom of the stack
	place nsinspect.Place
	st    *stat
}

// under finds the layer's file behind a path of an overlay: that of the highest layer which has the name.
func (w *Walker) under(ctx context.Context, o *overlay, below string) (underlying, error) {
	if o.err != nil {
		return underlying{}, o.err
	}
	for n := range o.layers {
		l := &o.layers[n]
		found, err := w.inLayer(ctx, o, l, below)
		switch {
		case err != nil:
			return underlying{}, err
		case found.st != nil:
			u := underlying{mount: l.ref, place: nsinspect.Place{Dev: l.place.Dev, Path: path.Join(l.place.Path, below)}, st: found.st}
			if deeper := w.overlayOf(l.place.Dev); deeper != nil && deeper.Dev != o.Dev {
				if real, err := w.under(ctx, deeper, u.place.Path); err == nil {
					u.mount = real.mount
				}
			}
			return u, nil
		case found.hides:
			return underlying{}, fmt.Errorf("layer %s hides %s", l.name, below)
		}
	}
	return underlying{}, fmt.Errorf("no layer has %s", below)
}

// errHidden says that an overlay does not show a layer's file.
var errHidden = errors.New("hidden by a higher layer")

// throughLayers is layer n's file at a path, as the layer's mount shows it. errHidden when a higher layer has the name,
// a whiteout of it, or a directory on the way that is opaque. Any other error means that it cannot be told.
func (w *Walker) throughLayers(ctx context.Context, o *overlay, n int, below string) (*stat, error) {
	for i := range n {
		found, err := w.inLayer(ctx, o, &o.layers[i], below)
		if err != nil {
			return nil, err
		}
		if found.st != nil || found.hides {
			return nil, errHidden
		}
	}
	own, err := w.inLayer(ctx, o, &o.layers[n], below)
	switch {
	case err != nil && own.st == nil:
		return nil, err
	case own.st == nil || own.st.isWhiteout() || own.whiteout:
		return nil, errHidden
	}
	return own.st, nil
}

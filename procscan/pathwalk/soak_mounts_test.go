package pathwalk

import (
	"path"
	"slices"
	"strings"
)

// container is what a container makes in its own mount namespace.
func (w *writer) container(i int) {
	at := where{i, i}
	parent := w.mounts(w.Spaces[i].Parent)
	w.dirs[i], w.paths[i] = slices.Clone(w.dirs[parent]), slices.Clone(w.paths[parent])
	// A container can make a directory only where it may write: it gets one from the host.
	point := w.point(where{})
	w.dirs[i] = append(w.dirs[i], point)
	w.do(act{By: at, Kind: "tmpfs", Path: point, Text: "mode=755"})
	w.files(at, point, 3, 8)
	if w.r.IntN(3) == 0 {
		p := w.name(point + "/m")
		w.do(w.directory(at, p))
		w.do(act{By: where{0, i}, Kind: "mount", Source: point, Path: p, Attr: w.attributes(), Idmap: 1 + w.r.IntN(2)})
		w.mapped = append(w.mapped, p)
		w.mirror(i, point, p)
	}
	for range w.r.IntN(3) {
		// The host does it, which the directories of others do not refuse.
		a := act{By: where{0, i}, Kind: "mount", Source: w.source(i), Path: w.name(point + "/m"), Attr: w.attributes()}
		w.do(w.directory(at, a.Path))
		w.do(a)
		w.mirror(i, a.Source, a.Path)
	}
	// Who mounts an overlay is taken to be root.
	if w.r.IntN(2) == 0 && w.Spaces[i].UID[0].Inside == 0 {
		base, on := w.name(point+"/m"), w.name(point+"/m")
		for _, p := range []string{base, on} {
			a := w.directory(at, p)
			a.Mode |= 0o755
			w.do(a)
		}
		w.overlay(at, base, on)
	}
}

// overlay makes the layers of an overlay in a directory, and mounts it. The lower layer of a container's may be the
// host's, as that of an image is, and may be seen through an idmapped mount. Of the layers themselves nothing is asked:
// what becomes of an overlay whose layers change is not defined.
func (w *writer) overlay(at where, base, point string) {
	r, mnt := w.r, at.Mounts
	below := at
	lower, upper, work := base+"/l", base+"/u", base+"/w"
	if at.Space != 0 && r.IntN(2) == 0 {
		below = where{}
		image := w.point(below)
		lower = image + "/l"
		w.layers = append(w.layers, image)
	}
	made := len(w.Acts)
	w.layerDirectory(below, lower)
	w.layerDirectory(at, upper)
	w.layerDirectory(at, work)
	dirs, files := w.layer(below, lower, 3, 6)
	shown := map[string]bool{}
	note := func(layer string, dirs, files []string) {
		for i, list := range [][]string{dirs, files} {
			into := []map[int][]string{w.dirs, w.paths}[i]
			for _, p := range list {
				if p = point + strings.TrimPrefix(p, layer); !shown[p] {
					shown[p] = true
					into[mnt] = append(into[mnt], p)
				}
			}
		}
	}
	note(lower, dirs, files)
	for _, d := range dirs { // merged directories
		if p := upper + strings.TrimPrefix(d, lower); path.Dir(p) == upper && r.IntN(2) == 0 {
			w.do(w.directory(at, p))
		}
	}
	for _, f := range files {
		if p := upper + strings.TrimPrefix(f, lower); path.Dir(p) == upper && r.IntN(4) == 0 {
			w.do(act{By: at, Kind: "whiteout", Path: p})
		}
	}
	dirs, files = w.layer(at, upper, 2, 4)
	note(upper, dirs, files)
	for i := range w.Acts[made:] { // links lead into the overlay
		a := &w.Acts[made+i]
		for _, layer := range []string{lower, upper} {
			if rest, ok := strings.CutPrefix(a.Text, layer); ok {
				a.Text = point + rest
			}
		}
	}
	if below.Space == 0 && r.IntN(3) == 0 {
		on := base + "/i"
		w.layerDirectory(at, on)
		w.do(act{By: where{0, mnt}, Kind: "mount", Source: path.Dir(lower), Path: on, Idmap: 1 + r.IntN(2)})
		lower = on + "/l"
		w.mapped = append(w.mapped, point) // may refuse root of the host as well
	}
	text := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if r.IntN(5) == 0 {
		text = "lowerdir=" + upper + ":" + lower
	}
	if at.Space != 0 {
		text += ",userxattr"
	}
	w.do(act{By: at, Kind: "overlay", Path: point, Text: text})
	w.points = append(w.points, point)
	w.layers = append(w.layers, base)
}

// layerDirectory makes a directory for a layer, which whoever mounts the overlay can reach.
func (w *writer) layerDirectory(by where, path string) {
	a := w.directory(by, path)
	a.Mode |= 0o755
	a.ACL = ""
	w.do(a)
}

// layer makes what is in a layer, and leaves it out of what questions are about.
func (w *writer) layer(by where, root string, dirs, files int) (madeDirs, madeFiles []string) {
	mnt := by.Mounts
	oldDirs, oldFiles := w.dirs[mnt], w.paths[mnt]
	w.dirs[mnt], w.paths[mnt] = nil, nil
	w.files(by, root, dirs, files)
	madeDirs, madeFiles = w.dirs[mnt], w.paths[mnt]
	w.dirs[mnt], w.paths[mnt] = oldDirs, oldFiles
	return madeDirs, madeFiles
}

// point makes a directory to mount on.
func (w *writer) point(at where) string {
	p := w.name(top + "/m")
	// It comes before everything that is mounted, and so is there in every mount namespace.
	a := act{By: at, Kind: "dir", Path: p, Mode: 0o755}
	w.Acts = slices.Insert(w.Acts, 0, a)
	return p
}

func (w *writer) attributes() []string {
	var list []string
	for _, name := range []string{"ro", "noexec", "nodev", "nosuid", "nosymfollow"} {
		if w.r.IntN(4) == 0 {
			list = append(list, name)
		}
	}
	return list
}

// bind mounts a directory of the host a second time.
func (w *writer) bind(at where) {
	a := act{By: at, Kind: "mount", Source: w.source(0), Path: w.point(at), Attr: w.attributes()}
	if w.r.IntN(3) == 0 {
		a.Idmap = 1 + w.r.IntN(2)
		w.mapped = append(w.mapped, a.Path)
	}
	w.do(a)
	w.mirror(0, a.Source, a.Path)
}

// source is a directory to mount: not one in an idmapped mount, which may refuse even root of the host.
func (w *writer) source(mnt int) string {
	for {
		p := pick(w.r, w.dirs[mnt]...)
		if !slices.ContainsFunc(w.mapped, func(m string) bool { return p == m || strings.HasPrefix(p, m+"/") }) {
			return p
		}
	}
}

// mirror notes what a bind mount shows. One of the host does not show what is mounted below its source.
func (w *writer) mirror(mnt int, source, target string) {
	hidden := func(p string) bool {
		return mnt == 0 && slices.ContainsFunc(w.points, func(m string) bool { return strings.HasPrefix(m, source+"/") && strings.HasPrefix(p, m+"/") })
	}
	defer func() { w.points = append(w.points, target) }()
	for _, list := range []map[int][]string{w.dirs, w.paths} {
		for _, p := range slices.Clone(list[mnt]) {
			if rest, ok := strings.CutPrefix(p, source+"/"); ok && !hidden(p) {
				list[mnt] = append(list[mnt], target+"/"+rest)
			}
		}
	}
	w.dirs[mnt] = append(w.dirs[mnt], target)
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render/picture"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/doctor"
)

// namespacePicture draws which user namespace owns which namespaces, and which is whose parent. A container's namespaces
// of the types that have no hierarchy are one box for each owner.
func namespacePicture(rows []nsinspect.NamespaceRow, list []nsinspect.Namespace) *picture.Graph {
	g := &picture.Graph{Title: "Namespaces: which user namespace owns which"}
	byInode := make(map[nsinspect.Inode]*nsinspect.NamespaceRow, len(rows))
	for i := range rows {
		byInode[rows[i].Inode] = &rows[i]
	}
	boxes := make(map[string]int) // of a group, in g.Nodes
	// draw returns whom the boxes are of: what leads to a container's namespaces stays in sight with them.
	var draw func(nodes []*nsinspect.NamespaceNode, parent string) []string
	draw = func(nodes []*nsinspect.NamespaceNode, parent string) []string {
		var of []string
		for _, n := range nodes {
			r := byInode[n.Namespace.Inode]
			name := string(r.Type) + " " + r.Inode.String()
			id := name
			if r.Type == nsinspect.User || r.Type == nsinspect.PID {
				g.Nodes = append(g.Nodes, picture.Node{ID: id, Kind: string(r.Type), Choice: r.Viewer, Lines: namespaceLines(r, name)})
			} else {
				id = "group " + parent + " " + r.Viewer + " " + pinsText(r, false)
				if at, ok := boxes[id]; ok {
					g.Nodes[at].Lines = append(g.Nodes[at].Lines, name)
					continue
				}
				boxes[id] = len(g.Nodes)
				g.Nodes = append(g.Nodes, picture.Node{ID: id, Kind: "container", Choice: r.Viewer, Lines: append(namespaceLines(r, "")[1:], name)})
			}
			if parent != "" {
				g.Edges = append(g.Edges, picture.Edge{From: parent, To: id, Dashed: r.Type == nsinspect.PID && !strings.HasPrefix(parent, "user")})
			}
			at := len(g.Nodes) - 1
			below := draw(n.Children, id)
			g.Nodes[at].Of = below
			of = append(append(of, r.Viewer), below...)
		}
		slices.Sort(of)
		return slices.Compact(of)
	}
	draw(nsinspect.OwnerTree(list), "")
	return g
}

// namespaceLines say who is in a namespace, or what keeps it.
func namespaceLines(r *nsinspect.NamespaceRow, name string) []string {
	who := r.Viewer
	if who == "" {
		who = "no process"
		if pins := pinsText(r, false); pins != "" {
			who += ", kept by " + pins
		}
	} else if r.Type == nsinspect.User || r.Type == nsinspect.PID {
		who += ", " + counted(r.Processes, "process")
	}
	lines := []string{name, who}
	if r.Type == nsinspect.User && r.Creator != "" {
		lines = append(lines, "made by "+r.Creator)
	}
	return lines
}

// idMark is an outside id to point at, whose it is, and the containers that see it so and have no number for it.
type idMark struct {
	id      idmap.Kernel
	what    string
	outside []string // nil: judged by all maps
	of      []string // the containers that it is about
}

// idPicture draws the uid maps, or the gid maps, of containers.
func idPicture(rows []nsinspect.ContainerRow, gids bool, marks []idMark) *picture.Ribbons {
	which := "uid"
	if gids {
		which = "gid"
	}
	p := &picture.Ribbons{Title: which + " maps: ids inside and outside"}
	uses := nsinspect.IDUses(rows, gids)
	for i := range uses {
		u := &uses[i]
		if u.Identity() {
			p.Notes = append(p.Notes, "every "+which+" is the host's in "+listed(u.Viewers))
			continue
		}
		for _, e := range u.Map {
			if e.Outside.Mapped() {
				p.Bands = append(p.Bands, picture.Band{Inside: uint64(e.Inside), Outside: uint64(e.Outside), Count: uint64(e.Count), Label: listed(u.Viewers), Color: i, Of: u.Viewers})
			}
		}
	}
	if len(p.Bands) == 0 {
		p.Notes = append(p.Notes, "no container has a "+which+" map of its own")
	}
	for _, o := range nsinspect.IDOverlaps(uses) {
		a, b := uses[o.A].Viewers, uses[o.B].Viewers
		p.Overlaps = append(p.Overlaps, picture.Span{First: o.First, Count: o.Count, Label: "shared: " + listed(a) + " and " + listed(b), Of: slices.Concat(a, b)})
	}
	for _, m := range marks {
		if !m.id.Mapped() {
			continue
		}
		in, what := len(m.outside) == 0, m.what
		switch {
		case m.outside != nil && !in:
			what = "outside the map of " + listed(m.outside) + ": " + what
		case m.outside == nil:
			in = slices.ContainsFunc(uses, func(u nsinspect.IDUse) bool { return !u.Identity() && u.Covers(m.id) })
			if !in {
				what = "in no map"
			}
		}
		p.Marks = append(p.Marks, picture.Mark{ID: uint64(m.id), Label: what, In: in, Of: m.of})
	}
	return p
}

// listed names the first few.
func listed(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// dropOwnMounts takes the engines' own mounts (/etc/hosts and the like) from the volumes: nobody asked for them.
func dropOwnMounts(list *nsinspect.ContainerList) {
	for i := range list.Containers {
		c := &list.Containers[i]
		c.Volumes = slices.DeleteFunc(c.Volumes, func(v nsinspect.Volume) bool { return c.OwnMount(v.Point) })
	}
}

// volumeMarks are the owners of volumes as containers see them, numbered as on this side: after the map of an idmapped
// mount.
func volumeMarks(rows []nsinspect.ContainerRow, gids bool) []idMark {
	var marks []idMark
	for i := range rows {
		c := &rows[i]
		use := nsinspect.IDUse{Map: c.ActualUID}
		if gids {
			use.Map = c.ActualGID
		}
		if len(use.Map) == 0 || use.Identity() {
			continue
		}
		for j := range c.Volumes {
			v := &c.Volumes[j]
			_, inside := volumeViews(v)
			if inside == nil {
				continue
			}
			id := inside.Host.UID
			if gids {
				id = inside.Host.GID
			}
			what := volumeSource(v)
			if v.Idmapped {
				what += " as mounted on " + v.Point
			}
			at := slices.IndexFunc(marks, func(m idMark) bool { return m.id == id && m.what == what })
			if at < 0 {
				at = len(marks)
				marks = append(marks, idMark{id: id, what: what, outside: []string{}})
			}
			marks[at].of = append(marks[at].of, c.Viewer)
			if !use.Covers(id) && !slices.Contains(marks[at].outside, c.Viewer) {
				marks[at].outside = append(marks[at].outside, c.Viewer)
			}
		}
	}
	return marks
}

// volumeViews are the host's view of a volume and the container's, nil for one that is not known.
func volumeViews(v *nsinspect.Volume) (host, inside *nsinspect.OwnerView) {
	for i := range v.Views {
		switch view := &v.Views[i]; {
		case view.Viewer == hostTarget:
			host = view
		case inside == nil || view.Path == v.Point: // it may be mounted elsewhere in the container, too
			inside = view
		}
	}
	return host, inside
}

func volumeSource(v *nsinspect.Volume) string {
	if v.Source != "" {
		return v.Source
	}
	return v.Dev + " " + v.Root
}

// volumePicture draws which path of the host is mounted where in which container, and who owns it on each side. What
// doctor found an error or a warning about is marked, and comes first.
func volumePicture(rows []nsinspect.ContainerRow, findings []doctor.Finding) *picture.Graph {
	g := &picture.Graph{Title: "Volumes: path on the host, mount, container"}
	type mounted struct {
		c     *nsinspect.ContainerRow
		v     *nsinspect.Volume
		level picture.Level
		found []string
	}
	var mounts []mounted
	of := make(map[string][]string) // of a source, the containers
	for i := range rows {
		c := &rows[i]
		for j := range c.Volumes {
			v := &c.Volumes[j]
			level, found := findingsAt(findings, c, v.Point)
			mounts = append(mounts, mounted{c, v, level, found})
			if source := volumeSource(v); !slices.Contains(of[source], c.Viewer) {
				of[source] = append(of[source], c.Viewer)
			}
		}
	}
	slices.SortStableFunc(mounts, func(a, b mounted) int { return cmp.Compare(b.level, a.level) })
	for _, m := range mounts {
		host, inside := volumeViews(m.v)
		lines := []string{volumeSource(m.v)}
		if host != nil {
			lines = append(lines, ownerLine(host))
		}
		path := picture.Node{ID: "path " + lines[0], Kind: "path", Lines: lines, Of: of[lines[0]]}
		if len(path.Of) == 1 {
			path.Choice = path.Of[0]
		}
		lines = []string{m.v.Point}
		if inside != nil {
			lines = append(lines, ownerLine(inside))
		}
		if flags := volumeFlags(m.v); flags != "" {
			lines = append(lines, flags)
		}
		source := g.Add(path)
		mount := g.Add(picture.Node{ID: "mount " + m.c.Viewer + " " + m.v.Point, Kind: "mount", Lines: append(lines, m.found...), Level: m.level, Choice: m.c.Viewer})
		box := g.Add(picture.Node{ID: "container " + m.c.Viewer, Kind: "container", Lines: strings.Split(strings.TrimSpace(m.c.Viewer+"\n"+m.c.Image), "\n"), Choice: m.c.Viewer})
		toMount, toBox := picture.Edge{From: source, To: mount, Level: m.level}, picture.Edge{From: mount, To: box, Level: m.level}
		g.Edges = append(g.Edges, toMount, toBox)
	}
	if len(g.Nodes) == 0 {
		g.Add(picture.Node{ID: "none", Lines: []string{"no container has a volume"}})
	}
	return g
}

// ownerLine is an owner pair with names, as one side sees it.
func ownerLine(v *nsinspect.OwnerView) string {
	uid, gid := viewID(v.UnknownIDs, "uid", v.UID), viewID(v.UnknownIDs, "gid", v.GID)
	text := uid + ":" + gid
	if v.User != "" || v.Group != "" {
		text += " " + ownerName(v.User, uid) + ":" + ownerName(v.Group, gid)
	}
	return text
}

func volumeFlags(v *nsinspect.Volume) string {
	var flags []string
	if v.ReadOnly {
		flags = append(flags, "read-only")
	}
	if v.Idmapped {
		flags = append(flags, "idmapped")
	}
	return strings.Join(flags, ", ")
}

// findingsAt are what was found in a volume of a container, not in another that is mounted below it, if it is worse than a
// remark; and how bad it is.
func findingsAt(findings []doctor.Finding, c *nsinspect.ContainerRow, point string) (level picture.Level, found []string) {
	for i := range findings {
		f := &findings[i]
		if f.Target != c.Viewer || f.Severity == doctor.Info || volumeOf(c, f.Path) != point {
			continue
		}
		if f.Severity == doctor.Error {
			level = picture.Broken
		}
		level = max(level, picture.Warning)
		if what := string(f.Severity) + " " + string(f.ID); !slices.Contains(found, what) {
			found = append(found, what)
		}
	}
	return level, found
}

// volumeOf is where the volume is mounted that a path of the container is in, "" for none.
func volumeOf(c *nsinspect.ContainerRow, path string) string {
	deepest := ""
	for i := range c.Volumes {
		point := c.Volumes[i].Point
		if below(path, point) && len(point) > len(deepest) {
			deepest = point
		}
	}
	return deepest
}

// below reports whether a path is a directory or below it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimRight(dir, "/")+"/")
}

package access

import (
	"fmt"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// who is the subject with its id on both sides: "mysql (uid 999 inside, 100999 outside)".
func (e *explainer) who() string {
	uid := e.s.Cred.UID.FS
	if e.op.Op == OpAccess {
		uid = e.s.Cred.UID.Real
	}
	return e.identity("uid", uid)
}

// identity is an id on both sides, with the name that the subject's side has for it, else the host's.
func (e *explainer) identity(kind string, id idmap.Kernel) string {
	name, numbers := e.names(kind, id), e.sides(kind, id)
	if name == "" {
		return numbers
	}
	return quoted(name) + " (" + numbers + ")"
}

// sides is an id as the subject and as the observer count it.
func (e *explainer) sides(kind string, id idmap.Kernel) string {
	inside := e.inside(kind, id)
	switch {
	case !id.Mapped():
		return "unmapped " + kind
	case e.ns == nil:
		return kind + " " + id.String() + " outside"
	case !inside.Mapped():
		return kind + " " + id.String() + " outside"
	case uint32(inside) == uint32(id):
		return kind + " " + id.String()
	}
	return fmt.Sprintf("%s %s inside, %s outside", kind, inside, id)
}

// mapOf is the map of the subject's user namespace.
func (e *explainer) mapOf(kind string) idmap.Map {
	switch {
	case e.ns == nil:
		return nil
	case kind == "gid":
		return e.ns.GID
	}
	return e.ns.UID
}

func (e *explainer) inside(kind string, id idmap.Kernel) idmap.Inside {
	return e.mapOf(kind).ToInside(id)
}

// names is what the subject's own files call an id; the host's where the subject has no number for it.
func (e *explainer) names(kind string, id idmap.Kernel) string {
	if inside := e.inside(kind, id); inside.Mapped() {
		return nameIn(e.s.Names, kind, inside)
	}
	if e.w.Host == nil || !id.Mapped() {
		return ""
	}
	return nameIn(e.w.Host.Names, kind, idmap.Inside(id))
}

func nameIn(t *nsinspect.NameTable, kind string, id idmap.Inside) string {
	switch {
	case t == nil:
		return ""
	case kind == "gid":
		return t.Groups[id]
	}
	return t.Users[id]
}

// face is the owner or group of a file in as many of its three faces as differ: as the caller counts it, outside, on disk.
// An id that has no number somewhere says where.
func (e *explainer) face(kind string, n *Node) string {
	id := n.UID
	if kind == "gid" {
		id = n.GID
	}
	switch {
	case !id.Known:
		return "a " + kind + " that could not be told"
	case !id.Seen.Mapped():
		return e.unmappedFace(kind, n, id)
	}
	text := e.identity(kind, id.Seen)
	if id.OnDisk.Mapped() && uint32(id.OnDisk) != uint32(id.Seen) {
		text += " (" + id.OnDisk.String() + " on disk)"
	}
	if e.ns != nil && !e.inside(kind, id.Seen).Mapped() {
		text += fmt.Sprintf(", which %s does not map (it maps %s)", e.side(), outsideRanges(e.mapOf(kind)))
	}
	return text
}

func (e *explainer) unmappedFace(kind string, n *Node, id ID) string {
	text := "a " + kind
	if id.OnDisk.Mapped() {
		text = kind + " " + id.OnDisk.String() + " on disk"
	}
	m := n.Mount
	if m == nil || !m.Idmapped {
		return text + ", which the file system has no id for"
	}
	text += ", which the idmapped mount at " + quoted(m.Point) + " does not map"
	list := m.UIDMap
	if kind == "gid" {
		list = m.GIDMap
	}
	if m.MapKnown {
		text += " (it maps " + diskRanges(list) + ")"
	}
	return text
}

// side names the subject's user namespace: by its container where it has one of its own.
func (e *explainer) side() string {
	if c := e.s.Container; c != nil && c.Engine != "" && e.ns != nil && !e.ns.Initial {
		name := c.Name
		if name == "" {
			name = c.ID
		}
		return "container " + quoted(name)
	}
	return "its user namespace"
}

// rangesShown is how many ranges a sentence lists.
const rangesShown = 3

// ranges is first-last of each, the first few of them.
func ranges(first, count []uint32) string {
	var parts []string
	for i := range first {
		if i == rangesShown {
			parts = append(parts, fmt.Sprintf("%d more", len(first)-rangesShown))
			break
		}
		if count[i] == 1 {
			parts = append(parts, fmt.Sprint(first[i]))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d-%d", first[i], uint64(first[i])+uint64(count[i])-1))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func outsideRanges(m idmap.Map) string {
	var first, count []uint32
	for _, x := range m {
		if x.Outside.Mapped() {
			first, count = append(first, uint32(x.Outside)), append(count, x.Count)
		}
	}
	return ranges(first, count)
}

func insideRanges(m idmap.Map) string {
	var first, count []uint32
	for _, x := range m {
		first, count = append(first, uint32(x.Inside)), append(count, x.Count)
	}
	return ranges(first, count)
}

func diskRanges(m idmap.MountMap) string {
	var first, count []uint32
	for _, x := range m {
		first, count = append(first, uint32(x.OnDisk)), append(count, x.Count)
	}
	return ranges(first, count) + " on disk"
}

func seenRanges(m idmap.MountMap) string {
	var first, count []uint32
	for _, x := range m {
		first, count = append(first, uint32(x.SeenAs)), append(count, x.Count)
	}
	return ranges(first, count)
}

// owners is who a file belongs to, user and group. A user that the subject cannot name is the news; its group is not.
func (e *explainer) owners() string {
	if !e.reaches("uid", e.node.UID) {
		return e.owner()
	}
	return e.owner() + " and " + e.face("gid", e.node)
}

// owner is the user that a file belongs to.
func (e *explainer) owner() string { return "owned by " + e.face("uid", e.node) }

// reaches reports whether an id of a file has a number in the subject's user namespace.
func (e *explainer) reaches(kind string, id ID) bool {
	return id.Seen.Mapped() && e.inside(kind, id.Seen).Mapped()
}

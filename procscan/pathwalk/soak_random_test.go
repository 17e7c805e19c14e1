package pathwalk

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// writer makes up a scene.
type writer struct {
	*scene
	r     *rand.Rand
	dirs  map[int][]string // what there is, by mount namespace
	paths map[int][]string
	n     int // names given

	points []string // where the host has mounted something
	layers []string // where overlays have theirs
	mapped []string // where it has mounted something idmapped
}

// hostIDs are the ids that files and processes of the initial namespace have. Those above are of the maps below.
var hostIDs = []extent{
	{0, 0, 1}, {1, 1, 999}, {1000, 1000, 1}, {1001, 1001, 1}, {65534, 65534, 1}, {100000, 100000, 1000}, {101000, 101000, 64536}, {200000, 200000, 1000},
}

// randomScene is a scene of its own for every state of r.
func randomScene(r *rand.Rand) *writer {
	w := &writer{scene: &scene{Spaces: []space{{}}}, r: r, dirs: map[int][]string{0: {top}}, paths: map[int][]string{}}
	w.spaces()
	w.host()
	for i := 1; i < len(w.Spaces); i++ {
		if w.Spaces[i].OwnMounts {
			w.container(i)
		}
	}
	w.flags()
	for range 8 {
		w.subject()
	}
	return w
}

// spaces makes up the user namespaces: parents come first.
func (w *writer) spaces() {
	for i := 1; i <= 4; i++ {
		parent := 0
		if i > 1 && w.r.IntN(3) == 0 {
			parent = w.r.IntN(i)
		}
		// A namespace inside another may have a mount namespace of its own only if that has been copied when all mounts of
		// the host are there, so the first two, by which mounts are idmapped, have none.
		s := space{Parent: parent, UID: w.extents(w.inside(parent, true)), OwnMounts: i > 2}
		if s.GID = s.UID; w.r.IntN(2) == 0 || !slices.Equal(w.inside(parent, true), w.inside(parent, false)) {
			s.GID = w.extents(w.inside(parent, false))
		}
		if i <= 2 && parent == 0 && w.r.IntN(8) > 0 {
			// In a mount that shows 65534 what is not mapped looks the same, and the answer is unknown.
			for _, list := range []*[]extent{&s.UID, &s.GID} {
				n := len(*list)
				*list = slices.DeleteFunc(slices.Clone(*list), func(e extent) bool { return n > 1 && e.Outside == 65534 })
			}
		}
		denied := w.Spaces[parent].DenySetgroups
		if s.DenySetgroups = denied || w.r.IntN(4) == 0; s.DenySetgroups && !denied {
			s.Groups = w.ids(w.inside(parent, false), w.r.IntN(3))
		}
		w.Spaces = append(w.Spaces, s)
	}
}

// inside are the ids that there are in a space, as outside ids of one below it.
func (w *writer) inside(i int, uids bool) []extent {
	switch {
	case i == 0:
		return hostIDs
	case uids:
		return w.Spaces[i].UID
	}
	return w.Spaces[i].GID
}

// extents is an id map onto some of the ids of a parent, with gaps on both sides.
func (w *writer) extents(of []extent) []extent {
	r := w.r
	list := []extent{}
	next := pick(r, 0, 0, 0, 1, 500)
	for _, j := range r.Perm(len(of))[:1+r.IntN(len(of))] {
		e := extent{Inside: next, Outside: of[j].Inside, Count: of[j].Count}
		if e.Count > 2 && r.IntN(3) == 0 {
			cut := 1 + r.IntN(e.Count-1)
			e.Outside, e.Count = e.Outside+cut, e.Count-cut
		}
		if e.Count > 2 && r.IntN(3) == 0 {
			e.Count = 1 + r.IntN(e.Count-1)
		}
		list = append(list, e)
		next = e.Inside + e.Count + pick(r, 0, 0, 1, 100)
	}
	return list
}

// id is an id of a list of extents, one at an end more often than another.
func (w *writer) id(of []extent) int {
	e := pick(w.r, of...)
	if e.Inside == 65534 { // in an idmapped mount nobody can tell it from an id that is not mapped, so it is rare
		e = pick(w.r, of...)
	}
	return e.Inside + pick(w.r, 0, 0, 0, e.Count-1, w.r.IntN(e.Count))
}

func (w *writer) ids(of []extent, n int) []int {
	list := []int{}
	for range n {
		list = append(list, w.id(of))
	}
	return list
}

func (w *writer) name(prefix string) string {
	w.n++
	return prefix + strconv.Itoa(w.n)
}

func (w *writer) do(a act) { w.Acts = append(w.Acts, a) }

// host is what the host has: files, and mounts that every container has too.
func (w *writer) host() {
	at := where{}
	w.files(at, top, 6, 16)
	for range 1 + w.r.IntN(2) {
		t := w.point(at)
		w.do(act{By: at, Kind: "tmpfs", Path: t, Text: "mode=755"})
		w.points = append(w.points, t)
		w.files(at, t, 2, 5)
	}
	for range 1 + w.r.IntN(4) {
		w.bind(at)
	}
	if w.r.IntN(2) == 0 {
		base := w.point(at)
		if w.r.IntN(2) == 0 { // where only it will be read-only
			w.do(act{By: at, Kind: "tmpfs", Path: base, Text: "mode=755"})
			w.points = append(w.points, base)
		}
		w.overlay(at, base, w.point(at))
	}
}

// files makes directories and files below one.
func (w *writer) files(at where, root string, dirs, files int) {
	r, mnt := w.r, at.Mounts
	all := []string{root}
	for range dirs {
		d := w.name(pick(r, all...) + "/d")
		w.do(w.directory(at, d))
		all = append(all, d)
	}
	for range files {
		p := w.name(pick(r, all...) + "/f")
		a := w.dressed(at, act{By: at, Kind: pick(r, "file", "file", "file", "program", "program", "script", "link", "link", "fifo", "socket", "device"), Path: p})
		if a.Kind == "device" && at.Space != 0 {
			a.Kind = "file"
		}
		switch a.Kind {
		case "link":
			a.Text = w.target(mnt, all)
			a.ACL = ""
		case "script":
			a.Text = pick(r, "/missing", w.path(mnt, all), w.path(mnt, all))
		case "program":
			if r.IntN(2) == 0 {
				a.Caps = w.caps(at)
			}
			a.Mode |= pick[uint32](r, 0, 0o111, 0o111)
		}
		w.do(a)
		if r.IntN(8) == 0 && (a.Kind == "file" || a.Kind == "program") {
			w.do(act{By: at, Kind: "xattr", Path: p, Text: "user.x"})
		}
		w.paths[mnt] = append(w.paths[mnt], p)
	}
	w.dirs[mnt] = append(w.dirs[mnt], all...)
}

func (w *writer) path(mnt int, dirs []string) string {
	if len(w.paths[mnt]) > 0 && w.r.IntN(4) > 0 {
		return pick(w.r, w.paths[mnt]...)
	}
	return pick(w.r, dirs...)
}

func (w *writer) target(mnt int, dirs []string) string {
	r := w.r
	p := w.path(mnt, dirs)
	return pick(r, "missing", "..", ".", "/", "d1/", "../"+path.Base(p), p, p, p, p+"/", p+"/missing", path.Base(p))
}

func (w *writer) directory(at where, p string) act {
	r := w.r
	a := w.dressed(at, act{By: at, Kind: "dir", Path: p})
	a.Mode = pick(r, a.Mode, a.Mode|0o111, 0o777, 0o1777, 0o755, 0o2775, 0o1775)
	if r.IntN(5) == 0 {
		a.Default = w.acl(at)
	}
	return a
}

// dressed gives a file an owner, a mode, maybe an ACL.
func (w *writer) dressed(at where, a act) act {
	r := w.r
	a.UID, a.GID = w.id(w.inside(at.Space, true)), w.id(w.inside(at.Space, false))
	a.Mode = uint32(r.IntN(0o1000)) | pick[uint32](r, 0, 0, 0, 0, 0o1000, 0o2000, 0o4000, 0o6000)
	if r.IntN(5) == 0 {
		a.ACL = w.acl(at)
	}
	return a
}

func (w *writer) acl(at where) string {
	perm := func() string {
		n := w.r.IntN(8)
		return ":" + string("-r"[n>>2]) + string("-w"[n>>1&1]) + string("-x"[n&1])
	}
	list := []string{"user:" + perm()}
	some := func(kind string, of []extent) {
		ids := w.ids(of, w.r.IntN(4))
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			list = append(list, fmt.Sprintf("%s:%d%s", kind, id, perm()))
		}
	}
	some("user", w.inside(at.Space, true))
	list = append(list, "group:"+perm())
	some("group", w.inside(at.Space, false))
	list = append(list, "mask:"+perm(), "other:"+perm())
	return strings.Join(list, ",")
}

func (w *writer) caps(at where) *fileCapsSpec {
	c := &fileCapsSpec{Permitted: w.capSet(), Effective: w.r.IntN(3) > 0, Root: -1}
	if w.r.IntN(4) == 0 {
		c.Inheritable = w.capSet()
	}
	if at.Space == 0 && w.r.IntN(3) == 0 {
		c.Root = pick(w.r, 0, 100000, 1000)
	}
	return c
}

func (w *writer) capSet() uint64 {
	set := uint64(0)
	for _, c := range []int{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_MKNOD, unix.CAP_SETFCAP, unix.CAP_SYS_ADMIN,
	} {
		if w.r.IntN(4) == 0 {
			set |= 1 << c
		}
	}
	return set
}

// flags come last: nothing is made in an immutable directory, or in a file system that is read-only.
func (w *writer) flags() {
	var last []act
	for _, a := range slices.Clone(w.Acts) {
		switch a.Kind {
		case "dir", "file", "program", "script":
			layer := slices.ContainsFunc(w.layers, func(base string) bool { return strings.HasPrefix(a.Path, base+"/") })
			if w.r.IntN(12) == 0 && !layer && !strings.HasPrefix(path.Base(a.Path), "m") {
				w.do(act{By: where{0, a.By.Mounts}, Kind: "flag", Path: a.Path, Text: pick(w.r, "immutable", "append")})
			}
		case "tmpfs":
			// That of an overlay's upper layer too: the overlay does not look it.
			if w.r.IntN(4) == 0 {
				last = append(last, act{By: a.By, Kind: "read-only", Path: a.Path})
			}
		}
	}
	w.Acts = append(w.Acts, last...)
}

// subject makes up a process that asks.
func (w *writer) subject() {
	r := w.r
	space := r.IntN(len(w.Spaces))
	p := subject{In: w.home(space), Bnd: allCaps}
	if space == 0 && r.IntN(2) == 0 {
		p.In.Mounts = w.mounts(pick(r, 3, 4))
	}
	uids, gids := w.inside(space, true), w.inside(space, false)
	p.UID, p.GID = w.id(uids), w.id(gids)
	if space != 0 && r.IntN(3) == 0 {
		p.UID, p.GID = uids[0].Inside, gids[0].Inside // often root
	}
	p.EUID, p.EGID = p.UID, p.GID
	if r.IntN(8) == 0 {
		p.EUID, p.EGID = w.id(uids), w.id(gids)
	}
	if !w.Spaces[space].DenySetgroups {
		p.Groups = w.ids(gids, r.IntN(4))
	}
	if r.IntN(3) == 0 {
		p.Bnd = w.capSet()
	}
	p.Prm = pick(r, 0, 0, allCaps, w.capSet(), w.capSet())
	p.Eff = p.Prm
	if r.IntN(5) == 0 {
		p.Eff &= w.capSet()
	}
	if r.IntN(5) == 0 {
		p.Inh = p.Prm & w.capSet()
	}
	p.NoNewPrivs = r.IntN(5) == 0
	if r.IntN(3) == 0 {
		p.Cwd = pick(r, w.dirs[p.In.Mounts]...)
	}
	w.Subjects = append(w.Subjects, p)
}

// randomPath is a path that a process of a mount namespace may know.
func (w *writer) randomPath(p *subject) string {
	r := w.r
	dirs, paths := w.dirs[p.In.Mounts], w.paths[p.In.Mounts]
	at := pick(r, paths...)
	switch r.IntN(10) {
	case 0:
		at = pick(r, dirs...)
	case 1:
		at = pick(r, dirs...) + "/new"
	case 2:
		at += pick(r, "/", "/.", "/..", "/below", "/below/", "/../f1")
	case 3:
		at = pick(r, dirs...) + pick(r, "/", "/.", "/..", "/../..", "/f1/", "/../new")
	}
	if rest, ok := strings.CutPrefix(at, p.Cwd+"/"); ok && p.Cwd != "" && rest != "" && r.IntN(2) == 0 {
		at = rest
	}
	return at
}

// question makes up one.
func (w *writer) question(p *subject) request {
	r := w.r
	q := request{Op: access.Operation{Op: pick(r, access.Operations()...).Op}, Path: w.randomPath(p)}
	switch q.Op.Op {
	case access.OpRename, access.OpNoreplace, access.OpExchange, access.OpLink:
		q.Op.New = w.randomPath(p)
	case access.OpChmod:
		q.Op.Mode = uint32(r.IntN(0o10000))
	case access.OpAccess, access.OpEaccess:
		q.Op.Mode = uint32(1 + r.IntN(7))
	case access.OpChown, access.OpLchown:
		id := func(of []extent) idmap.Inside {
			return pick(r, idmap.Inside(w.id(of)), idmap.Inside(w.id(of)), 70000, 0, idmap.UnmappedInside)
		}
		q.Op.UID, q.Op.GID = id(w.inside(p.In.Space, true)), id(w.inside(p.In.Space, false))
	case access.OpSetxattr, access.OpGetxattr:
		q.Op.Name = pick(r, "user.x", "trusted.x", "security.x", "security.capability", "system.posix_acl_access", "system.posix_acl_default", "foo.x", "user.")
	}
	return q
}

package pathwalk

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// future is what a container that is not running would have as its root: the layers that its engine keeps of it, and
// on them what it would mount. What is not there yet, or is made when it starts, is not known.
type future struct {
	c     *nsinspect.Container
	root  *access.Mount           // of the layers
	seen  map[string]futureDir    // directories that a walk came to, by their path in the container
	binds map[string]*futureMount // configured mounts, by destination
}

// futureDir is a directory in the tree: of the layers, or of what is mounted.
type futureDir struct {
	fd    int
	node  *access.Node
	place place
	stack *stacked     // of the layers
	bind  *futureMount // of what is mounted
	host  string       // then: its path on the host
}

// futureMount is a mount that the engine would make.
type futureMount struct {
	*nsinspect.EngineMount
	id     int
	source uint64                   // the host's mount that the source is on
	mounts map[uint64]*access.Mount // as the container would have them, by the host's mount
}

// unmade says that something is made only when a container starts.
type unmade struct{ what string }

func (e *unmade) Error() string { return e.what }

// futureOf opens what a container would have as its root.
func (q *question) futureOf(c *nsinspect.Container) error {
	t := &future{c: c, seen: map[string]futureDir{}, binds: map[string]*futureMount{}}
	for i := range c.Mounts {
		m := &c.Mounts[i]
		t.binds[path.Clean("/"+m.Destination)] = &futureMount{EngineMount: m, id: -2 - i, mounts: map[uint64]*access.Mount{}}
	}
	q.future = t
	r := &trail{question: q, w: &access.Walk{}, in: -1}
	defer func() { q.opened = append(q.opened, r.fds...) }()
	if t.binds["/"] != nil {
		return &unmade{"what is mounted over the root of a container that is not running"}
	}
	if c.Start == nil || c.Start.Rootfs == "" {
		return &unmade{"the root file system of a container that is not running: the engine's state does not tell where it is"}
	}
	layers, err := readLayers(c.Start.Rootfs)
	if err != nil {
		return fmt.Errorf("the root file system of a container that is not running: %w", err)
	}
	s, err := r.openNamed(layers)
	if err != nil {
		return err
	}
	if err := r.lookTop(s); err != nil {
		return err
	}
	t.root = &access.Mount{
		ID: -1, Point: "/", Root: "/", ReadOnly: c.Start.ReadOnly,
		Super: &access.Super{Dev: "rootfs", FSType: "overlay", Options: []string{}, UserNS: q.p.snap.Observer.UserNS},
	}
	if on := s.top.Mount; wholeLayer(c.Start.Rootfs) && on != nil { // which the engine binds
		whole := *on
		whole.ID, whole.Point, whole.Root, whole.ReadOnly = -1, "/", "/", on.ReadOnly || c.Start.ReadOnly
		t.root = &whole
	}
	root, err := r.layerNode(s, "/", false)
	if err != nil {
		return err
	}
	t.seen["/"] = root
	return nil
}

// layerNode is a file of the layers, as the overlay would show it.
func (r *trail) layerNode(s *stacked, where string, last bool) (futureDir, error) {
	d, err := r.describe(s.parts[0].fd, where, s.parts[0].name, last)
	if err != nil {
		return futureDir{}, err
	}
	n := *d.node
	n.Mount, n.Host = r.future.root, ""
	n.Overlay = &access.Overlay{
		Writable: true, Upper: s.parts[0].upper, Merged: n.Type == access.Directory && len(s.parts) > 1, Real: s.top, MounterNS: r.p.snap.Observer.UserNS,
		Redirect: redirects(nil),
	}
	if !n.Overlay.Upper {
		n.Overlay.CopyUp = s.copyUp
	}
	if wholeLayer(r.future.c.Start.Rootfs) {
		n.Overlay = nil
	}
	if c := r.future.c; c.Engine != "docker" && !wholeLayer(c.Start.Rootfs) && !r.sameIDs(c.UIDMap) {
		n.UID.Known, n.GID.Known = false, false // the layers may be idmapped for its user namespace
	}
	if last {
		r.lookLast(&n, selfFD(s.parts[0].fd))
		if n.Overlay != nil && n.Overlay.Merged {
			n.Empty = access.NotTold
		}
	}
	return futureDir{fd: s.parts[0].fd, node: &n, place: place{inode: d.place.inode, dev: d.place.dev}, stack: s}, nil
}

func (r *trail) sameIDs(m idmap.Map) bool {
	own := r.p.snap.Maps(r.p.snap.Observer.IDMaps)
	return own != nil && m.Equal(own.UID)
}

// inFuture looks a name up in the tree of a container that is not running.
func (r *trail) inFuture(name string, last bool) (int, sighted, error) {
	t, here := r.future, r.future.seen[r.node.Path]
	where := path.Join(r.node.Path, name)
	r.in = r.at
	if name == "." || name == ".." {
		d, err := r.back(where, last)
		return d.fd, sighted{node: d.node, place: d.place}, err
	}
	var d futureDir
	var err error
	bind := t.binds[where]
	switch {
	case bind != nil:
		d, err = r.enter(bind, where, last)
	case t.c.OwnMount(where) || ownTop(where):
		err = &unmade{"what the engine mounts there when it starts the container"}
	case here.bind != nil:
		d, err = r.below(here.bind, here.fd, name, path.Join(here.host, name), where, last)
	default:
		d, err = r.inLayers(here.stack, name, where, last)
	}
	if errors.Is(err, unix.ENOENT) && bind == nil {
		for point := range t.binds {
			if strings.HasPrefix(point, where+"/") {
				return -1, sighted{}, &unmade{"a directory that the engine makes for the mount on " + point}
			}
		}
	}
	if err != nil {
		return -1, sighted{}, err
	}
	if last && deletes(r.op.Op) {
		d.node.Busy = access.FactOf(bind != nil)
		if bind != nil { // what goes is below it
			d.node.UID.Known, d.node.GID.Known = false, false
		}
	}
	r.found = d.fd
	if d.node.Type == access.Directory {
		t.seen[where] = d
	}
	return d.fd, sighted{node: d.node, place: d.place}, nil
}

// back is a directory that the walk came by. Of the last one more is asked than of one on the way.
func (r *trail) back(where string, last bool) (futureDir, error) {
	d := r.future.seen[where]
	switch {
	case !last:
		return d, nil
	case d.bind != nil:
		return r.bound(d.bind, d.fd, d.host, where, true)
	}
	return r.layerNode(d.stack, where, true)
}

// ownTop lists what every engine mounts.
func ownTop(where string) bool {
	return slices.Contains([]string{"/proc", "/sys", "/dev"}, where)
}

func (r *trail) inLayers(in *stacked, name, where string, last bool) (futureDir, error) {
	s, err := r.descend(in, name)
	if err != nil {
		return futureDir{}, err
	}
	if err := r.lookTop(s); err != nil {
		return futureDir{}, err
	}
	return r.layerNode(s, where, last)
}

// enter is the root of a configured mount.
func (r *trail) enter(m *futureMount, where string, last bool) (futureDir, error) {
	made := func(format string, args ...any) (futureDir, error) {
		return futureDir{}, &unmade{fmt.Sprintf(format, args...)}
	}
	switch {
	case m.Source == "" || m.Type == "tmpfs":
		return made("the %s that the engine mounts there when it starts the container", cmp.Or(m.Type, "file system"))
	case m.Type != "bind" && m.Type != "volume":
		return made("what a mount of type %s shows", m.Type)
	case slices.Contains(m.Options, "U"):
		return made("the owner that podman gives to %s when it starts the container (:U)", m.Source)
	}
	fd, err := unix.Open(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
	switch {
	case absent(err) && r.future.c.Engine == "docker":
		return made("%s, which is not on the host: docker makes it when it starts the container, if it was given with -v", m.Source)
	case absent(err):
		return made("%s, which is not on the host: %s cannot start the container", m.Source, cmp.Or(r.future.c.Engine, "its engine"))
	case err != nil:
		return futureDir{}, &os.PathError{Op: "open", Path: m.Source, Err: err}
	}
	r.opened = append(r.opened, fd)
	if m.Type == "volume" && r.future.c.Engine == "podman" && r.future.c.State == "created" && emptyDir(selfFD(fd)) != access.No {
		return made("what podman copies into the empty volume %s when it first starts the container", m.Name)
	}
	host, err := r.p.fdText(fd)
	if err != nil {
		return futureDir{}, err
	}
	return r.bound(m, fd, host, where, last)
}

// below is a name in a directory of a configured mount. Mounts below its source come along, as engines bind (rbind).
func (r *trail) below(m *futureMount, dir int, name, host, where string, last bool) (futureDir, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return futureDir{}, err
	}
	r.opened = append(r.opened, fd)
	return r.bound(m, fd, host, where, last)
}

// bound is a file of the host as a configured mount would show it.
func (r *trail) bound(m *futureMount, fd int, host, where string, last bool) (futureDir, error) {
	s, err := r.describe(fd, where, host, last)
	if err != nil {
		return futureDir{}, err
	}
	if m.source == 0 { // it is the source itself
		m.source = s.place.mount
	}
	n := *s.node
	if n.Mount, err = r.boundMount(m, s.place.mount, n.Mount); err != nil {
		return futureDir{}, err
	}
	if n.Mount.Idmapped && s.place.mount == m.source {
		n.UID = idmappedID(n.UID, n.Mount.UIDMap, n.Mount.MapKnown)
		n.GID = idmappedID(n.GID, n.Mount.GIDMap, n.Mount.MapKnown)
		if n.ACL != nil || n.DefaultACL != nil {
			n.ACL, n.DefaultACL, n.ACLMissing = nil, nil, "its ids through the map of the mount"
		}
	}
	if last {
		r.lookLast(&n, selfFD(fd))
	}
	return futureDir{fd: fd, node: &n, place: s.place, bind: m, host: host}, nil
}

// idmappedID is an id as a mount that is to be idmapped shows what is on disk.
func idmappedID(id access.ID, m idmap.MountMap, known bool) access.ID {
	if !known || !id.Known || !id.OnDisk.Mapped() {
		return access.ID{OnDisk: id.OnDisk, Seen: idmap.UnmappedKernel}
	}
	return access.ID{OnDisk: id.OnDisk, Seen: m.SeenAs(id.OnDisk), Known: true}
}

// boundMount is a mount of the host's as the container would have it: a bind takes its flags along, and the engine adds to
// the topmost.
func (r *trail) boundMount(m *futureMount, id uint64, on *access.Mount) (*access.Mount, error) {
	if have := m.mounts[id]; have != nil {
		return have, nil
	}
	to := *on
	if id == m.source {
		has := func(option string) bool { return slices.Contains(m.Options, option) }
		to.ID, to.Point = m.id, m.Destination
		to.ReadOnly = to.ReadOnly || m.ReadOnly
		to.NoSUID, to.NoDev, to.NoExec = to.NoSUID || has("nosuid"), to.NoDev || has("nodev"), to.NoExec || has("noexec")
		if slices.ContainsFunc(m.Options, func(o string) bool { return o == "idmap" || strings.HasPrefix(o, "idmap=") }) {
			if on.Idmapped {
				return nil, &unmade{"an idmapped mount of " + m.Source + ", which is on one already"}
			}
			to.Idmapped = true
			// runc 1.1 ignores the option, and maps of its own are not read.
			to.MapKnown = has("idmap") && r.future.c.Runtime == "crun" && len(r.future.c.UIDMap) > 0
			to.UIDMap, to.GIDMap = idmap.MountMapOf(r.future.c.UIDMap), idmap.MountMapOf(r.future.c.GIDMap)
		}
	}
	m.mounts[id] = &to
	return &to, nil
}

// startInFuture begins a walk in the tree. It reports false when the walk cannot begin.
func (r *trail) startInFuture(relative bool) bool {
	if err := r.toRoot(strings.Trim(r.w.Path, "/") == ""); err != nil {
		r.w.Missing = err.Error()
		return false
	}
	if !relative {
		return true
	}
	dir := "/"
	if s := r.future.c.Start; s != nil {
		dir = s.Dir
	}
	r.names(split(dir), followLast, false)
	ok := r.w.Fail == "" && r.w.Missing == "" && len(r.w.Rest) == 0 && (len(r.w.Steps) == 0 || r.w.Reached() != nil && r.w.Reached().Type == access.Directory)
	missing := r.w.Missing
	r.w.Steps, r.w.Fail, r.w.Missing, r.w.Rest, r.w.Last = []access.Lookup{}, "", "", nil, ""
	if !ok {
		r.w.Missing = "the working directory " + dir + " of a container that is not running"
		if missing != "" {
			r.w.Missing += ": " + missing
		}
	}
	return ok
}

// futureFile reads a file of the container's, nil when there is none. An error when what it is cannot be told.
func (q *question) futureFile(name string) ([]byte, error) {
	r := &trail{question: q, w: &access.Walk{Path: name, Steps: []access.Lookup{}}, in: -1}
	defer r.close()
	r.startInFuture(false)
	r.names(split(name), followLast, true)
	n := r.w.Reached()
	switch {
	case r.w.Missing != "":
		return nil, &unmade{r.w.Missing}
	case n == nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: unix.ENOENT}
	case n.Type != access.Regular:
		return nil, &os.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	var root procscan.Root
	return root.ReadFileAt(r.found, name, maxAccounts)
}

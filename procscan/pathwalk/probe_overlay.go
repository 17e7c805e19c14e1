package pathwalk

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// layerNames are where the layers of an overlay are.
type layerNames struct {
	nsinspect.Overlay
	inTarget bool   // below the target's root, else below the observer's
	base     string // what relative names start from, "" when there is none

	upper   uint64 // the mount of the upper layer, 0 without one
	plain   bool   // see allPlain
	checked bool   // a file in them is what the overlay shows
}

// stackKey is a path in an overlay, whichever mount shows it.
type stackKey struct{ dev, path string }

// stacked is what the layers of an overlay have at one of its paths: the file itself, or the directories that are merged,
// topmost first.
type stacked struct {
	parts  []part
	marks  layerMarks
	top    *access.Node // parts[0] through its layer's mount
	copyUp []*access.Node
}

type part struct {
	fd    int
	upper bool
	name  string // where it is, from the root that its layer was found in
}

// underneath fills in what an overlay has below one of its files, as its layers show it. A layer's file that is not what
// the overlay shows (ovl_copyattr() in fs/overlayfs/util.c) is taken for none.
//
// They are not looked at where they decide nothing: who mounted it with all capabilities of the initial user namespace is
// refused only by files that an idmapped layer shows as nobody's. What is renamed is asked about all the same.
func (r *trail) underneath(n *access.Node, name string, m *access.Mount, x *unix.Statx_t, last bool) {
	o := &access.Overlay{Writable: !m.Super.ReadOnly, MounterNS: m.Super.UserNS}
	n.Overlay = o
	if last && moves(r.op.Op) {
		o.Redirect = redirects(m.Super.Options)
	}
	mounter := r.host.UserNS[m.Super.UserNS]
	flagged := n.Immutable == access.Yes || n.Append == access.Yes
	if known := r.p.layers[x.Mnt_id]; known != nil && known.plain && known.checked && mounter != nil && mounter.Initial && !flagged && !(last && moves(r.op.Op)) {
		if o.UpperReadOnly = r.upperReadOnly(known); o.UpperReadOnly == access.No {
			o.Unhindered = true
			return
		}
	}
	s, err := r.stackOf(name, m, x)
	if err != nil {
		o.Missing = err.Error()
		overflow := &r.p.snap.Observer
		if x.Uid == overflow.OverflowUID {
			n.UID.Known = false // a layer may be idmapped
		}
		if x.Gid == overflow.OverflowGID {
			n.GID.Known = false
		}
		return
	}
	o.Real, o.Upper, o.Merged = s.top, s.parts[0].upper, n.Type == access.Directory && len(s.parts) > 1
	if !o.Upper {
		o.CopyUp = s.copyUp
	}
	if o.Merged && deletes(r.op.Op) {
		for _, p := range s.parts[1:] {
			low, err := r.describe(p.fd, p.name, p.name, false)
			if err != nil {
				o.Real, o.Missing = nil, err.Error()
				return
			}
			o.Below = append(o.Below, low.node)
		}
	}
	if o.Real.Type == access.Regular && (!o.Upper || r.op.Op == access.OpExec) {
		o.Real.Caps, o.Real.CapsMissing = fileCaps(selfFD(s.parts[0].fd))
	}
	if known := r.p.layers[x.Mnt_id]; known != nil {
		known.checked = true
		o.UpperReadOnly = r.upperReadOnly(known)
	}
	n.UID.Seen, n.UID.Known = s.top.UID.Seen, s.top.UID.Known
	n.GID.Seen, n.GID.Known = s.top.GID.Seen, s.top.GID.Known
}

// upperReadOnly reports whether the file system of the upper layer is read-only now.
func (r *trail) upperReadOnly(names *layerNames) access.Fact {
	if names.upper == 0 {
		return access.No
	}
	if m, ok := r.mounts[names.upper]; ok {
		return access.FactOf(m.Super.ReadOnly)
	}
	told, ok := r.uppers[names.upper]
	if !ok {
		var in *taskNow
		if names.inTarget {
			in = r.task
		}
		if now, err := r.statMount(in, names.upper); err == nil {
			told = access.FactOf(now.SuperReadOnly)
		}
		if r.uppers == nil {
			r.uppers = map[uint64]access.Fact{}
		}
		r.uppers[names.upper] = told
	}
	return told
}

func (r *trail) stackOf(name string, m *access.Mount, x *unix.Statx_t) (*stacked, error) {
	at, ok := placeIn(m, name)
	if !ok {
		return nil, errors.New("where it is in the overlay is not known")
	}
	s, err := r.stackAt(m, x.Mnt_id, at.Path)
	if err != nil {
		return nil, err
	}
	var real unix.Statx_t
	if err := unix.Statx(s.parts[0].fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &real); err != nil {
		return nil, err
	}
	if real.Mode != x.Mode || real.Uid != x.Uid || real.Gid != x.Gid || real.Mtime != x.Mtime || real.Ctime != x.Ctime {
		return nil, fmt.Errorf("the overlay shows other attributes than %s", s.parts[0].name)
	}
	return s, nil
}

// stackAt finds what the layers have at a path, going down from the root of the overlay.
func (r *trail) stackAt(m *access.Mount, mount uint64, at string) (*stacked, error) {
	key := stackKey{m.Super.Dev, at}
	if s := r.stacks[key]; s != nil {
		return s, nil
	}
	var s *stacked
	var err error
	if at == "/" {
		s, err = r.openLayers(m, mount)
	} else {
		var above *stacked
		if above, err = r.stackAt(m, mount, path.Dir(at)); err == nil {
			s, err = r.descend(above, path.Base(at))
		}
	}
	if err != nil {
		return nil, err
	}
	if err := r.lookTop(s); err != nil {
		return nil, err
	}
	r.stacks[key] = s
	return s, nil
}

// lookTop looks at the topmost file of a stack.
func (r *trail) lookTop(s *stacked) error {
	in := s.parts[0]
	top, err := r.describe(in.fd, in.name, in.name, !in.upper)
	s.top = top.node
	return err
}

// descend looks a name up in merged directories (ovl_lookup() in fs/overlayfs/namei.c).
func (r *trail) descend(above *stacked, name string) (*stacked, error) {
	s := &stacked{marks: above.marks, copyUp: above.copyUp}
	if !above.parts[0].upper {
		s.copyUp = append(slices.Clip(above.copyUp), above.top)
	}
	for i, in := range above.parts {
		fd, err := unix.Openat2(in.fd, name, &oneName)
		if absent(err) {
			continue
		}
		where := path.Join(in.name, name)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", where, err)
		}
		r.opened = append(r.opened, fd)
		st, err := statFD(fd, where)
		if err != nil {
			return nil, err
		}
		if st.isWhiteout() || !st.isDir() && s.marks.has(fd, "whiteout") {
			break
		}
		if !st.isDir() && len(s.parts) > 0 {
			break
		}
		s.parts = append(s.parts, part{fd: fd, upper: in.upper, name: where})
		if !st.isDir() || i == len(above.parts)-1 {
			break
		}
		opaque, err := s.marks.opaque(fd)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if opaque {
			break
		}
	}
	if len(s.parts) == 0 {
		return nil, fmt.Errorf("in no layer: %w", &os.PathError{Op: "look up", Path: path.Join(above.parts[0].name, name), Err: unix.ENOENT})
	}
	return s, nil
}

// openLayers opens the layers of an overlay, for looking at only.
func (r *trail) openLayers(m *access.Mount, mount uint64) (*stacked, error) {
	if names := r.p.layers[mount]; names != nil {
		return r.openNamed(names)
	}
	o := nsinspect.OverlayOf(&nsinspect.Mount{Dev: m.Super.Dev, SuperOpts: m.Super.Options})
	if len(o.Layers) == 0 {
		return nil, errors.New("the overlay's options name no layers")
	}
	failed := errors.New("the layers are relative to a directory that nothing tells")
	for i, base := range r.bases(&o, m.Point) {
		for _, inTarget := range []bool{true, false} {
			names := &layerNames{Overlay: o, inTarget: inTarget, base: base}
			s, err := r.openNamed(names)
			if err == nil {
				names.plain = r.allPlain(s.parts)
				r.p.layers[mount] = names
				return s, nil
			}
			if i == 0 && inTarget {
				failed = err
			}
		}
	}
	return nil, failed
}

// allPlain reports whether it is certain that no layer is on an idmapped mount, or on a file system that asks somebody else.
func (r *trail) allPlain(parts []part) bool {
	return !slices.ContainsFunc(parts, func(l part) bool {
		var x unix.Statx_t
		if err := unix.Statx(l.fd, "", unix.AT_EMPTY_PATH, r.p.mountBit(), &x); err != nil {
			return true
		}
		m, err := r.mountOf(l.fd, x.Mnt_id)
		return err != nil || m.Idmapped || !slices.Contains([]string{"ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs", "tmpfs", "squashfs", "erofs"}, m.Super.FSType)
	})
}

func (r *trail) openNamed(names *layerNames) (*stacked, error) {
	s := &stacked{marks: marksOf(&r.p.snap.Observer, names.UserXattr)}
	root := unix.AT_FDCWD
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	if names.inTarget {
		root = r.root
		how.Resolve |= unix.RESOLVE_IN_ROOT
	}
	for i, name := range names.Layers {
		if !path.IsAbs(name) {
			name = path.Join(names.base, name)
		}
		fd, err := unix.Openat2(root, name, &how)
		if err != nil {
			return nil, &os.PathError{Op: "open the layer", Path: name, Err: err}
		}
		r.opened = append(r.opened, fd)
		upper := i == 0 && names.Upper
		if upper {
			var x unix.Statx_t
			if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, r.p.mountBit(), &x); err != nil {
				return nil, &os.PathError{Op: "statx", Path: name, Err: err}
			}
			names.upper = x.Mnt_id
			if _, err := r.mountOf(fd, x.Mnt_id); err != nil {
				return nil, err
			}
		}
		s.parts = append(s.parts, part{fd: fd, upper: upper, name: name})
	}
	return s, nil
}

// bases are the directories that relative names of layers may start from.
func (r *trail) bases(o *nsinspect.Overlay, point string) []string {
	points := []string{point}
	for _, c := range r.p.atlas.Candidates(r.p.snap.Observer.MountTable, nsinspect.Place{Dev: o.Dev, Path: "/"}) {
		points = append(points, c.Path)
	}
	return layerBases(o, points)
}

// redirects reports whether an overlay with these options renames directories that have a lower layer. What is as the
// module has it by default is not among the options.
func redirects(options []string) access.Fact {
	for _, o := range options {
		switch o {
		case "redirect_dir=on":
			return access.Yes
		case "redirect_dir=off", "redirect_dir=follow", "redirect_dir=nofollow", "userxattr":
			return access.No
		}
	}
	switch text, err := os.ReadFile("/sys/module/overlay/parameters/redirect_dir"); {
	case err != nil:
		return access.NotTold
	default:
		return access.FactOf(strings.HasPrefix(string(text), "Y"))
	}
}

package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// Ask is a path to look for.
type Ask struct {
	Path   string
	Follow bool // follow a final symbolic link

	// Process is whose root Path is resolved in, and whose working directory a relative one; nil is this process. Then
	// only its mounts and the observer's are searched.
	Process *nsinspect.Process
	Target  string // how Process was named
}

// maxPlaces bounds how far a file is followed through overlays on overlays. The kernel stacks two.
const maxPlaces = 1000

// maxCandidates bounds how many mounts of one table are looked at for one place. In a tree it is the less the more places
// there have been, down to minCandidates: that a tree has a thousand mounts of one directory costs what a thousand mounts
// cost, and not a million.
const (
	maxCandidates = 1000
	minCandidates = 10
)

// File finds out what a path is and where else the file is seen. The error says why the path itself could not be
// opened; whatever else is missing is a Gap.
func (w *Walker) File(ctx context.Context, ask Ask) (*nsinspect.FileFacts, error) {
	f := &nsinspect.FileFacts{
		Target: "host", Path: ask.Path, Follow: ask.Follow, Sightings: []nsinspect.Sighting{}, Gaps: []nsinspect.Gap{},
	}
	table := w.snap.Observer.MountTable
	if ask.Process != nil {
		f.Target, f.PID, table = ask.Target, ask.Process.PID, ask.Process.MountTable
	}
	st, where, _, err := w.open(ctx, &ask, table, false)
	if err != nil {
		return nil, err
	}
	f.Type, f.Mode, f.Dev, f.Inode, f.Nlink = st.typeName(), st.mode&0o7777, st.dev, st.inode, st.nlink
	f.Size, f.Modified = st.bytes(), st.modified()
	w.sight(ctx, f, &ask, table, st, where)
	return f, nil
}

// open opens the path that was asked for, and says where it is from the root that it was resolved in. With keep the
// descriptor, which is for looking at only (O_PATH), stays open and is the caller's.
func (w *Walker) open(ctx context.Context, ask *Ask, table int, keep bool) (st *stat, where string, fd int, err error) {
	if ask.Path == "" {
		return nil, "", -1, &fs.PathError{Op: "open", Path: "", Err: unix.ENOENT}
	}
	flags := unix.O_PATH | unix.O_CLOEXEC
	if !ask.Follow {
		flags |= unix.O_NOFOLLOW
	}
	look := func(fd int, err error) (opened, error) {
		if err != nil {
			return opened{}, err
		}
		o, err := lookAt(fd, ask.Path)
		if err != nil || !keep {
			_ = unix.Close(fd)
			fd = -1
		}
		o.fd = fd
		return o, err
	}
	var o opened
	if ask.Process == nil {
		// The user's own path in the user's own view: magic links are theirs to use.
		o, err = procscan.InTime(ctx, deadline, func() (opened, error) {
			fd, err := unix.Open(ask.Path, flags, 0)
			if err != nil {
				return opened{}, &fs.PathError{Op: "open", Path: ask.Path, Err: err}
			}
			return look(fd, nil)
		})
	} else {
		var full string
		full, err = w.fromCwd(ctx, ask, table)
		if err != nil {
			return nil, "", -1, err
		}
		o, err = visitProcess(ctx, w, ask.Process, func(root *procscan.Root) (opened, error) {
			return look(root.OpenPath(full, flags&unix.O_NOFOLLOW, 0))
		})
	}
	if err != nil {
		return nil, "", -1, err
	}
	return o.st, o.path, o.fd, nil
}

type opened struct {
	st   *stat
	path string
	fd   int
}

func lookAt(fd int, name string) (opened, error) {
	st, err := statFD(fd, name)
	if err != nil {
		return opened{}, err
	}
	where, err := fdPath(fd)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return opened{st: st, path: where}, err
}

// visitProcess is visit for the root of one process.
func visitProcess[T any](ctx context.Context, w *Walker, p *nsinspect.Process, look func(*procscan.Root) (T, error)) (T, error) {
	return procscan.InTime(ctx, deadline, func() (T, error) {
		var none T
		root, err := procscan.OpenRoot(w.proc + "/" + strconv.Itoa(p.PID) + "/root")
		if err != nil {
			return none, err
		}
		defer root.Close()
		return look(root)
	})
}

// fromCwd is ask.Path as an absolute path in the root of the process.
func (w *Walker) fromCwd(ctx context.Context, ask *Ask, table int) (string, error) {
	if strings.HasPrefix(ask.Path, "/") {
		return ask.Path, nil
	}
	link := w.proc + "/" + strconv.Itoa(ask.Process.PID) + "/cwd"
	cwd, err := procscan.InTime(ctx, deadline, func() (string, error) {
		fd, err := unix.Open(link, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &fs.PathError{Op: "open", Path: link, Err: err}
		}
		defer unix.Close(fd)
		text, err := fdPath(fd)
		if err != nil {
			err = fmt.Errorf("%s: %w", link, err)
		}
		return text, err
	})
	if err != nil {
		return "", err
	}
	below, ok := trimRoot(w.rootText(table), cwd)
	if !ok {
		return "", fmt.Errorf("%s: the working directory %s is not below the root", link, cwd)
	}
	return path.Join(below, "/") + "/" + ask.Path, nil
}

// rootText is what the links of the processes of a table say their root is.
func (w *Walker) rootText(table int) string {
	if t := w.snap.Mounts(table); t != nil && table != w.snap.Observer.MountTable {
		return t.Root
	}
	return "/"
}

// sight fills in where the file is seen: first where it was opened, then everywhere else. It returns the places in file
// systems where the file is, none when that is not known.
func (w *Walker) sight(ctx context.Context, f *nsinspect.FileFacts, ask *Ask, table int, st *stat, where string) []nsinspect.Place {
	ref, m := w.atlas.Find(st.mount, table)
	if ref.Table == table || m == nil {
		f.Resolved, _ = trimRoot(w.rootText(table), where)
	} else if ask.Process == nil {
		f.Resolved, _ = absolute(ask.Path) // through a magic link into another mount namespace
	}
	first := nsinspect.Sighting{Table: table, Mount: st.mount, Path: f.Resolved, Confirmed: true, Stat: st.raw()}
	if m == nil || st.nlink == 0 {
		f.Sightings = append(f.Sightings, first)
		if m == nil {
			f.Gaps = append(f.Gaps, nsinspect.Gap{Subject: f.Path, Fact: "mount", Error: fmt.Sprintf("mount %d is in no mount table of the snapshot", st.mount)})
		}
		return nil
	}
	inside, _ := trimRoot(w.rootText(ref.Table), where)
	place, ok := nsinspect.PlaceOf(m, inside)
	if !ok {
		f.Sightings = append(f.Sightings, first)
		f.Gaps = append(f.Gaps, nsinspect.Gap{Subject: f.Path, Fact: "mount", Error: fmt.Sprintf("%s is not below the mount point %s", inside, m.Point)})
		return nil
	}
	spots := w.spots(ctx, f, spot{place: place, ref: st})
	first.Layer = spots[0].layer
	f.Sightings = append(f.Sightings, first)
	places := make([]nsinspect.Place, len(spots))
	for i := range spots {
		places[i] = spots[i].place
		for t := range w.atlas.Tables() {
			if ask.Process == nil || t == table || t == w.snap.Observer.MountTable {
				w.candidates(ctx, f, &spots[i], t)
			}
		}
	}
	return places
}

// candidates confirms the paths by which a table shows a spot.
func (w *Walker) candidates(ctx context.Context, f *nsinspect.FileFacts, s *spot, table int) {
	limit := max(minCandidates, maxCandidates/max(1, w.places))
	found := w.atlas.FirstCandidates(table, s.place, limit+1)
	if len(found) > limit {
		f.Gaps = append(f.Gaps, nsinspect.Gap{
			Subject: f.Path, PID: w.snap.MountTables[table].PID, Fact: "paths", Error: fmt.Sprintf("more than %d mounts show it, %d were looked at", limit, limit),
		})
		found = found[:limit]
	}
	for _, c := range found {
		sighting := nsinspect.Sighting{Table: table, Mount: c.Mount.ID, Path: c.Path, Layer: s.layer}
		same := func(g nsinspect.Sighting) bool { return g.Table == table && g.Path == c.Path }
		if slices.ContainsFunc(f.Sightings, same) {
			continue
		}
		st, err := w.statIn(ctx, table, c.Mount.Dev, c.Path)
		switch {
		case err == nil && st.mount != c.Mount.ID, absent(err), errors.Is(err, errGone), errors.Is(err, unix.ELOOP):
			continue // something else is there by now
		case err == nil && s.shows(st):
			sighting.Confirmed, sighting.Stat = s.sure, st.raw()
			if !s.sure {
				f.Gaps = append(f.Gaps, w.unconfirmed(f, table, c.Path, s.doubt))
			}
		case err == nil && !s.overlaid:
			continue // another file by now
		case err == nil:
			f.Gaps = append(f.Gaps, w.unconfirmed(f, table, c.Path, errors.New("the overlay shows other attributes than the layer")))
			continue
		case errors.Is(err, errSilent):
		default:
			f.Gaps = append(f.Gaps, w.unconfirmed(f, table, c.Path, err))
		}
		f.Sightings = append(f.Sightings, sighting)
	}
}

func (w *Walker) unconfirmed(f *nsinspect.FileFacts, table int, path string, err error) nsinspect.Gap {
	g := nsinspect.Gap{Subject: f.Path, PID: w.snap.MountTables[table].PID, Fact: "confirmation of " + path, Error: err.Error()}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		g.Hint = "run as root"
	}
	return g
}

// errSilent says that a file system did not answer before, and was not asked again.
var errSilent = errors.New("the file system does not answer")

// statIn asks what stands at a path of a table. A file system that did not answer once is not asked again.
func (w *Walker) statIn(ctx context.Context, table int, dev, path string) (*stat, error) {
	if w.silent[dev] {
		return nil, errSilent
	}
	st, err := visit(ctx, w, table, func(root *procscan.Root) (*stat, error) {
		fd, err := root.OpenPath(path, unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		return statFD(fd, path)
	})
	if errors.Is(err, procscan.ErrNoAnswer) {
		w.silent[dev] = true
	}
	return st, err
}

// absolute is a path of this process from its root.
func absolute(p string) (string, error) {
	if path.IsAbs(p) {
		return path.Clean(p), nil
	}
	cwd, err := unix.Getwd()
	return path.Join(cwd, p), err
}

package engine

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// Bounds on what is read. All containers of podman are in one file.
const (
	maxFile    = 16 << 20
	maxFiles   = 64 << 20 // of one user, together
	maxMatches = 10000
	maxRounds  = 6 // of asking engines what to read next

	readDeadline  = time.Second     // of one pattern
	totalDeadline = 5 * time.Second // of all
)

// reader fetches evidence. What it cannot fetch is a gap.
type reader struct {
	ctx  context.Context
	o    Options
	snap *nsinspect.Snapshot
	gaps []nsinspect.Gap

	size map[uint32]int  // bytes that were read of each user's files
	late map[string]bool // sockets, and users by whose files, that did not answer: none is waited for again
}

// errLate stands for what is not waited for: a gap tells of the first that did not answer.
var errLate = errors.New("late")

func newReader(ctx context.Context, o Options, snap *nsinspect.Snapshot) *reader {
	return &reader{ctx: ctx, o: o, snap: snap, size: make(map[uint32]int), late: make(map[string]bool)}
}

// files asks the engines what to read and reads it, until none has anything new to ask.
func (r *reader) files(list []Engine, e *Evidence) {
	ctx, cancel := context.WithTimeout(r.ctx, totalDeadline)
	defer cancel()
	done := make(map[Pattern]bool)
	var refused []request
	answered := make(map[request]bool) // request without a path: whose daemon answered
	for range maxRounds {
		var next []request
		for i := range list {
			if list[i].Files == nil {
				continue
			}
			for _, p := range list[i].Files(e) {
				if !done[p] && strings.HasPrefix(p.Glob, "/") {
					done[p] = true
					next = append(next, request{&list[i], p})
				}
			}
		}
		if len(next) == 0 {
			break
		}
		// Root's first: whatever a user has in store cannot keep these away.
		slices.SortStableFunc(next, func(a, b request) int { return min(int(a.Owner), 1) - min(int(b.Owner), 1) })
		for i, a := range r.fetch(ctx, next) {
			q, err := next[i], a.err
			e.Files = append(e.Files, a.files...)
			switch {
			case err == nil && q.Get != "":
				answered[q.state()] = true
			case err == nil || errors.Is(err, errLate) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
			case q.Get != "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ECONNREFUSED)):
			case q.Get != "":
				r.gap(q.Glob, q.engine.Name+" answer", err)
			case errors.Is(err, fs.ErrPermission):
				e.Refused = append(e.Refused, refusedPath(err, q.Glob))
				refused = append(refused, q)
			default:
				r.gap(base(q.Glob), q.engine.Name+" state", err)
			}
		}
		e.sortFiles()
	}
	for _, q := range refused {
		if e.runs(q.engine, q.Owner) && !answered[q.state()] {
			r.gap(cmp.Or(q.Of, base(q.Glob)), q.engine.Name+" state", unix.EACCES)
		}
	}
}

// request is what one engine asks for.
type request struct {
	engine *Engine
	Pattern
}

// state is a request without what is asked for: whose state it is.
func (q request) state() request {
	return request{q.engine, Pattern{Of: q.Of, Owner: q.Owner}}
}

// runs reports whether a user runs one of an engine's programs: without, there is no telling whether there is anything
// behind what was refused.
func (e *Evidence) runs(engine *Engine, uid uint32) bool {
	return slices.ContainsFunc(e.named(engine.Programs...), func(p *Program) bool { return uint32(p.UID) == uid })
}

// gap says once what could not be read.
func (r *reader) gap(subject, fact string, err error) {
	g := nsinspect.Gap{Subject: subject, Fact: fact, Error: reason(err), Hint: hint(err)}
	if !slices.Contains(r.gaps, g) {
		r.gaps = append(r.gaps, g)
	}
}

// refusedPath is the path that was refused, as a path on the host, else the base of the pattern.
func refusedPath(err error, glob string) string {
	var p *refusal
	if errors.As(err, &p) {
		return p.path
	}
	return base(glob)
}

// refusal is EACCES with the path on the host that was refused.
type refusal struct{ path string }

func (r *refusal) Error() string { return r.path + ": permission denied" }
func (r *refusal) Unwrap() error { return unix.EACCES }

// base is the part of a glob pattern before the first component with a meta character.
func base(glob string) string {
	at := strings.IndexAny(glob, `*?[\`)
	if at < 0 {
		return glob
	}
	return path.Clean(glob[:strings.LastIndexByte(glob[:at], '/')+1])
}

// errTooMuch ends the reading of what a user may have made to fill the observer's memory.
var errTooMuch = errors.New("more than 64 MiB: the rest was not read")

// readPattern reads the files that match, up to a limit of bytes. Those that are somebody else's are passed over: they are
// nobody's word.
func readPattern(ctx context.Context, root *procscan.Root, p Pattern, limit int) ([]File, error) {
	dir := base(p.Glob)
	if dir == p.Glob {
		data, err := readOwned(root, dir, 0, p.Owner)
		if err != nil || data == nil {
			return nil, err
		}
		return []File{{Path: dir, By: p.Owner, Data: data}}, nil
	}
	below, err := root.Below(dir) // as it is: an administrator may have put a link there
	if err != nil {
		return nil, refusedAt(err, dir)
	}
	defer below.Close()
	paths, err := expand(ctx, below, strings.Split(strings.TrimPrefix(strings.TrimPrefix(p.Glob, dir), "/"), "/"))
	err = refusedBelow(err, dir)
	var files []File
	for _, name := range paths {
		if limit <= 0 {
			return files, errTooMuch
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() // nobody waits any longer
		}
		data, readErr := readOwned(below, name, unix.RESOLVE_NO_SYMLINKS, p.Owner)
		if errors.Is(readErr, fs.ErrPermission) && err == nil {
			err = refusedBelow(readErr, dir)
		}
		if readErr == nil && data != nil {
			files = append(files, File{Path: path.Join(dir, name), By: p.Owner, Data: data})
			limit -= len(data)
		}
	}
	return files, err
}

// refusedBelow is an error about a path below dir as one about a path on the host.
func refusedBelow(err error, dir string) error {
	var r *refusal
	if errors.As(err, &r) {
		return &refusal{path.Join(dir, r.path)}
	}
	return err
}

// expand lists the paths in root that match the components of a glob pattern.
func expand(ctx context.Context, root *procscan.Root, components []string) ([]string, error) {
	dirs := []string{"/"}
	for i, component := range components {
		if !strings.ContainsAny(component, `*?[\`) {
			for n := range dirs {
				dirs[n] = path.Join(dirs[n], component)
			}
			continue
		}
		var below []string
		for _, d := range dirs {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			names, err := listDir(root, d, unix.RESOLVE_NO_SYMLINKS)
			if err != nil && i == 0 {
				return nil, err
			}
			for _, name := range names {
				if ok, err := path.Match(component, name); ok && err == nil && len(below) < maxMatches {
					below = append(below, path.Join(d, name))
				}
			}
		}
		dirs = below
	}
	slices.Sort(dirs)
	return dirs, nil
}

func listDir(root *procscan.Root, dir string, resolve uint64) ([]string, error) {
	names, err := root.Names(dir, resolve, maxMatches)
	if err != nil {
		return names, refusedAt(err, dir)
	}
	return names, nil
}

func refusedAt(err error, name string) error {
	if errors.Is(err, unix.EACCES) {
		return &refusal{name}
	}
	return err
}

// readOwned reads a regular file that is owner's or root's and that others may not write. It is nil, and no error, for
// any other.
func readOwned(root *procscan.Root, name string, resolve uint64, owner uint32) ([]byte, error) {
	fd, err := root.OpenPath(name, 0, resolve)
	if err != nil {
		return nil, refusedAt(err, name)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 && st.Uid != owner || st.Mode&0o002 != 0 || st.Size > maxFile {
		return nil, nil
	}
	data, err := root.ReadRegular(fd, &st, name, maxFile)
	if err != nil {
		return nil, refusedAt(err, name)
	}
	return data, nil
}

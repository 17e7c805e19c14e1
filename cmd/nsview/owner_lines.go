package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/pathwalk"
)

const (
	lineBuffer   = 256 << 10 // a worker writes its lines when it has that much of them: each write wakes the reader
	linePipe     = 1 << 20   // how much of them a pipe is asked to hold
	maxLineParts = 4096      // owner pairs for which a worker has the text of a line ready
	maxAsked     = 32        // calls of the name service during one walk
)

// treeLister prints every file of a tree as one line of JSON, the FileOwners that owner prints of a single file. What
// stands between the path, the type, the mode and the inode is the same for all files of an owner pair in a region, and
// is made once.
type treeLister struct {
	q    *ownerAsk
	ctx  context.Context
	stop context.CancelFunc
	path []byte // of the tree as JSON has it, without a final slash

	mu     sync.Mutex // judging, and the fields below
	asked  int
	gaps   []nsinspect.Gap
	failed error

	out     sync.Mutex
	workers [pathwalk.TreeWorkers]lineWriter
}

// lineWriter is one worker's lines.
type lineWriter struct {
	text  []byte
	dir   []byte // path of the directory, from the top of the tree on, as JSON has it
	rel   []byte // of the region, so too
	raw   []byte // of either, before
	parts map[pairKey]*lineParts

	recent pairCache[lineParts] // of parts
	stamps stampWriter
}

// lineParts is what lines of one owner pair in one region have in common.
type lineParts struct {
	disk  string   // from the number of links on
	views []string // text before each path; the path goes on below the file's region
	tail  string
}

// listTree walks a tree and prints a line for every file.
func (q *ownerAsk) listTree(ctx context.Context, w *pathwalk.Walker, ask pathwalk.TreeAsk) (*nsinspect.TreeOwners, []nsinspect.Gap, error) {
	walking, stop := context.WithCancel(ctx)
	defer stop()
	l := &treeLister{q: q, ctx: ctx, stop: stop, path: render.AppendJSON(nil, []byte(strings.TrimRight(ask.Path, "/")))}
	for i := range l.workers {
		l.workers[i].parts = map[pairKey]*lineParts{}
	}
	if r, ok := q.app.out.(*results); ok {
		_, _ = unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, linePipe) // no pipe, or not allowed: it is as large as it is
	}
	ask.Each = l.list
	gaps, err := w.Tree(walking, ask)
	if walking.Err() == nil {
		for i := range l.workers {
			l.flush(&l.workers[i])
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, nil, l.failed
	}
	return nil, append(gaps, l.gaps...), err
}

// list adds the lines of a batch.
func (l *treeLister) list(worker int, b *pathwalk.Batch) {
	w := &l.workers[worker]
	w.raw = b.AppendDir(w.raw[:0])
	w.dir = render.AppendJSON(w.dir[:0], w.raw)
	w.raw = append(w.raw[:0], b.Region.Rel...)
	w.rel = render.AppendJSON(w.rel[:0], w.raw)
	for i := range b.Entries {
		e := &b.Entries[i]
		k := pairKey{region: b.Region, ids: nsinspect.RawIDs{UID: e.UID, GID: e.GID}}
		line := w.recent.get(&k)
		if line == nil {
			if line = w.parts[k]; line == nil {
				if len(w.parts) >= maxLineParts {
					clear(w.parts)
				}
				line = l.parts(k)
				w.parts[k] = line
			}
			w.recent.put(&k, line)
		}
		w.append(l.path, len(w.rel), e, line)
		if len(w.text) >= lineBuffer {
			l.flush(w)
		}
	}
}

// append adds the line of one file. path is the tree's, region the length of the region's path below it.
func (w *lineWriter) append(path []byte, region int, e *pathwalk.Entry, line *lineParts) {
	t := append(w.text, `{"path":"`...)
	t = append(t, path...)
	start := len(t)
	t = append(t, w.dir...)
	t = render.AppendJSON(t, e.Name)
	rel := t[start:]
	if len(path) == 0 && len(rel) == 0 {
		t = append(t, '/')
	}
	t = append(t, `","type":"`...)
	t = append(t, e.Type()...)
	t = append(t, `","mode":"`...)
	t = append(t, '0'+byte(e.Mode>>9&7), '0'+byte(e.Mode>>6&7), '0'+byte(e.Mode>>3&7), '0'+byte(e.Mode&7))
	t = append(t, `","dev":"`...)
	t = strconv.AppendUint(t, uint64(e.Major), 10)
	t = append(t, ':')
	t = strconv.AppendUint(t, uint64(e.Minor), 10)
	t = append(t, `","inode":`...)
	t = strconv.AppendUint(t, e.Inode, 10)
	t = append(t, `,"nlink":`...)
	t = strconv.AppendUint(t, uint64(e.Nlink), 10)
	t = append(t, `,"size":`...)
	if pathwalk.HasNoSize(e.Mode) {
		t = append(t, "null"...)
	} else {
		t = strconv.AppendUint(t, e.Size, 10)
	}
	t = append(t, `,"modified":`...)
	if _, ok := pathwalk.Time(e.Modified); ok {
		t = append(w.stamps.append(append(t, '"'), e.Modified), '"')
	} else {
		t = append(t, "null"...)
	}
	t = append(t, line.disk...)
	for _, before := range line.views {
		t = append(t, before...)
		// A view of "/" has no text of its own here; then the path is that of the file, or "/".
		if below := rel[region:]; len(below) > 0 {
			t = append(t, below...)
		} else if before[len(before)-1] == '"' {
			t = append(t, '/')
		}
	}
	w.text = append(append(t, line.tail...), '\n')
}

// flush writes the lines of a worker, whole ones and nobody else's between them.
func (l *treeLister) flush(w *lineWriter) {
	if len(w.text) == 0 {
		return
	}
	l.out.Lock()
	_, err := l.q.app.out.Write(w.text)
	l.out.Unlock()
	w.text = w.text[:0]
	if err != nil {
		if errors.Is(err, io.ErrShortWrite) || l.ctx.Err() == nil {
			l.mu.Lock()
			l.failed = err
			l.mu.Unlock()
		}
		l.stop()
	}
}

// parts judges an owner pair and makes the text of its lines.
func (l *treeLister) parts(k pairKey) *lineParts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked < maxAsked {
		before := len(l.q.s.Gaps)
		lacked := l.lacks(k)
		if lacked {
			l.asked++
			l.q.namePairs(l.ctx, []pairKey{k})
		}
		l.gaps = append(l.gaps, l.q.s.Gaps[before:]...)
		l.q.s.Gaps = l.q.s.Gaps[:before]
	}
	owners, _, gaps := l.q.viewers.Pair(k.region.Facts, k.ids)
	for _, g := range gaps {
		if len(l.gaps) < maxPairs && !slices.Contains(l.gaps, g) {
			l.gaps = append(l.gaps, g)
		}
	}
	return linePartsOf(&owners)
}

// lacks reports whether the host's files do not name the owner or the group.
func (l *treeLister) lacks(k pairKey) bool {
	owners, _, _ := l.q.viewers.Pair(k.region.Facts, k.ids)
	return slices.ContainsFunc(owners.Views, func(v nsinspect.OwnerView) bool {
		return v.PID == nil && (v.UID.Mapped() && v.User == "" || v.GID.Mapped() && v.Group == "")
	})
}

// linePartsOf takes the JSON of a file apart where its own values go.
func linePartsOf(f *nsinspect.FileOwners) *lineParts {
	p := &lineParts{disk: `,"on_disk":` + compact(f.OnDisk) + `,"views":[`, tail: `],"assumptions":` + compact(f.Assumptions) + `}`}
	after := ""
	for i := range f.Views {
		v := f.Views[i]
		path := strings.TrimRight(v.Path, "/")
		v.Path = ""
		// A quote inside a string has a backslash before it, so this is the key.
		before, rest, _ := strings.Cut(compact(v), `"path":""`)
		p.views = append(p.views, after+before+`"path":"`+string(render.AppendJSON(nil, []byte(path))))
		after = `"` + rest + ","
	}
	p.tail = strings.TrimSuffix(after, ",") + p.tail
	return p
}

// compact is a value as one line of JSON has it.
func compact(v any) string {
	var b bytes.Buffer
	if err := render.JSONLine(&b, v); err != nil {
		return "null" // the values of a report are always JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}

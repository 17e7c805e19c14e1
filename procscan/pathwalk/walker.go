// Package pathwalk reads what paths are for other processes: it opens them below /proc/PID/root as those processes would
// resolve them, without joining anything. Nothing is opened for its content, and whatever hangs costs a deadline.
package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// deadline is how long one look at one file may take.
const deadline = time.Second

// maxVisitors is how many processes of a mount table are tried: one may have ended, another be out of reach.
const maxVisitors = 8

// Walker finds files in the mount tables of one snapshot. It is for one goroutine.
type Walker struct {
	snap  *nsinspect.Snapshot
	atlas *nsinspect.Atlas
	proc  string

	visitors [][]int // PIDs by mount table, as many as may be tried
	overlays []overlay
	asked    bool // overlays is filled in
	layers   map[layerKey]layer

	places int             // in a tree: how many have been looked for, see maxCandidates
	silent map[string]bool // superblocks that did not answer: they are not asked again
}

// New is a Walker for a snapshot with mount tables of this host. proc is where procfs is mounted.
func New(snap *nsinspect.Snapshot, atlas *nsinspect.Atlas, proc string) *Walker {
	w := &Walker{snap: snap, atlas: atlas, proc: proc, layers: map[layerKey]layer{}, silent: map[string]bool{}}
	w.visitors = make([][]int, len(snap.MountTables))
	for i := range snap.Processes {
		p := &snap.Processes[i]
		if t := p.MountTable; t >= 0 && t < len(w.visitors) && len(w.visitors[t]) < maxVisitors {
			w.visitors[t] = append(w.visitors[t], p.PID)
		}
	}
	return w
}

// errGone says that no process is left that sees a mount table.
var errGone = errors.New("its processes ended")

// visit calls look with the root directory of the processes of a mount table. look is given up when it takes too long,
// and then still runs: it returns what it found and writes nowhere.
func visit[T any](ctx context.Context, w *Walker, table int, look func(*procscan.Root) (T, error)) (T, error) {
	var none T
	if table < 0 || table >= len(w.visitors) {
		return none, fmt.Errorf("mount table %d: not in the snapshot", table)
	}
	roots := []string{"/"}
	if table != w.snap.Observer.MountTable {
		roots = roots[:0]
		for _, pid := range w.visitors[table] {
			roots = append(roots, w.proc+"/"+strconv.Itoa(pid)+"/root")
		}
	}
	failed := errGone
	for _, name := range roots {
		var opened bool
		v, err := procscan.InTime(ctx, deadline, func() (visited[T], error) {
			root, err := procscan.OpenRoot(name)
			if err != nil {
				return visited[T]{}, err
			}
			defer root.Close()
			v, err := look(root)
			return visited[T]{v, true}, err
		})
		opened = v.opened
		switch {
		case err == nil:
			return v.value, nil
		case opened || errors.Is(err, procscan.ErrNoAnswer) || ctx.Err() != nil:
			return none, err
		case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH):
		default:
			failed = err
		}
	}
	return none, failed
}

type visited[T any] struct {
	value  T
	opened bool // the root was
}

package procscan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/taskiter"
)

const (
	// iterFrom is from how many processes on the BPF iterator takes less time: to load it takes what procfs takes for some
	// hundred, and its program shows in the audit logs of a host.
	iterFrom = 1500

	capSysAdmin = 1 << unix.CAP_SYS_ADMIN
	capPerfmon  = 1 << unix.CAP_PERFMON // Linux 5.8, as is
	capBPF      = 1 << unix.CAP_BPF

	initTimeNS nsinspect.Inode = 0xEFFFFFFA // PROC_TIME_INIT_INO in include/linux/proc_ns.h
)

// InitPIDNS is the inode of the initial PID namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const InitPIDNS nsinspect.Inode = 0xEFFFFFFC

// readRows reads the processes from one source or the other.
func (s *scanner) readRows(ctx context.Context, w *worker) ([]nsinspect.Process, error) {
	why, few := s.notByIterator(), false
	switch {
	case s.opts.Source == SourceProc:
		why = "it was asked for"
	case s.opts.Source == SourceBPF && why != "":
		return nil, fmt.Errorf("no BPF iterator: %s", why)
	case s.opts.Source != SourceBPF && why == "":
		few = s.links() < iterFrom
	}
	if why == "" && !few {
		rows, err := s.readIterator(ctx, w)
		if err == nil {
			s.choose(SourceBPF, fmt.Sprintf("it takes less time for %d processes", len(rows)))
			return rows, nil
		}
		if s.opts.Source == SourceBPF {
			return nil, err
		}
		why = err.Error()
	}
	pids, err := s.pids()
	switch {
	case err != nil:
		return nil, err
	case len(pids) == 0 && s.opts.PIDs == nil && !s.isProcfs():
		return nil, fmt.Errorf("%s: not a procfs", s.opts.Proc)
	case few:
		why = fmt.Sprintf("it takes less time for %d processes", len(pids))
	}
	s.choose(SourceProc, why)
	return s.readAll(ctx, w, pids), nil
}

func (s *scanner) choose(source Source, why string) {
	if s.opts.Chosen != nil {
		*s.opts.Chosen = Choice{source, why}
	}
}

// notByIterator says why the iterator cannot answer, "" when it can. Its numbers are the kernel's own: those of the initial
// namespaces.
func (s *scanner) notByIterator() string {
	o := &s.snap.Observer
	switch {
	case s.opts.PIDs != nil:
		return "only some processes are asked for"
	case s.opts.Facts&(Args|Threads) != 0:
		return "command lines or threads are asked for"
	case !s.samePIDs || o.Namespaces.PID != InitPIDNS:
		return "the procfs does not show the initial PID namespace to an observer in it"
	case !o.InitialNS:
		return "the observer is in a user namespace"
	case o.Caps&capSysAdmin == 0 && (o.Caps&capBPF == 0 || o.Caps&capPerfmon == 0):
		return "it takes CAP_BPF and CAP_PERFMON"
	case o.Namespaces.Time != initTimeNS && o.Namespaces.Time != 0:
		return "the observer is in a time namespace"
	}
	return ""
}

// iterated is what the rows of the iterator are made of besides their records.
type iterated struct {
	s *scanner
	w *worker

	rows    []nsinspect.Process
	cgroups map[uint64]string    // by CgroupsKey
	roots   map[[2]uint64]string // by RootKey
	keys    []iterKey            // of each row
	again   []int                // processes that procfs is to be asked about
	seen    []int                // all that the iterator showed

	since uint64 // when the iterator began, in nanoseconds after boot
	old   int    // how many of seen are older than that
}

type iterKey struct {
	cgroups uint64
	root    [2]uint64
	comm    bool // the name is longer than the record has it
	maps    bool // the id maps are
}

// readIterator reads all processes by BPF. What names a cgroup or a root directory is asked of procfs once for all
// processes that share it. What a record has not whole is read there, and so are processes that the iterator passed over.
func (s *scanner) readIterator(ctx context.Context, w *worker) ([]nsinspect.Process, error) {
	var with taskiter.Facts
	if s.opts.Facts&(Graph|FDPins|Relations) != 0 {
		with = taskiter.Relations
	}
	if s.opts.Facts&(Graph|FDPins) != 0 {
		with |= taskiter.Mounted
	}
	it, err := taskiter.Load(with)
	if err != nil && with != 0 {
		it, err = taskiter.Load(0) // a verifier that refuses the longer program: the rest is asked as without
	}
	if err != nil {
		return nil, err
	}
	defer it.Close()
	n := s.roomForAll()
	r := &iterated{
		s: s, w: w, cgroups: map[uint64]string{}, roots: map[[2]uint64]string{},
		rows: make([]nsinspect.Process, 0, n), keys: make([]iterKey, 0, n), seen: make([]int, 0, n),
	}
	add := func(rec *taskiter.Record) error { return cmp.Or(ctx.Err(), r.add(rec)) }
	var there int
	there, r.since = s.count()
	if err := it.Each(add); err != nil && ctx.Err() == nil {
		return nil, err
	}
	if ctx.Err() == nil {
		if err := r.findMore(there); err != nil {
			return nil, err
		}
	}
	for i := range r.rows { // all there were, before there are getents
		s.host.want(&r.rows[i].Cred)
	}
	for i := range r.rows {
		if ctx.Err() != nil {
			break
		}
		r.complete(i)
	}
	sortByPID(r.rows)
	slices.Sort(r.again)
	var more []nsinspect.Process
	for _, pid := range slices.Compact(r.again) {
		if ctx.Err() != nil {
			break
		}
		if dir, ok := w.open(pid); ok {
			var p nsinspect.Process
			if w.process(dir, pid, &p) {
				more = append(more, p)
			}
			_ = unix.Close(dir)
		}
	}
	s.addGaps(w.gaps)
	w.gaps = nil
	return mergeByPID(r.rows, more), nil
}

// sortByPID orders processes. The iterator goes by PID, so that mostly nothing is to be done; rows are large, and not
// copied to be compared.
func sortByPID(rows []nsinspect.Process) {
	for i := 1; i < len(rows); i++ {
		if rows[i-1].PID > rows[i].PID {
			slices.SortFunc(rows, func(a, b nsinspect.Process) int { return cmp.Compare(a.PID, b.PID) })
			return
		}
	}
}

// mergeByPID adds more to rows; both are in order. Rows are large and many, and more are few: each row is moved once, where
// sorting would move all of them once for each of more.
func mergeByPID(rows, more []nsinspect.Process) []nsinspect.Process {
	at := len(rows) - 1
	rows = append(rows, more...)
	for to := len(rows) - 1; len(more) > 0; to-- {
		if last := len(more) - 1; at < 0 || rows[at].PID <= more[last].PID {
			rows[to], more = more[last], more[:last]
			continue
		}
		rows[to] = rows[at]
		at--
	}
	return rows
}

// add takes a record.
func (r *iterated) add(rec *taskiter.Record) error {
	switch {
	case rec.IsRelations():
		rec.Relations(r.s.relations.add)
		return nil
	case rec.IsMounts():
		rec.Mounts(&r.s.mounted)
		return nil
	}
	r.seen = append(r.seen, rec.PID())
	if rec.Started() < r.since {
		r.old++
	}
	switch {
	case rec.Kthread() && r.s.opts.Facts&NoKthreads != 0:
		return nil
	case !rec.Whole():
		r.again = append(r.again, rec.PID())
		return nil
	}
	r.rows = append(r.rows, nsinspect.Process{IDMaps: -1, MountTable: -1, Names: -1, Container: -1})
	p := &r.rows[len(r.rows)-1]
	rec.Process(p)
	k := iterKey{cgroups: rec.CgroupsKey(), root: rec.RootKey(), comm: p.Kthread}
	var known bool
	if p.IDMaps, known = r.s.maps.written(p.Namespaces.User); !known {
		if maps, ok := rec.IDMaps(); ok {
			p.IDMaps = r.s.maps.put(maps)
		} else {
			k.maps = true
		}
	}
	if r.s.opts.Facts&Brief != 0 {
		n := p.Namespaces
		p.Namespaces = nsinspect.NamespaceSet{User: n.User, PID: n.PID, Mnt: n.Mnt}
	}
	r.keys = append(r.keys, k)
	return nil
}

// findMore finds processes that the iterator passed over, to be asked about: a kernel may keep some from it, as one that this
// was tried on does with process 1. there is how many there were when it began, -1 when that is not known. It showed them
// all if it showed as many that are so old; procfs is to list them only where some were kept from it, or ended before it
// came to them.
func (r *iterated) findMore(there int) error {
	const first = 1
	slices.Sort(r.seen)
	if _, ok := slices.BinarySearch(r.seen, first); !ok {
		r.again = append(r.again, first)
		r.old++
	}
	if r.old == there {
		return nil
	}
	pids, err := r.s.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if _, ok := slices.BinarySearch(r.seen, pid); !ok {
			r.again = append(r.again, pid)
		}
	}
	return nil
}

// complete adds to a row what procfs has to tell. A process that ended since tells nothing; another of its cgroup or root
// directory does.
func (r *iterated) complete(i int) {
	p, k := &r.rows[i], &r.keys[i]
	wantsRoot := r.s.opts.Facts&(Mounts|Names) != 0 && !p.Kthread
	cgroup, hasCgroup := r.cgroups[k.cgroups]
	root, hasRoot := r.roots[k.root]
	p.Cgroup = cgroup
	if wantsRoot {
		p.Root = root
	}
	if hasCgroup && !k.comm && !k.maps {
		if wantsRoot && !hasRoot {
			r.readRoot(i, r.s.procFD, r.w.procNUL(p.PID, "root"))
		}
		return
	}
	dir, ok := r.w.open(p.PID)
	if !ok {
		return
	}
	defer unix.Close(dir)
	if !hasCgroup {
		if path, err := r.w.cgroup(dir); err == nil {
			p.Cgroup = path
			r.cgroups[k.cgroups] = path
		}
	}
	if wantsRoot && !hasRoot {
		r.readRoot(i, dir, r.w.files.root.nul)
	}
	if k.comm {
		if b, err := readUpTo(dir, "comm", maxProcFile, &r.w.buf); err == nil {
			p.Comm = string(bytes.TrimSuffix(b, []byte("\n")))
		}
	}
	if k.maps {
		maps, err := r.s.maps.of(r.w, dir, p.Namespaces.User)
		if p.IDMaps = maps; err != nil && !errors.Is(err, unix.ENOENT) {
			r.w.pidGap(p.PID, "uid_map", err)
		}
	}
}

// readRoot adds the root directory of a row, the link of that name below dir.
func (r *iterated) readRoot(i, dir int, nul []byte) {
	p := &r.rows[i]
	root, err := r.w.readLink(dir, nul)
	switch {
	case err == nil:
		p.Root = root
		r.roots[r.keys[i].root] = p.Root
	case !endedErr(err):
		r.w.pidGap(p.PID, "root", err)
	}
}

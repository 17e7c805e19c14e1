package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// TreeAsk is a directory whose whole tree is asked for. Symbolic links below it are never followed.
type TreeAsk struct {
	Ask

	// OneFS leaves out what is on another file system than the directory, mount points included (du -x).
	OneFS bool

	// Except are paths from the directory on, each beginning with a slash, that are left out with all below them. They are
	// not looked at: one that hangs costs nothing.
	Except []string

	// Each gets every file of the tree, the directory itself first, some of one directory at a time. It is called by
	// treeWorkers goroutines at the same time, each with its own number from 0 on, in an order that is not defined, and
	// keeps nothing of b.
	Each func(worker int, b *Batch)
}

// TreeWorkers is how many goroutines walk a tree. More than two fight for the same locks in the kernel.
const TreeWorkers = 2

// Batch is some files of one directory that everybody sees through the same mounts.
type Batch struct {
	Region  *Region
	Entries []Entry

	dir *treeDir // that they are in, nil for the top of the tree
}

// AppendDir appends the path of the directory from the top of the tree on, with a slash on both ends. For the top itself,
// whose name is "", it appends nothing.
func (b *Batch) AppendDir(dst []byte) []byte {
	if b.dir == nil {
		return dst
	}
	return append(b.dir.appendRel(dst), '/')
}

// Entry is one file of a Batch, as statx(2) shows it to this process.
type Entry struct {
	Name         []byte
	Mode         uint32 // with the type
	UID, GID     uint32
	Major, Minor uint32 // st_dev
	Inode        uint64
	Nlink        uint32
	Size         uint64
	Modified     unix.StatxTimestamp
}

// Type is the type of the file as FileFacts has it.
func (e *Entry) Type() string { return typeName(e.Mode) }

// Deadlines of one system call. A file system that answered before may be slow and not dead.
const (
	treePatience = 10 * deadline
	treeTick     = 50 * time.Millisecond
)

// maxTreeGaps bounds the gaps of one walk; the others are counted.
const maxTreeGaps = 1000

// Tree walks the tree of a directory and gives every file to ask.Each. Its memory does not grow with the tree: it holds
// the way to where it is, and of what is beside that way no more than a directory read holds.
//
// The error says why the directory itself could not be read. What else could not be read is a Gap: a directory that may
// not be listed, or a file system that does not answer, which costs one deadline. What vanishes meanwhile is not there.
// After ctx is done Tree returns at once, with its error, and Each may then still be running.
func (w *Walker) Tree(ctx context.Context, ask TreeAsk) ([]nsinspect.Gap, error) {
	return w.newTree(ctx, ask).walk()
}

func (w *Walker) newTree(ctx context.Context, ask TreeAsk) *tree {
	t := &tree{w: w, ctx: ctx, ask: ask, table: w.snap.Observer.MountTable, late: map[int]int{}, silent: map[int]bool{}}
	t.cond = sync.NewCond(&t.mu)
	if ask.Process != nil {
		t.table = ask.Process.MountTable
	}
	return t
}

func (t *tree) walk() ([]nsinspect.Gap, error) {
	root, err := t.begin()
	if err != nil || root == nil {
		return t.gaps, err
	}
	t.push(root, nil, true)
	for i := range TreeWorkers {
		t.start(i)
	}
	t.watch()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() == nil {
		t.drop(root)
	}
	if t.moreGaps > 0 {
		t.gaps = append(t.gaps, nsinspect.Gap{Subject: t.ask.Path, Fact: "tree", Error: fmt.Sprintf("%d gaps more than these", t.moreGaps)})
	}
	return t.gaps, t.ctx.Err()
}

// tree is one walk. Directories to read are tasks on one stack: whoever takes the topmost goes down first, so that the
// stack holds the siblings along the way and not the tree.
type tree struct {
	w     *Walker
	ctx   context.Context
	ask   TreeAsk
	table int
	where string // the top, as the kernel writes it
	dev   string // of its superblock
	major uint32 // of its st_dev
	minor uint32

	mu       sync.Mutex
	cond     *sync.Cond // the stack grew, or the walk is over
	stack    []task
	active   int // workers with a task
	workers  []*treeWorker
	open     []*treeDir   // with a descriptor, in the order of opening
	late     map[int]int  // directories that hung, by mount
	silent   map[int]bool // mounts that are not asked any more
	gaps     []nsinspect.Gap
	moreGaps int
	stopped  atomic.Bool

	regionMu sync.Mutex // regions are found with the Walker, which is for one goroutine
	regions  int
}

// task is a directory to read on, or with a name, an entry of it to open.
type task struct {
	dir  *treeDir
	name string
	top  bool // the entry begins a region
	id   fileID
}

// fileID tells files of one host apart.
type fileID struct {
	major, minor uint32
	inode        uint64
}

// begin opens the top of the tree and finds who sees it. A nil directory is a top that is no directory.
func (t *tree) begin() (*treeDir, error) {
	st, where, fd, err := t.w.open(t.ctx, &t.ask.Ask, t.table, true)
	if err != nil {
		return nil, err
	}
	t.where = where
	e := entryOf("", st)
	t.major, t.minor = e.Major, e.Minor
	bounds := &boundary{}
	region := t.region(st, "", bounds)
	for _, rel := range t.ask.Except {
		bounds.add(rel).except = true
	}
	if _, m := t.w.atlas.Find(st.mount, t.table); m != nil {
		t.dev = m.Dev
	}
	if !st.isDir() {
		_ = unix.Close(fd)
		t.ask.Each(0, &Batch{Region: region, Entries: []Entry{e}})
		return nil, nil
	}
	list, err := procscan.InTime(t.ctx, deadline, func() (int, error) {
		defer unix.Close(fd)
		return openDir(fd, ".")
	})
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", t.ask.Path, err)
	}
	t.ask.Each(0, &Batch{Region: region, Entries: []Entry{e}})
	root := &treeDir{region: region, bounds: bounds, id: idOf(&e), fd: -1, refs: 1} // open to the end
	t.publish(root, list)
	return root, nil
}

// start starts a worker with that number.
func (t *tree) start(number int) {
	k := &treeWorker{t: t, number: number, buf: make([]byte, direntBuffer)}
	t.mu.Lock()
	t.workers = append(t.workers, k)
	t.mu.Unlock()
	go k.run()
}

// watch waits for the end of the walk, and replaces workers that hang.
func (t *tree) watch() {
	over := make(chan struct{})
	go func() {
		t.mu.Lock()
		for !t.over() {
			t.cond.Wait()
		}
		t.mu.Unlock()
		close(over)
	}()
	tick := time.NewTicker(treeTick)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-t.ctx.Done():
			t.stopped.Store(true)
			t.mu.Lock()
			t.cond.Broadcast()
			t.mu.Unlock()
			select { // the workers end at their next step, unless they hang
			case <-over:
			case <-time.After(treeTick):
			}
			t.abandonAll()
			return
		case now := <-tick.C:
			t.replaceHung(now)
		}
	}
}

// abandonAll keeps what hangs from calling Each when it comes back.
func (t *tree) abandonAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.workers {
		if beat := k.beat.Load(); beat%2 == 1 {
			k.beat.CompareAndSwap(beat, abandoned)
		}
	}
}

// over reports whether nothing is left to do. mu is held.
func (t *tree) over() bool { return t.active == 0 && (len(t.stack) == 0 || t.stopped.Load()) }

// replaceHung leaves behind the workers whose system call is late, with a gap, and gives their tasks up.
func (t *tree) replaceHung(now time.Time) {
	var again []int
	t.mu.Lock()
	for i := 0; i < len(t.workers); i++ {
		k := t.workers[i]
		beat := k.beat.Load()
		if beat%2 == 0 || beat != k.lastBeat {
			k.lastBeat, k.lastSeen = beat, now
			continue
		}
		patience := deadline
		if !k.task.top && k.task.dir.region.answered.Load() {
			patience = treePatience
		}
		if now.Sub(k.lastSeen) < patience || !k.beat.CompareAndSwap(beat, abandoned) {
			continue
		}
		mount, rel := k.task.dir.region.mount, k.task.dir.rel()
		if k.task.name != "" {
			rel += "/" + k.task.name
		}
		if k.task.top || !t.silent[mount] {
			t.addGap(nsinspect.Gap{Subject: t.display(rel), Fact: "tree", Error: procscan.ErrNoAnswer.Error()})
		}
		if !k.task.top {
			// What answered before may be well: the entry that hangs may be a mount that the snapshot does not know.
			t.late[mount]++
			t.silent[mount] = t.late[mount] > 1 || !k.task.dir.region.answered.Load()
		}
		t.active--
		t.workers = append(t.workers[:i], t.workers[i+1:]...)
		i--
		again = append(again, k.number)
	}
	t.cond.Broadcast()
	t.mu.Unlock()
	for _, number := range again {
		t.start(number)
	}
}

// push adds tasks of dir: to read on in it, below its entries, so that these come first.
func (t *tree) push(dir *treeDir, entries []task, readOn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if readOn {
		t.stack = append(t.stack, task{dir: dir})
		dir.refs++
	}
	t.stack = append(t.stack, entries...)
	dir.refs += len(entries)
	t.cond.Broadcast()
}

// next takes a task, and waits for one. False ends the worker.
func (t *tree) next(k *treeWorker) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.stack) == 0 && t.active > 0 && !t.stopped.Load() {
			t.cond.Wait()
		}
		if len(t.stack) == 0 || t.stopped.Load() {
			t.cond.Broadcast()
			return false
		}
		last := len(t.stack) - 1
		k.task = t.stack[last]
		t.stack[last] = task{}
		t.stack = t.stack[:last]
		if !k.task.top && t.silent[k.task.dir.region.mount] {
			continue // and its descriptor stays: to close it may hang as well
		}
		t.active++
		return true
	}
}

// done says that a worker is through with its task.
func (t *tree) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active--
	if t.over() {
		t.cond.Broadcast()
	}
}

func (t *tree) gap(rel, fact string, err error) {
	g := nsinspect.Gap{Subject: t.display(rel), Fact: fact, Error: err.Error()}
	var errno unix.Errno
	if errors.As(err, &errno) {
		g.Error = errno.Error()
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		if t.w.snap.Observer.Caps&(1<<unix.CAP_DAC_READ_SEARCH) == 0 {
			g.Hint = "run as root"
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addGap(g)
}

// addGap notes a gap, or counts it. mu is held.
func (t *tree) addGap(g nsinspect.Gap) {
	if len(t.gaps) >= maxTreeGaps {
		t.moreGaps++
		return
	}
	t.gaps = append(t.gaps, g)
}

// display is the path of a file of the tree as the user would write it.
func (t *tree) display(rel string) string { return below(t.ask.Path, rel) }

// below is a path, which may end in a slash, with rel, which is empty or begins with one.
func below(dir, rel string) string {
	if rel == "" {
		return dir
	}
	return strings.TrimRight(dir, "/") + rel
}

package procscan

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

const (
	// workers is how many processes are read at once. More than two fight for the same locks in the kernel: two take
	// little more CPU time than one, and half the time.
	workers = 2

	// A worker that waits for a command line for argsPatience gets a substitute, up to maxWorkers of them; after
	// argsDeadline it is given up. It is long because a process on a busy machine may wait that long for a processor
	// while it has its memory locked.
	argsPatience = 100 * time.Millisecond
	argsDeadline = 5 * time.Second
	maxWorkers   = 64
)

// pool reads many processes with a few workers.
//
// A worker that hangs in the one read that can hang (see args) is left behind with a gap: its row was complete before
// but for the arguments. The system call it is in ends when nsview does.
type pool struct {
	s    *scanner
	ctx  context.Context
	pids []int
	rows []nsinspect.Process
	live []bool

	next  atomic.Int64
	phase []atomic.Int32 // of each row
	done  chan *worker
}

// Phases of a row. Whoever takes it out of argsPending owns what comes after.
const (
	reading int32 = iota
	argsPending
	argsDone
	argsGivenUp
)

func (s *scanner) readAll(ctx context.Context, w *worker, pids []int) []nsinspect.Process {
	p := &pool{
		s: s, ctx: ctx, pids: pids,
		rows: make([]nsinspect.Process, len(pids)), live: make([]bool, len(pids)), phase: make([]atomic.Int32, len(pids)),
		done: make(chan *worker, maxWorkers),
	}
	if s.opts.Facts&Args == 0 {
		return p.together(w, min(workers, len(pids)))
	}
	running := map[*worker]int{} // for how many ticks it has been at the same command line
	for range min(workers, len(pids)) {
		running[p.start()] = 0
	}
	ticker := time.NewTicker(argsPatience)
	defer ticker.Stop()
	for len(running) > 0 {
		select {
		case w := <-p.done:
			delete(running, w)
			s.addGaps(w.gaps)
		case <-ticker.C:
			p.watch(running)
		}
	}
	return p.living()
}

// together reads with n workers, of which none can hang: this goroutine, with w, is one of them, so that there is a thread
// less to start.
func (p *pool) together(w *worker, n int) []nsinspect.Process {
	for range n - 1 {
		p.start()
	}
	p.work(w)
	for range max(n, 1) {
		p.s.addGaps((<-p.done).gaps)
	}
	return p.living()
}

// living are the rows of the processes that there are.
func (p *pool) living() []nsinspect.Process {
	rows := p.rows[:0]
	for i := range p.rows {
		if p.live[i] {
			rows = append(rows, p.rows[i])
		}
	}
	return rows
}

// watch looks after the workers, once every argsPatience.
func (p *pool) watch(running map[*worker]int) {
	substitutes := 0
	for w := range running {
		at := w.at.Load()
		if at < 0 || at != w.seen {
			w.seen, running[w] = at, 0
			continue
		}
		running[w]++
		if running[w] == 1 {
			substitutes++
		}
		late := running[w] >= int(argsDeadline/argsPatience) || p.ctx.Err() != nil
		if late && p.phase[at].CompareAndSwap(argsPending, argsGivenUp) {
			w.pidGap(p.pids[at], "cmdline", errArgsHang)
			p.s.addGaps(w.gaps)
			delete(running, w)
			substitutes++
		}
	}
	if p.ctx.Err() != nil {
		return
	}
	for range min(substitutes, maxWorkers-len(running)) {
		running[p.start()] = 0
	}
}

// restEvery is after how many processes a worker rests: they take a millisecond.
const restEvery = 16

// Rest lets another goroutine run, if one waits. A worker that does nothing but short system calls is to call it every
// millisecond or so: the runtime's monitor takes the processor from a goroutine that runs for 10 ms, and while it finds any
// such it wakes every few dozen microseconds (sysmon in runtime/proc.go), which is a twelfth of the time of a scan.
func Rest() { runtime.Gosched() }

func (p *pool) start() *worker {
	w := p.newWorker()
	go p.work(w)
	return w
}

func (p *pool) newWorker() *worker {
	w := p.s.newWorker()
	w.at.Store(-1)
	w.seen = -1
	return w
}

func (p *pool) work(w *worker) {
	for p.ctx.Err() == nil {
		i := int(p.next.Add(1)) - 1
		if i >= len(p.pids) {
			break
		}
		if i%restEvery == 0 {
			Rest()
		}
		if !p.one(w, i) {
			return // given up: nothing of this worker is used any more
		}
	}
	p.done <- w
}

// one reads row i, and reports whether the worker is still wanted.
func (p *pool) one(w *worker, i int) bool {
	pid, row := p.pids[i], &p.rows[i]
	dir, ok := w.open(pid)
	if !ok {
		return true
	}
	defer unix.Close(dir)
	if p.live[i] = w.process(dir, pid, row); !p.live[i] {
		return true
	}
	p.s.host.want(&row.Cred)
	if p.s.opts.Facts&Args == 0 || row.Kthread || row.State == "Z" {
		return true
	}
	p.phase[i].Store(argsPending)
	w.at.Store(int64(i))
	args, err := w.args(dir)
	if !p.phase[i].CompareAndSwap(argsPending, argsDone) {
		return false
	}
	w.at.Store(-1)
	row.Args = args
	if err != nil && !endedErr(err) {
		w.pidGap(pid, "cmdline", err)
	}
	return true
}

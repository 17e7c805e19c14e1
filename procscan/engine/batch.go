package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/nsview/nsview/procscan"
)

// answer is what became of a request.
type answer struct {
	files []File
	err   error
}

// batch fetches what requests ask for, one after another in one goroutine: one for each, and a timer, would take longer
// than nearly all answers do. When one is late the goroutine and its thread are left behind, and another goes on with the
// next. So a goroutine owns what it opens, and touches the fields below only with mu and while it is its turn.
type batch struct {
	*reader
	list []request

	mu      sync.Mutex
	turn    int       // of the goroutine that reads
	next    int       // of list: being read
	since   time.Time // when that began
	answers []answer
}

// fetch is the answers to requests, in their order. None is waited for longer than readDeadline, nor any when ctx has
// ended.
func (r *reader) fetch(ctx context.Context, list []request) []answer {
	b := &batch{reader: r, list: list, answers: make([]answer, len(list))}
	for !b.attempt(ctx) {
	}
	return b.answers
}

// attempt reads on until all is read or one answer is late.
func (b *batch) attempt(ctx context.Context) (finished bool) {
	own, cancel := context.WithCancel(ctx)
	defer cancel() // nothing goes on asking
	b.mu.Lock()
	b.turn++
	turn := b.turn
	b.since = time.Now()
	b.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.work(own, turn)
	}()
	timer := time.NewTimer(readDeadline)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return true
		case <-timer.C:
			wait := b.giveUp(fmt.Errorf("%w (%v)", procscan.ErrNoAnswer, readDeadline), readDeadline)
			if wait == 0 {
				return false
			}
			timer.Reset(wait)
		case <-ctx.Done():
			b.giveUp(ctx.Err(), 0)
			return false
		}
	}
}

// giveUp ends the turn of a goroutine with err as the answer that it did not give for so long, or returns how much longer
// it has.
func (b *batch) giveUp(err error, after time.Duration) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait = after - time.Since(b.since); wait > 0 {
		return wait
	}
	b.turn++
	if b.next < len(b.list) {
		b.take(answer{err: err})
	}
	return 0
}

func (b *batch) work(ctx context.Context, turn int) {
	root, err := procscan.OpenRoot(b.o.HostRoot)
	if err == nil {
		defer root.Close()
	}
	for {
		b.mu.Lock()
		if b.turn != turn || b.next == len(b.list) {
			b.mu.Unlock()
			return
		}
		q := b.list[b.next].Pattern
		b.since = time.Now()
		late, limit := b.isLate(q), maxFiles-b.size[q.Owner]
		b.mu.Unlock()

		var a answer
		switch {
		case err != nil && q.Get == "":
			a.err = err
		case err == nil && root.Lacks(base(q.Glob)):
			a.err = fs.ErrNotExist
		case late:
			a.err = errLate
		case ctx.Err() != nil:
			a.err = ctx.Err()
		case q.Get != "":
			a.files, a.err = getFile(ctx, b.o.HostRoot, q)
		default:
			a.files, a.err = readPattern(ctx, root, q, limit)
		}

		b.mu.Lock()
		if b.turn == turn {
			b.take(a)
		}
		b.mu.Unlock()
	}
}

// take enters the answer to the request that is being read.
func (b *batch) take(a answer) {
	q := b.list[b.next].Pattern
	for i := range a.files {
		b.size[q.Owner] += len(a.files[i].Data)
	}
	if errors.Is(a.err, procscan.ErrNoAnswer) || errors.Is(a.err, context.DeadlineExceeded) {
		b.late[lateKey(q)] = true
		if q.Get != "" {
			a.err = context.DeadlineExceeded // not the reason that ErrNoAnswer gives, which is about files
		}
	}
	b.answers[b.next] = a
	b.next++
}

// isLate reports whether what stands behind a pattern was late before.
func (r *reader) isLate(p Pattern) bool { return (p.Get != "" || p.Owner != 0) && r.late[lateKey(p)] }

// lateKey is what is not waited for again: a socket, or the files of a user.
func lateKey(p Pattern) string {
	if p.Get != "" {
		return p.Glob
	}
	return itoa(p.Owner)
}

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// interruptAfter is when Ctrl-C begins to be answered by nsview, unless it is asked for before.
	interruptAfter = 10 * time.Millisecond

	// answerWithin is how long after an interrupt nsview ends, or has said that it is about to print what it knows.
	answerWithin = 60 * time.Millisecond

	// stalledAfter is how long it waits then while nothing is written: for what is known to be put in order, or for a
	// reader that does not read.
	stalledAfter = time.Second

	// againAfter is how long after an interrupt another one is the same: timeout(1) signals its command and then the process
	// group that it is in. A person takes longer.
	againAfter = 100 * time.Millisecond
)

// interrupts is how nsview answers them: the first one ends a context, the second one ends nsview.
type interrupts struct {
	listen func()

	listenTerm func() // nil: SIGTERM ends nsview itself
	stop       context.CancelFunc
	came       atomic.Bool   // one did, and not the end of what was to be done
	telling    atomic.Bool   // what is known is going to be printed
	written    atomic.Uint64 // bytes of the results
}

// interruptible is a context that an interrupt ends. Before interruptAfter an interrupt ends nsview itself, as it does any
// program: there is nothing to tell yet, and to set the answer up takes two threads, a fifth of what a short command
// takes.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	i := &interrupts{stop: cancel}
	i.listen = sync.OnceFunc(func() { i.first(os.Interrupt) })
	timer := time.AfterFunc(interruptAfter, i.listen)
	return context.WithValue(ctx, interruptsKey{}, i), func() {
		timer.Stop()
		cancel()
	}
}

// first has the first signal that comes end the context. What was ignored when nsview started, as by nohup(1), stays so.
func (i *interrupts) first(sig os.Signal) {
	if signal.Ignored(sig) {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	go func() {
		<-signals
		i.came.Store(true)
		i.stop()
		time.Sleep(againAfter)
		signal.Stop(signals) // the second one ends nsview
	}()
}

// interruptsKey is what the context of main has its interrupts under.
type interruptsKey struct{}

func interruptsOf(ctx context.Context) *interrupts {
	i, _ := ctx.Value(interruptsKey{}).(*interrupts)
	return i
}

// answerInterrupts has interrupts end ctx from now on, of which SIGTERM is one after [app.endsPromptly]: what is printed
// from here on is told to be partial.
func answerInterrupts(ctx context.Context) {
	if i := interruptsOf(ctx); i != nil {
		i.listen()
		if i.listenTerm != nil {
			i.listenTerm()
		}
	}
}

// endsPromptly is for commands that read and print and are done: from now on SIGTERM is an interrupt too, and nsview ends
// soon after either of them, also in the middle of what does not ask for ctx. What it began to print by then is printed.
// A command that ends in its own way (a.lasting) is left to that. What does not wait for anybody yet is ended by either of
// them itself for interruptAfter more, see interruptible.
func (a *app) endsPromptly(ctx context.Context, waits bool) {
	i := interruptsOf(ctx)
	if i == nil || a.lasting {
		return
	}
	a.lasting = true // once is enough
	i.listenTerm = sync.OnceFunc(func() { i.first(syscall.SIGTERM) })
	if waits {
		answerInterrupts(ctx)
	} else {
		time.AfterFunc(interruptAfter, func() { answerInterrupts(ctx) })
	}
	context.AfterFunc(ctx, func() {
		if !i.came.Load() {
			return
		}
		// Whether that will be a part or all of it, the command knows when it is done.
		i.bound(func() { a.warn("interrupted, about to print what is known") })
		a.sayInterrupted(i)
		a.shown.wipe()
		os.Exit(exitInterrupted)
	})
}

// sayInterrupted says so, where it was not said.
func (a *app) sayInterrupted(i *interrupts) {
	switch {
	case a.told.Swap(true):
	case i != nil && i.written.Load() > 0:
		a.warn("interrupted, this is not all")
	default:
		a.warn("interrupted before there was an answer")
	}
}

// interrupted says that what was printed is a part, and is how a command ends then.
func (a *app) interrupted(ctx context.Context) error {
	if !a.told.Swap(true) {
		a.warn("interrupted, this is what was read until then")
	}
	return ctx.Err()
}

// bound returns when nsview is to end: it has nothing to print, or has not printed anything for a while. announce is
// called before it waits for longer than it may be silent.
func (i *interrupts) bound(announce func()) {
	before := i.written.Load()
	time.Sleep(answerWithin)
	at := i.written.Load()
	if at == before {
		if !i.telling.Load() {
			return
		}
		announce()
	}
	for {
		time.Sleep(stalledAfter)
		now := i.written.Load()
		if now == at {
			return
		}
		at = now
	}
}

// mayTellPart is for a command that prints what is known when it is interrupted: nsview waits for that to be put in order.
func mayTellPart(ctx context.Context) {
	if i := interruptsOf(ctx); i != nil {
		i.telling.Store(true)
	}
}

// tellsPart says whether ctx has ended, and then that what is known is going to be printed.
func tellsPart(ctx context.Context) bool {
	if ctx.Err() == nil {
		return false
	}
	mayTellPart(ctx)
	return true
}

// results is stdout as it is counted how much goes there.
type results struct {
	file *os.File
	to   *interrupts // nil where nobody asks
	over *progress
}

// results is out, counted where it is a file.
func (a *app) results(ctx context.Context, out io.Writer) io.Writer {
	file, ok := out.(*os.File)
	if !ok {
		return out
	}
	return &results{file, interruptsOf(ctx), a.shown}
}

// Write writes in pieces, so that a reader who is slow is told from one who does not read.
func (r *results) Write(p []byte) (int, error) {
	const piece = lineBuffer
	r.over.wipe()
	written := 0
	for {
		n, err := r.file.Write(p[written:min(len(p), written+piece)])
		written += n
		if r.to != nil {
			r.to.written.Add(uint64(n))
		}
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// Fd is the descriptor of the file.
func (r *results) Fd() uintptr { return r.file.Fd() }

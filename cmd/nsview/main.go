// Command nsview shows a Linux container from both sides, from outside it, without changing it.
package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/nsview/nsview/procscan/pathwalk"
	"github.com/nsview/nsview/runner"
)

func main() {
	if runner.IsStage(os.Args) {
		os.Exit(runner.Stage(os.Args))
	}
	if pathwalk.IsStandIn(os.Args) {
		pathwalk.StandIn()
		return
	}
	ctx, stop := interruptible(context.Background())
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// interruptAfter is when Ctrl-C begins to be answered by nsview, unless answerInterrupts asks for it before.
const interruptAfter = 10 * time.Millisecond

// interruptible is a context that an interrupt ends. Before interruptAfter an interrupt ends nsview itself, as it does any
// program: there is nothing to tell yet, and to set the answer up takes two threads, a fifth of what a short command
// takes.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	listen := sync.OnceFunc(func() {
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		go func() {
			<-interrupts
			signal.Stop(interrupts) // the second one ends nsview
			cancel()
		}()
	})
	timer := time.AfterFunc(interruptAfter, listen)
	return context.WithValue(ctx, listenKey{}, listen), func() {
		timer.Stop()
		cancel()
	}
}

// listenKey is what the context of main has the function under that begins to listen.
type listenKey struct{}

// answerInterrupts has interrupts end ctx from now on: what is printed from here on is told to be partial.
func answerInterrupts(ctx context.Context) {
	if listen, ok := ctx.Value(listenKey{}).(func()); ok {
		listen()
	}
}

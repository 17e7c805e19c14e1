// Command nsview shows a Linux container from both sides, from outside it, without changing it.
package main

import (
	"context"
	"os"
	"os/signal"
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

// interruptAfter is when Ctrl-C begins to be answered by nsview.
const interruptAfter = 10 * time.Millisecond

// interruptible is a context that an interrupt ends. Before interruptAfter an interrupt ends nsview itself, as it does any
// program: there is nothing to tell yet, and to set the answer up takes two threads, a fifth of what a short command
// takes.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	interrupts := make(chan os.Signal, 1)
	timer := time.AfterFunc(interruptAfter, func() {
		signal.Notify(interrupts, os.Interrupt)
		<-interrupts
		signal.Stop(interrupts) // the second one ends nsview
		cancel()
	})
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

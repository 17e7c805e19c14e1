// Command nsview shows a Linux container from both sides, from outside it, without changing it.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/nsview/nsview/runner"
)

func main() {
	if runner.IsStage(os.Args) {
		os.Exit(runner.Stage(os.Args))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

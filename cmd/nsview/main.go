// Command nsview shows a Linux container from both sides, from outside it, without changing it.
package main

import (
	"context"
	"os"

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

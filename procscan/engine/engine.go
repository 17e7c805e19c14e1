// Package engine finds out which container a process is in, from what container engines leave on disk. It asks no
// daemon and runs no program.
package engine

import (
	"context"

	"github.com/nsview/nsview/nsinspect"
)

// Options says where to look.
type Options struct {
	Proc       string // where procfs is mounted, "/proc" when empty
	HostRoot   string // where the host's files are, "/" when empty
	RuntimeDir string // the observer's XDG_RUNTIME_DIR, "" without one
}

// reader is one engine: what it knows of the running containers, and what could not be read of that.
type reader func(context.Context, *nsinspect.Snapshot, Options) ([]nsinspect.Claim, []nsinspect.Gap)

// Claims asks every engine which of the processes of snap are containers of theirs. A claim is about a process that is
// in snap and was not reused since; nsinspect.Group takes the claims.
func Claims(ctx context.Context, snap *nsinspect.Snapshot, o Options) ([]nsinspect.Claim, []nsinspect.Gap) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.HostRoot == "" {
		o.HostRoot = "/"
	}
	var (
		claims []nsinspect.Claim
		gaps   []nsinspect.Gap
	)
	// One line an engine; each is in a file of its name.
	for _, read := range []reader{
		nsview,
	} {
		c, g := read(ctx, snap, o)
		claims, gaps = append(claims, c...), append(gaps, g...)
	}
	return claims, gaps
}

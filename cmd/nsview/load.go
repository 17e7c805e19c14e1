package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/engine"
)

// snapshot is what a reading command answers from: the host as it is now, with the facts asked for, or what --from
// stored.
func (a *app) snapshot(ctx context.Context, facts procscan.Fact) (*nsinspect.Snapshot, error) {
	if a.from != "" {
		return a.stored()
	}
	defer a.progress("reading " + a.proc)()
	s, err := procscan.Scan(ctx, procscan.Options{Proc: a.proc, HostRoot: a.hostRoot, Facts: facts})
	if err != nil {
		return nil, err
	}
	claims, gaps := engine.Claims(ctx, s, engine.Options{Proc: a.proc, HostRoot: a.hostRoot, RuntimeDir: os.Getenv("XDG_RUNTIME_DIR")})
	s.Gaps = append(s.Gaps, gaps...)
	nsinspect.Group(s, claims)
	return s, nil
}

// progress says on stderr, when that is a terminal, what takes over a second. The function that it returns ends and
// wipes it.
func (a *app) progress(what string) func() {
	f, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	var mu sync.Mutex
	shown := false
	timer := time.AfterFunc(time.Second, func() {
		mu.Lock()
		defer mu.Unlock()
		shown = true
		fmt.Fprintf(f, "nsview: %s ...", render.Escape(what))
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		if shown {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}

// stored reads the snapshot of --from; "-" is stdin.
func (a *app) stored() (*nsinspect.Snapshot, error) {
	var in io.Reader = a.in
	if a.from != "-" {
		f, err := os.Open(a.from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	s, err := nsinspect.Decode(in)
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", a.from, err)
	}
	return s, nil
}

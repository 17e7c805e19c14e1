package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// How a terminal is told to use its second screen, as top and watch do, and to draw over what is there.
const (
	screenOn   = "\x1b[?1049h\x1b[?25l"
	screenOff  = "\x1b[?25h\x1b[?1049l"
	screenHome = "\x1b[H"
	lineEnd    = "\x1b[K\n"
	clearRest  = "\x1b[J"
)

// watch prints a frame at once and then at every interval until ctx ends. On a terminal each frame is drawn over the one
// before, and the screen is restored at the end, also on SIGTERM and SIGHUP; on anything else frames follow each other
// with an empty line between, as those of top -b.
func (a *app) watch(ctx context.Context, every time.Duration, frame func(*bytes.Buffer, render.TableOptions) error) error {
	a.lasting, a.shown = true, nil
	answerInterrupts(ctx) // one that ended nsview itself would leave the terminal on the other screen
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	screen := a.terminal() && !a.structured()
	if screen {
		fmt.Fprint(a.out, screenOn)
		defer fmt.Fprint(a.out, screenOff)
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		var out, notes bytes.Buffer
		stderr := a.err
		if screen {
			a.err = &notes
		}
		err := frame(&out, a.tableOptions())
		a.err = stderr
		if ctx.Err() != nil {
			return &statusError{code: exitInterrupted}
		}
		var status *statusError
		if err != nil && (!errors.As(err, &status) || status.err != nil || !screen) {
			return err
		}
		text := out.String()
		switch {
		case screen:
			text = a.onScreen(text, notes.String())
		case !first && a.output == "yaml":
			text = "---\n" + text
		case !first && !a.structured():
			text = "\n" + text
		}
		if _, err := fmt.Fprint(a.out, text); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return &statusError{code: exitInterrupted}
		case <-tick.C:
		case <-resized:
		}
	}
}

// onScreen is a frame as the terminal gets it: not more lines than it has, of which the last are the notes.
func (a *app) onScreen(text, notes string) string {
	o := a.tableOptions()
	lines, last := splitLines(text), splitLines(notes)
	for i := range last {
		last[i] = render.Cut(last[i], o)
	}
	if f, ok := a.out.(descriptor); ok {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil && height > 0 {
			last = last[:min(len(last), height-1)]
			lines = lines[:min(len(lines), height-len(last))]
		}
	}
	return screenHome + strings.Join(append(lines, last...), lineEnd) + "\x1b[K" + clearRest
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

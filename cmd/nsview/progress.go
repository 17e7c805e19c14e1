package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// progressAfter is how long work takes before stderr says what it is, and how often it is said anew.
const progressAfter = time.Second

// progress says on a terminal what is worked at, in a line that is drawn over and wiped before anything else is written.
type progress struct {
	terminal *os.File // nil: nobody is told

	mu    sync.Mutex
	work  []string // what is worked at, the innermost last
	began time.Time
	timer *time.Timer
	shown bool
}

// progress says on stderr, when that is a terminal, what takes over a second. The function that it returns ends that:
// then it is said again what this work is a part of.
func (a *app) progress(what string) func() {
	p := a.shown
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		p.began = time.Now()
		p.timer = time.AfterFunc(progressAfter, p.draw)
	}
	p.work = append(p.work, what)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.work = p.work[:len(p.work)-1]
		if len(p.work) == 0 {
			p.clear()
		}
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.work) == 0 {
		p.timer = nil // whoever works next starts it
		return
	}
	text := fmt.Sprintf("nsview: %s ... %d s", render.Escape(p.work[len(p.work)-1]), time.Since(p.began)/time.Second)
	if width, _, err := term.GetSize(int(p.terminal.Fd())); err == nil && width > 1 {
		text = render.Cut(text, render.TableOptions{Width: width - 1, ASCII: !utf8Locale()}) // a line that wraps would not be wiped
	}
	fmt.Fprint(p.terminal, "\r"+text+"\x1b[K")
	p.shown = true
	p.timer.Reset(progressAfter)
}

// clear wipes the line. mu is held.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.terminal, "\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) wipe() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// messages is stderr where it is a terminal, and may have a line of progress to be wiped.
type messages struct{ over *progress }

func (m *messages) Write(p []byte) (int, error) {
	m.over.mu.Lock()
	defer m.over.mu.Unlock()
	m.over.clear()
	return m.over.terminal.Write(p)
}

// overProgress is stderr as it is written to beside progress, which is nil where nobody is told.
func overProgress(stderr io.Writer) (io.Writer, *progress) {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return stderr, nil
	}
	p := &progress{terminal: f}
	return &messages{p}, p
}

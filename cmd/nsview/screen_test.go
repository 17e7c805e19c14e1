package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// screen is a terminal that draws, tmux's, for what only a terminal can tell: how wide it shows a name.
type screen struct {
	socket string
	tty    *os.File
}

// newScreen starts a terminal of that size. No shell is in it: what a test writes is all that it shows.
func newScreen(t *testing.T, columns, rows int) *screen {
	t.Helper()
	path, err := exec.LookPath("tmux")
	proctest.Need(t, "tmux", err == nil, "it is the terminal")
	dir, err := os.MkdirTemp("", "screen") // the name of a test may be longer than that of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &screen{socket: filepath.Join(dir, "tmux")}
	cmd := exec.Command(path, "-u", "-S", s.socket, "-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(rows), "exec sleep 3600")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=", "SHELL=/bin/sh")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	t.Cleanup(func() { s.tmux(t, "kill-server") })
	s.tty, err = os.OpenFile(strings.TrimSpace(s.tmux(t, "display-message", "-p", "#{pane_tty}")), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.tty.Close() })
	// Its answers are for the test: not a line at a time, and not back to the screen.
	s.control(t, func(fd int) error {
		mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		mode.Lflag &^= unix.ICANON | unix.ECHO
		return unix.IoctlSetTermios(fd, unix.TCSETS, mode)
	})
	return s
}

func (s *screen) tmux(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *screen) control(t *testing.T, do func(fd int) error) {
	t.Helper()
	raw, err := s.tty.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil || done != nil {
		t.Fatal(err, done)
	}
}

// cursor is where the screen would write next, both counted from 0, after it was sent that text.
func (s *screen) cursor(t *testing.T, text string) (row, column int) {
	t.Helper()
	if err := s.tty.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	const ask = "\x1b[6n" // DSR: answered with CSI row;column R
	if _, err := s.tty.WriteString(text + ask); err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	for buf := make([]byte, 64); !strings.HasSuffix(answer.String(), "R"); {
		n, err := s.tty.Read(buf)
		if err != nil {
			t.Fatalf("the terminal answers %q, then %v", answer.String(), err)
		}
		answer.Write(buf[:n])
	}
	if _, err := fmt.Sscanf(answer.String(), "\x1b[%d;%dR", &row, &column); err != nil {
		t.Fatalf("the terminal answers %q: %v", answer.String(), err)
	}
	return row - 1, column - 1
}

// width is how many columns the screen shows a line in.
func (s *screen) width(t *testing.T, line string) int {
	t.Helper()
	const clear = "\x1b[H\x1b[2J"
	row, column := s.cursor(t, clear+line)
	if row != 0 {
		t.Fatalf("%q does not fit in one line", line)
	}
	return column
}

// starts are the columns at which the screen begins to draw something after two blanks, and 0.
func (s *screen) starts(t *testing.T, line string) map[int]bool {
	t.Helper()
	starts := map[int]bool{0: true}
	for rest, before := line, ""; ; {
		at := strings.Index(rest, "  ")
		if at < 0 {
			return starts
		}
		gap := rest[at:]
		rest = strings.TrimLeft(gap, " ")
		before = line[:len(line)-len(rest)]
		starts[s.width(t, before)] = true
	}
}

// aligned fails the test unless every row begins something where each title of the header begins, and no line is wider
// than width, 0 for any.
func (s *screen) aligned(t *testing.T, text string, width int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 2 {
		t.Errorf("no rows:\n%s", text)
		return
	}
	titles := s.starts(t, lines[0])
	for _, line := range lines {
		if got := s.width(t, line); width > 0 && got > width {
			t.Errorf("%d columns on a terminal of %d: %q", got, width, line)
		}
		starts := s.starts(t, line)
		for at := range titles {
			if !starts[at] {
				t.Errorf("no cell begins at column %d of %q, below\n%s", at, line, lines[0])
			}
		}
	}
}

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	fd := int(s.open(t).Fd())
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	mode.Lflag &^= unix.ICANON | unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, mode); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens the terminal once more, for a command or for what has no deadline.
func (s *screen) open(t *testing.T) *os.File {
	t.Helper()
	tty, err := os.OpenFile(s.tty.Name(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return tty
}

func (s *screen) tmux(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// whereIs, printed to the screen, has it answer where the cursor is, as CSI row;column R: DSR of ECMA-48.
const whereIs = "\x1b[6n"

// cursors are the rows and columns that the screen answers to a text with whereIs in it.
func (s *screen) cursors(t *testing.T, text string) [][2]int {
	t.Helper()
	if err := s.tty.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.tty.WriteString(text); err != nil {
		t.Fatal(err)
	}
	cursors := make([][2]int, strings.Count(text, whereIs))
	answers := bufio.NewReader(s.tty)
	for i := range cursors {
		answer, err := answers.ReadString('R')
		if err != nil {
			t.Fatalf("the terminal answers %q, then %v", answer, err)
		}
		if _, err := fmt.Sscanf(answer, "\x1b[%d;%dR", &cursors[i][0], &cursors[i][1]); err != nil {
			t.Fatalf("the terminal answers %q: %v", answer, err)
		}
	}
	return cursors
}

// columns are where the screen would write next, counted from 0, after each of the parts of a line.
func (s *screen) columns(t *testing.T, parts ...string) []int {
	t.Helper()
	const clear = "\x1b[H\x1b[2J"
	var columns []int
	for _, at := range s.cursors(t, clear+strings.Join(parts, whereIs)+whereIs) {
		if at[0] != 1 {
			t.Fatalf("%q does not fit in one line", parts)
		}
		columns = append(columns, at[1]-1)
	}
	return columns
}

// width is how many columns the screen shows a line in.
func (s *screen) width(t *testing.T, line string) int {
	t.Helper()
	return s.columns(t, line)[0]
}

// gap is what parts columns.
var gap = regexp.MustCompile(`  +`)

// starts are the columns at which the screen begins to draw something after two blanks, and 0; the last is where it ends.
func (s *screen) starts(t *testing.T, line string) []int {
	t.Helper()
	var parts []string
	before := 0
	for _, at := range gap.FindAllStringIndex(line, -1) {
		parts = append(parts, line[before:at[1]])
		before = at[1]
	}
	return append([]int{0}, s.columns(t, append(parts, line[before:])...)...)
}

// aligned fails the test unless every row of a table begins something where each title of the header begins, and no line
// is wider than width, 0 for any. Several tables are parted by empty lines.
func (s *screen) aligned(t *testing.T, text string, width int) {
	t.Helper()
	for table := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(table, "\n")
		if len(lines) < 2 {
			t.Errorf("no rows:\n%s", table)
			continue
		}
		titles := s.starts(t, strings.TrimRight(strings.TrimSuffix(lines[0], "…"), " ")) // where a line ends is no title
		titles = titles[:len(titles)-1]
		if strings.Contains(table, "└─") { // a tree has blanks before it
			titles = titles[:len(titles)-1]
		}
		for _, line := range lines {
			starts := s.starts(t, line)
			if end := starts[len(starts)-1]; width > 0 && end > width {
				t.Errorf("%d columns on a terminal of %d: %q", end, width, line)
			}
			for _, at := range titles {
				if !slices.Contains(starts[:len(starts)-1], at) {
					t.Fatalf("no cell begins at column %d of %q, below\n%s", at, line, lines[0])
				}
			}
		}
	}
}

// shows runs nsview on the screen, and is what then stands there. Nothing of it is wider than the screen.
func (s *screen) shows(t *testing.T, args ...string) string {
	t.Helper()
	s.tmux(t, "send-keys", "-R")
	s.tmux(t, "clear-history")
	cmd := exec.Command("nsview", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=screen", "NO_COLOR=1")
	var messages strings.Builder
	cmd.Stdout, cmd.Stderr = s.open(t), &messages
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != exitNegative {
		t.Fatalf("nsview %v: %v\n%s", args, err, messages.String())
	}
	s.cursors(t, whereIs) // answered when all of it is drawn
	text := s.tmux(t, "capture-pane", "-p", "-S", "-")
	if joined := s.tmux(t, "capture-pane", "-p", "-J", "-S", "-"); strings.Count(joined, "\n") != strings.Count(text, "\n") {
		t.Errorf("nsview %v: lines are wider than the terminal:\n%s", args, text)
	}
	lines := strings.Split(strings.TrimRight(text, "\n "), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

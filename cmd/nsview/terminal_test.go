package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/procscan/proctest"
)

// session is nsview on a terminal of its own.
type session struct {
	cmd    *exec.Cmd
	master *os.File
	closed chan struct{} // when all that was printed has been read

	mu   sync.Mutex
	text strings.Builder
}

// onTerminal starts nsview as the foreground job of a terminal of that size.
func onTerminal(t *testing.T, columns, rows uint16, args ...string) *session {
	t.Helper()
	cmd := exec.Command("nsview", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm", "NO_COLOR=1")
	return commandOnTerminal(t, columns, rows, cmd)
}

// commandOnTerminal starts any command as onTerminal does nsview.
func commandOnTerminal(t *testing.T, columns, rows uint16, cmd *exec.Cmd) *session {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	proctest.Need(t, "pty", err == nil, fmt.Sprint(err))
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	s := &session{cmd: cmd, master: master, closed: make(chan struct{})}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	go s.read()
	return s
}

func (s *session) read() {
	defer close(s.closed)
	buf := make([]byte, 4096)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		s.text.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return // EIO: nobody has the terminal open any more
		}
	}
}

func (s *session) printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// until waits until what was printed satisfies done.
func (s *session) until(t *testing.T, what string, done func(string) bool) {
	t.Helper()
	if !proctest.Within(20*time.Second, func() bool { return done(s.printed()) }) {
		t.Fatalf("waited in vain for %s; printed %q", what, s.printed())
	}
}

// end waits for nsview and returns its exit status and all it printed.
func (s *session) end(t *testing.T) (int, string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("nsview did not end; printed %q", s.printed())
	}
	<-s.closed
	return s.cmd.ProcessState.ExitCode(), s.printed()
}

// On a terminal no line is wider than it, unless that is asked for.
func TestTerminalWidth(t *testing.T) {
	for _, command := range []string{"ps -A -o wide", "ps -A --tree", "ns", "ns --tree", "containers -o wide", "diff host host", "owner /etc/passwd", "owner -R /etc/ssl"} {
		for _, width := range []uint16{40, 80} {
			t.Run(fmt.Sprintf("%s/%d", command, width), func(t *testing.T) {
				_, text := onTerminal(t, width, 24, append(strings.Fields(command), "--color", "never")...).end(t)
				for line := range strings.SplitSeq(text, "\r\n") {
					const wiped = "\x1b[K"
					if at := strings.LastIndex(line, wiped); at >= 0 {
						line = line[at+len(wiped):] // before it was progress
					}
					if n := len([]rune(line)); n > int(width) && !strings.HasPrefix(line, "nsview: ") {
						t.Errorf("%d columns: %q", n, line)
					}
				}
			})
		}
	}
	_, text := onTerminal(t, 40, 24, "ps", "-A", "-o", "wide", "--no-trunc").end(t)
	if header, _, _ := strings.Cut(text, "\r\n"); len(header) <= 40 {
		t.Errorf("--no-trunc cut %q", header)
	}
}

// A page of HTML is for a file.
func TestReportRefusesTerminal(t *testing.T) {
	code, text := onTerminal(t, 80, 24, "report").end(t)
	if code != exitFailure || !strings.Contains(text, "hint: nsview report > host.html") {
		t.Errorf("exit %d\n%s", code, text)
	}
}

// Where it is narrow, what a row is about stays: the command, the tree, the path.
func TestNarrowTerminal(t *testing.T) {
	for command, want := range map[string]string{
		"ps -A":             "PID +CPID +.*COMMAND",
		"ps -A --tree":      "PID +.*COMMAND",
		"ns --tree":         "NAMESPACE",
		"owner /etc/passwd": "VIEWER .*PATH",
	} {
		_, text := onTerminal(t, 40, 24, append(strings.Fields(command), "--color", "never")...).end(t)
		header, _, _ := strings.Cut(text, "\r\n")
		if !regexp.MustCompile(want + "$").MatchString(header) {
			t.Errorf("%s has the columns %q, want %s", command, header, want)
		}
	}
}

// --watch draws over its own screen, follows the size of the terminal, and gives the screen back when it is interrupted,
// terminated or hung up.
func TestWatchOnTerminal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			s := onTerminal(t, 40, 6, "ps", "-A", "--watch=0.1")
			s.until(t, "three frames", func(text string) bool { return strings.Count(text, screenHome) >= 3 })
			if err := s.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			code, text := s.end(t)
			if code != exitInterrupted {
				t.Errorf("exit status %d", code)
			}
			if !strings.HasPrefix(text, screenOn) || !strings.HasSuffix(text, screenOff) {
				t.Errorf("begins with %q, ends in %q", text[:min(20, len(text))], text[max(0, len(text)-20):])
			}
			frames := strings.Split(strings.TrimSuffix(text, screenOff), screenHome)[1:]
			for _, frame := range frames[:len(frames)-1] {
				lines := strings.Split(frame, "\r\n")
				if len(lines) != 6 {
					t.Errorf("%d lines on a terminal of 6: %q", len(lines), frame)
				}
				for _, line := range lines {
					line = strings.TrimSuffix(strings.TrimSuffix(line, clearRest), "\x1b[K")
					if len([]rune(line)) > 40 {
						t.Errorf("%d columns on a terminal of 40: %q", len([]rune(line)), line)
					}
				}
			}
		})
	}
}

// Ctrl-C typed at the terminal is the same.
func TestWatchInterruptedByKey(t *testing.T) {
	s := onTerminal(t, 80, 24, "ps", "--watch=0.1")
	s.until(t, "a frame", func(text string) bool { return strings.Contains(text, "PID") })
	if _, err := io.WriteString(s.master, "\x03"); err != nil {
		t.Fatal(err)
	}
	if code, text := s.end(t); code != exitInterrupted || !strings.HasSuffix(text, screenOff) {
		t.Errorf("exit status %d, ends in %q", code, text[max(0, len(text)-20):])
	}
}

// However early it comes: interrupts are answered before the first frame.
func TestWatchAnswersInterruptsFirst(t *testing.T) {
	answered := false
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), interruptsKey{}, &interrupts{listen: func() { answered = true }}))
	defer cancel()
	a := &app{out: io.Discard, err: io.Discard}
	err := a.watch(ctx, time.Hour, func(*bytes.Buffer, render.TableOptions) error {
		if !answered {
			t.Error("a frame is made before interrupts are answered")
		}
		cancel()
		return nil
	})
	var status *statusError
	if !errors.As(err, &status) || status.code != exitInterrupted {
		t.Errorf("watch ended with %v", err)
	}
}

// A terminal is shown colours unless NO_COLOR, TERM or --color says otherwise; --color always decides over both.
func TestColorOnTerminal(t *testing.T) {
	for _, tt := range []struct {
		env, flag string
		want      bool
	}{
		{"", "auto", true},
		{"NO_COLOR=1", "auto", false},
		{"TERM=dumb", "auto", false},
		{"NO_COLOR=", "auto", true},
		{"", "never", false},
		{"NO_COLOR=1", "always", true},
		{"TERM=dumb", "always", true},
	} {
		cmd := exec.Command("nsview", "map", "host", "--color", tt.flag)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm", "NO_COLOR=")
		if tt.env != "" {
			cmd.Env = append(cmd.Env, tt.env)
		}
		_, text := commandOnTerminal(t, 80, 24, cmd).end(t)
		if strings.Contains(text, "\x1b[") != tt.want {
			t.Errorf("%s --color %s: %q", tt.env, tt.flag, text)
		}
	}
}

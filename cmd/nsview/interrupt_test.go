package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// promptEnough is what a busy machine may add to the 100 ms in which an interrupt is answered.
const promptEnough = 2 * time.Second

// signalled sends nsview a signal and returns how long after it nsview ended.
func signalled(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) time.Duration {
	t.Helper()
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	began := time.Now()
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) { // its status tells whether it was over
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("%v did not end", cmd.Args)
	}
	return time.Since(began)
}

// Whatever a command waits for, it ends promptly when it is interrupted or terminated, and says that there is no answer.
func TestInterruptedWhileItWaits(t *testing.T) {
	fifo := emptyPipe(t, "snapshot")
	for _, command := range []string{
		"ps", "ns", "containers", "map 1", "caps 1", "diff 1 2", "owner /etc/passwd", "access 1 /etc/passwd", "access --batch", "doctor", "graph", "report", "snapshot",
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			cmd := exec.Command("nsview", append(strings.Fields(command), "--from", fifo)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			var out, complaints bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &complaints
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if !proctest.Within(20*time.Second, func() bool { return opened(cmd.Process.Pid, fifo) }) {
				t.Fatalf("%s does not read the snapshot", command)
			}
			took := signalled(t, cmd, sig)
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || out.Len() > 0 || complaints.String() != "nsview: interrupted before there was an answer\n" {
				t.Errorf("%s, %v: status %d, printed %q and %q", command, sig, code, out.String(), complaints.String())
			}
			if took > promptEnough {
				t.Errorf("%s ended %v after %v", command, took, sig)
			}
			t.Logf("%s ended %d ms after %v", command, took.Milliseconds(), sig)
		}
	}
}

// Two signals at once, as timeout(1) sends them, are one: what is known is told.
func TestInterruptedTwiceAtOnce(t *testing.T) {
	deniedSource(t)
	for i := range 5 {
		cmd := exec.Command("nsview", "trace", "--summary")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var out bytes.Buffer
		cmd.Stdout = &out
		complaints, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(complaints).ReadString('\n'); !strings.Contains(line, "tracing the whole host") {
			t.Fatalf("%q: %v", line, err)
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * time.Millisecond) // not to wait for something: so they come
		signalled(t, cmd, syscall.SIGINT)
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(out.String(), " events in ") {
			t.Errorf("%d ms apart: status %d, printed %q", i, code, out.String())
		}
	}
}

// opened reports whether a process has a file open.
func opened(pid int, file string) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(fds, func(fd string) bool { link, err := os.Readlink(fd); return err == nil && link == file })
}

// emptyPipe is the path of a pipe that can be opened, and in which there is nothing.
func emptyPipe(t *testing.T, name string) string {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), name)
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return fifo
}

// Interrupted in the middle of a scan, what lists what there is prints what it has and marks it as a part.
func TestInterruptedInTheMiddle(t *testing.T) {
	startCrowd(t, "containers", atSize(1000, 4000))
	for _, command := range []string{"ps -A -o json", "ns -o json", "containers -o json", "snapshot"} {
		parts := 0
		for after := 10 * time.Millisecond; after < 3*time.Second; after += 10*time.Millisecond + after {
			cmd := exec.Command("nsview", append(strings.Fields(command), "--source", "proc")...)
			if strings.Contains(command, "containers") || command == "snapshot" {
				cmd = exec.Command("nsview", strings.Fields(command)...)
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			var out, complaints bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &complaints
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after) // not to wait for something: whenever it comes
			took := signalled(t, cmd, syscall.SIGINT)
			code := cmd.ProcessState.ExitCode()
			if code == 0 {
				break // it was over before
			}
			if out.Len() == 0 {
				continue // before it listened, or there was nothing yet
			}
			var printed struct {
				Partial bool `json:"partial"`
				Gaps    []struct{ Error string }
			}
			if err := json.Unmarshal(out.Bytes(), &printed); err != nil || code != exitInterrupted || !printed.Partial || !strings.Contains(complaints.String(), "nsview: interrupted, this is what was read until then\n") {
				t.Errorf("%s after %v: status %d, partial %v, %v: %.300s", command, after, code, printed.Partial, err, complaints.String())
			}
			if took > promptEnough+stalledAfter {
				t.Errorf("%s ended %v after the interrupt", command, took)
			}
			t.Logf("%s, interrupted after %d ms, ended %d ms later with %d bytes", command, after.Milliseconds(), took.Milliseconds(), out.Len())
			parts++
		}
		if parts == 0 {
			t.Errorf("%s never told a part", command)
		}
	}
}

// What takes over a second is said on a terminal, in a line of its own that fits, and wiped when there is something to print.
func TestProgressOnTerminal(t *testing.T) {
	fifo := emptyPipe(t, strings.Repeat("long", 20))
	for _, command := range []string{"ps", "ns", "owner /etc/passwd", "access 1 /", "doctor", "containers", "map 1", "diff 1 2"} {
		s := onTerminal(t, 40, 24, append(strings.Fields(command), "--from", fifo)...)
		s.until(t, "progress", func(text string) bool { return strings.Contains(text, "\x1b[K") })
		if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		code, text := s.end(t)
		drawn, rest, _ := strings.Cut(strings.TrimPrefix(text, "\r"), "\x1b[K")
		if !strings.HasPrefix(drawn, "nsview: reading /") || len([]rune(drawn)) > 39 || code != exitInterrupted {
			t.Errorf("%s: status %d, drew %q", command, code, drawn)
		}
		if i := strings.LastIndex(rest, "\r\x1b[K"); i < 0 || !strings.HasPrefix(rest[i+4:], "nsview: interrupted ") {
			t.Errorf("%s: the line was not wiped: %q", command, rest)
		}
	}
}

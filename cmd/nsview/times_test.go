package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

func TestTimesForPeople(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	for _, tt := range []struct {
		age                 time.Duration
		start, elapsed, old string
	}{
		{0, "05:06:07", "00:00", "0s"},
		{59 * time.Second, "05:06:07", "00:59", "59s"},
		{61 * time.Second, "05:06:07", "01:01", "1m1s"},
		{10 * time.Minute, "05:06:07", "10:00", "10m"},
		{2*time.Hour + 3*time.Minute + 4*time.Second, "05:06:07", "02:03:04", "2h3m"},
		{25 * time.Hour, "Mar04", "1-01:00:00", "1d1h"},
		{400 * 24 * time.Hour, "2026", "400-00:00:00", "400d"},
	} {
		if got := startText(&at, tt.age); got != tt.start {
			t.Errorf("start of %v: %q, want %q", tt.age, got, tt.start)
		}
		if got := elapsedText(tt.age); got != tt.elapsed {
			t.Errorf("elapsed %v: %q, want %q", tt.age, got, tt.elapsed)
		}
		if got := ageText(&at, tt.age); got != tt.old {
			t.Errorf("age %v: %q, want %q", tt.age, got, tt.old)
		}
	}
	if got := startText(nil, 0) + ageText(nil, 0); got != "" {
		t.Errorf("an unknown time is %q", got)
	}
}

// A process started between two looks at the clock, whichever way it is read, and whatever clocks the reader has.
func TestStartedByTheClock(t *testing.T) {
	before := time.Now()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pid := strconv.Itoa(cmd.Process.Pid)
	ask := []string{"nsview", "ps", pid, "--format", "{{.started}}"}
	ways := map[string][]string{"proc": append(ask, "--source", "proc")}
	if os.Geteuid() == 0 {
		ways["any"] = ask
		ways["other clocks"] = append([]string{"nsview", "run", "--time-offset", "boottime=100000", "--"}, ways["proc"]...)
		ways["other clocks, any"] = append([]string{"nsview", "run", "--time-offset", "boottime=100000", "--"}, ask...)
	}
	const tick = 30 * time.Millisecond // two are cut, one is rounded
	for way, args := range ways {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(out)))
		if err != nil || at.Before(before.Add(-tick)) || at.After(after.Add(tick)) {
			t.Errorf("%s: started at %s (%v), and was between %v and %v", way, out, err, before, after)
		}
	}
}

// The columns of a start time have it of every process, also of those that ps reads briefly where nobody asks for it.
func TestStartOfWhoStandsBehindPID1(t *testing.T) {
	proctest.NeedRoot(t)
	cmd := exec.Command("/bin/sh", "-c", "for i in 1 2 3; do sleep 60 & done; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // with which the child would end
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var out []byte
	var err error
	var elapsed []string // of the children
	if !proctest.Within(10*time.Second, func() bool {
		out, err = exec.Command("nsview", "ps", "-A", "--source", "proc", "--no-headers", "-O", "ppid,comm,elapsed").Output()
		elapsed = nil
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); f[0] == strconv.Itoa(cmd.Process.Pid) && f[1] == "sleep" {
				elapsed = append(elapsed, f[2])
			}
		}
		return err != nil || len(elapsed) == 3
	}) || err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range elapsed {
		if !strings.HasPrefix(e, "00:") {
			t.Errorf("it runs for %s", e)
		}
	}
}

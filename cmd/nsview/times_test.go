package main

import (
	"iter"
	"math"
	"os"
	"os/exec"
	"path/filepath"
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

// A file is not from the future because another clock than nsview's was a little ahead.
func TestModifiedForPeople(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	for age, want := range map[time.Duration]string{
		0: "05:06:07", 23 * time.Hour: "05:06:07", -30 * time.Second: "05:06:07", -time.Hour: "Mar04",
		25 * time.Hour: "Mar04", -25 * time.Hour: "Mar04", 400 * 24 * time.Hour: "2026", -400 * 24 * time.Hour: "2026",
	} {
		if got := modifiedText(&at, age); got != want {
			t.Errorf("modified %v ago: %q, want %q", age, got, want)
		}
	}
	if got := modifiedText(nil, 0); got != "" {
		t.Errorf("an unknown time is %q", got)
	}
}

// Sizes are those of ls -lh, as far as the file system has such files.
func TestSizesForPeople(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for size := range sizesAround(40) {
		if err := os.Truncate(file, int64(size)); err != nil {
			t.Fatal(err)
		}
		ls := exec.Command("ls", "-lh", file)
		ls.Env = append(os.Environ(), "LC_ALL=C")
		out, err := ls.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := sizeText(&size), strings.Fields(string(out))[4]; got != want {
			t.Errorf("%d bytes are %q, ls has %q", size, got, want)
		}
	}
	for size, want := range map[uint64]string{
		1 << 50: "1.0P", 1<<60 - 1: "1.0E", 10 << 60: "10E", 1<<63 - 1: "8.0E", 1 << 63: "8.0E", 1<<63 + 1: "8.1E", math.MaxUint64: "16E",
	} {
		if got := sizeText(&size); got != want {
			t.Errorf("%d bytes are %q, want %q", size, got, want)
		}
	}
	if got := sizeText(nil); got != "" {
		t.Errorf("an unknown size is %q", got)
	}
}

// sizesAround are numbers below 2^bits near to which the text of a size changes.
func sizesAround(bits int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for unit := uint64(1); unit < 1<<bits; unit <<= 10 {
			for _, tenths := range []uint64{0, 10, 11, 15, 95, 99, 100, 105, 1000, 9990, 10225, 10230, 10235} {
				at := unit / 10 * tenths
				for n := max(at, 2) - 2; n <= at+12; n++ {
					if n < 1<<bits && !yield(n) {
						return
					}
				}
			}
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// outcome is how a run of nsview ended.
type outcome struct {
	code       int
	out        []byte
	complaints string
	took       time.Duration
	peak       int // of resident memory, in kB
}

// narrowly runs nsview with at most 256 open files.
func narrowly(t *testing.T, args ...string) *outcome {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `ulimit -n 256; exec nsview "$@"`, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), uncheckedEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &outcome{}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	for tick, late := time.Tick(2*time.Millisecond), time.After(5*time.Minute); ; {
		select {
		case <-tick:
			o.peak = max(o.peak, highWater(cmd.Process.Pid))
			continue
		case <-late:
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("nsview %s did not end in 5 minutes", strings.Join(args, " "))
		case <-ended:
		}
		break
	}
	o.code, o.out, o.complaints, o.took = cmd.ProcessState.ExitCode(), out.Bytes(), complaints.String(), time.Since(began)
	t.Logf("nsview %s: status %d in %d ms, %d MB at the peak, %d kB printed", strings.Join(args, " "), o.code, o.took.Milliseconds(), o.peak>>10, len(o.out)>>10)
	return o
}

// highWater is the most memory that nsview had resident until now, in kB; 0 before it is nsview.
func highWater(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if !bytes.HasPrefix(text, []byte("Name:\tnsview\n")) {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[0])
	return n
}

// scanning are the commands that look at the whole host. TARGET is a PID of the crowd.
var scanning = []string{
	"ps -A --source proc", "ps -A --source bpf", "ps TARGET", "ps --tree", "ns --source proc", "ns --source bpf", "ns --pins", "ns --tree", "map TARGET", "containers", "containers TARGET",
	"owner /etc/passwd", "owner -R /etc/ssl", "access TARGET /etc/passwd", "caps TARGET", "diff host TARGET", "doctor", "report", "graph --of uids", "snapshot", "snapshot --path TARGET:/etc/passwd",
}

// Every command answers, with 256 open files, on a host that has a great many of one thing.
func TestCrowds(t *testing.T) {
	proctest.NeedRoot(t)
	for _, crowd := range []struct {
		kind       string
		few, whole int
		dir        bool // that it is made in
		more       []string
		peak       int // MB that no command takes more of, at the whole size
	}{
		{kind: "containers", few: 300, whole: 2000, peak: 600},
		{kind: "mount-namespaces", few: 300, whole: 5000, peak: 900},
		{kind: "pins", few: 300, whole: 5000, dir: true, peak: 200},
		{kind: "extents", few: 30, whole: 500, peak: 600, more: []string{"map TARGET 5 100000", "ps -A -o json", "graph TARGET --of uids -o svg"}},
		{kind: "mounts", few: 1000, whole: 10_000, dir: true, peak: 200, more: []string{"owner -R --in TARGET DIR", "owner --in TARGET DIR/7", "access TARGET DIR/7/file create"}},
		{kind: "binds", few: 1000, whole: 10_000, dir: true, peak: 300, more: []string{"owner -R --in TARGET DIR", "owner --in TARGET DIR/source", "access TARGET DIR/7/file create"}},
	} {
		t.Run(crowd.kind, func(t *testing.T) {
			var args []string
			if crowd.dir {
				args = append(args, t.TempDir())
			}
			target := strconv.Itoa(startCrowd(t, crowd.kind, atSize(crowd.few, crowd.whole), args...))
			commands := append([]string{}, scanning...)
			if os.Getenv("NSVIEW_STRESS") == "" {
				commands = []string{"ps -A --source proc", "ns --pins", "map TARGET", "containers", "owner /etc/passwd", "owner -R /etc/ssl", "access TARGET /etc/passwd", "diff host TARGET", "doctor", "report", "snapshot"}
			}
			for _, command := range append(commands, crowd.more...) {
				command = strings.ReplaceAll(command, "TARGET", target)
				if crowd.dir {
					command = strings.ReplaceAll(command, "DIR", args[0])
				}
				o := narrowly(t, strings.Fields(command)...)
				if o.code < 0 || o.code == exitFailure || len(o.out) == 0 || strings.Contains(o.complaints+string(o.out), unix.EMFILE.Error()) {
					t.Errorf("nsview %s: status %d, %d bytes: %.500s", command, o.code, len(o.out), o.complaints)
				}
				if o.peak > crowd.peak<<10 {
					t.Errorf("nsview %s took %d MB", command, o.peak>>10)
				}
			}
		})
	}
}

// Nobody is lost while a container next to them is a fork bomb, and the answer takes no longer than what there is to read.
func TestForkBomb(t *testing.T) {
	needPIDLimit(t)
	steady := startCrowd(t, "containers", 50)
	ps := func(args ...string) map[int]bool {
		o := narrowly(t, append([]string{"ps", "-A", "-v", "--no-headers", "-O", "pid,ppid"}, args...)...)
		if o.code != exitOK {
			t.Fatalf("status %d: %.500s", o.code, o.complaints)
		}
		mine := shownChildren(t, o, steady)
		if gaps := strings.Count(o.complaints, "\n"); gaps > 100 {
			t.Errorf("ps %v: %d lines of what could not be read: %.500s", args, gaps, o.complaints)
		}
		return mine
	}
	before := ps()
	if len(before) != 50 {
		t.Fatalf("%d of 50 processes are seen in peace", len(before))
	}
	startCrowd(t, "bomb", atSize(400, 3000))
	for range atSize(1, 5) {
		for _, source := range []string{"proc", "bpf", "auto"} {
			if during := ps("--source", source); len(during) != len(before) {
				t.Errorf("--source %s: %d of %d processes are seen beside a fork bomb", source, len(during), len(before))
			}
		}
		if o := narrowly(t, "ns"); o.code != exitOK {
			t.Errorf("ns: status %d: %.300s", o.code, o.complaints)
		}
	}
}

// A directory of very many entries costs no more memory than another, and its end is not waited for after an interrupt.
func TestHugeDirectory(t *testing.T) {
	dir, n := t.TempDir(), atSize(30_000, 1_000_000)
	pid := strconv.Itoa(startCrowd(t, "files", n, dir))
	o := narrowly(t, "owner", "-R", "--in", pid, dir, "-o", "json")
	var sum struct {
		Trees []struct{ Files int }
	}
	if err := json.Unmarshal(o.out, &sum); err != nil || o.code != exitOK || len(sum.Trees) != 1 || sum.Trees[0].Files != n+1 {
		t.Errorf("status %d, %v, %+v: %.300s", o.code, err, sum, o.complaints)
	}
	if o.peak > 36<<10 { // of which the tests that are in this binary are 10 MB
		t.Errorf("it took %d MB", o.peak>>10)
	}
	if o := narrowly(t, "access", pid, dir+"/7", "read"); o.code != exitOK || o.peak > 48<<10 {
		t.Errorf("access: status %d, %d MB: %.300s", o.code, o.peak>>10, o.complaints)
	}
	cmd := exec.Command("nsview", "owner", "-R", "--in", pid, dir, "-o", "json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !proctest.Within(20*time.Second, func() bool { return opened(cmd.Process.Pid, dir) }) {
		t.Fatal("it does not read the directory")
	}
	took := signalled(t, cmd, syscall.SIGTERM)
	if code := cmd.ProcessState.ExitCode(); code != exitOK && (code != exitInterrupted || !strings.Contains(out.String(), `"partial": true`)) {
		t.Errorf("status %d: %s", code, out.String())
	}
	if took > promptEnough {
		t.Errorf("it ended %v after the signal", took)
	}
	t.Logf("status %d, %d ms after SIGTERM", cmd.ProcessState.ExitCode(), took.Milliseconds())
}

// A tree that is deeper than a path may be long is walked to its end.
func TestDeepTree(t *testing.T) {
	dir, n := t.TempDir(), atSize(200, 2000) // of 100 bytes
	pid := strconv.Itoa(startCrowd(t, "deep", n, dir))
	o := narrowly(t, "owner", "-R", "--in", pid, dir, "-o", "json")
	if !strings.Contains(string(o.out), fmt.Sprintf(`"files": %d,`, n+1)) || o.code != exitOK || o.peak > 32<<10 {
		t.Errorf("status %d, %d MB: %s %.300s", o.code, o.peak>>10, o.out, o.complaints)
	}
	for _, args := range [][]string{{"doctor", pid}, {"snapshot", "--volumes"}} {
		if o := narrowly(t, args...); o.code == exitFailure || o.code < 0 {
			t.Errorf("%v: status %d: %.300s", args, o.code, o.complaints)
		}
	}
}

// Where no PIDs are left but a few, nsview still answers: it needs one for itself and for each of its threads, which are
// threads of the Go runtime. Where it does not get these, the runtime ends it and says so, with status 2.
func TestNoPIDsLeft(t *testing.T) {
	needPIDLimit(t)
	for _, room := range []int{12, 8, 6, 4, 2, 1} {
		for _, command := range []string{"ps -A --source proc", "ns", "owner /etc/passwd", "doctor"} {
			inFull(t, 400, room, command)
		}
	}
}

// inFull runs nsview in a PID namespace that is full but for room PIDs, and is what it printed.
func inFull(t *testing.T, limit, room int, command string) string {
	t.Helper()
	cmd := exec.Command("crowd", append([]string{"full", strconv.Itoa(room), t.TempDir(), strconv.Itoa(limit), "nsview"}, strings.Fields(command)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	timer := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Run()
	timer.Stop()
	code := cmd.ProcessState.ExitCode()
	switch noThread := strings.Contains(complaints.String(), "failed to create new OS thread"); {
	case code < 0:
		t.Errorf("room for %d: %s did not end in 5 minutes", room, command)
	case room >= 12 && (code == exitFailure || out.Len() == 0), code == exitFailure && !noThread:
		t.Errorf("room for %d: %s: status %d: %.300s", room, command, code, complaints.String())
	}
	t.Logf("room for %d: %s: status %d, %d bytes; %.100s", room, command, code, out.Len(), complaints.String())
	return out.String()
}

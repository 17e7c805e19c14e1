package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// With a PID namespace at its pid_max none of its processes is lost, neither from outside, where there are more processes
// than that, nor inside.
func TestPIDMaxReached(t *testing.T) {
	needPIDLimit(t)
	limit := min(atSize(600, 32_000), freePIDs(t)-2000) // which others of this host may need meanwhile
	t.Run("outside", func(t *testing.T) { pidMaxOutside(t, limit) })
	if n := strings.Count(inFull(t, limit, 12, "ps -A --source proc --no-headers -O comm"), "crowd\n"); n < limit-100 {
		t.Errorf("inside, %d processes are seen of %d", n, limit)
	}
}

// pidMaxOutside looks from outside at a PID namespace that is full.
func pidMaxOutside(t *testing.T, limit int) {
	crowd := startCrowd(t, "pids", limit)
	want := childrenOf(t, crowd)
	if len(want) < limit-100 {
		t.Fatalf("%d processes in a PID namespace of at most %d", len(want), limit)
	}
	for _, source := range []string{"proc", "bpf", "auto"} {
		o := narrowly(t, "ps", "-A", "--no-headers", "-O", "pid,ppid", "--source", source)
		if got := shownChildren(t, o, crowd); o.code != exitOK || len(got) != len(want) {
			t.Errorf("--source %s: status %d, %d of %d processes: %.300s", source, o.code, len(got), len(want), o.complaints)
		}
	}
	for _, command := range []string{"ps -A -o json", "ns -o json", "containers", "owner /etc/passwd", "doctor", "snapshot"} {
		o := narrowly(t, strings.Fields(command)...)
		if o.code < 0 || o.code == exitFailure || len(o.out) == 0 || o.peak > 150<<10 {
			t.Errorf("%s: status %d, %d bytes, %d MB: %.300s", command, o.code, len(o.out), o.peak>>10, o.complaints)
		}
		if n := bytes.Count(o.out, []byte(`"comm": "crowd"`)); command == "snapshot" && n < len(want) {
			t.Errorf("snapshot has %d of %d processes", n, len(want))
		}
	}
}

// freePIDs is how many PIDs this host has left, which the processes of every PID namespace take one of.
func freePIDs(t *testing.T) int {
	t.Helper()
	var limit, used int
	text, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err == nil {
		limit, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		t.Fatal(err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, tasks, _ := strings.Cut(string(load), "/")
		_, err = fmt.Sscan(tasks, &used)
	}
	if err != nil {
		t.Fatal(err)
	}
	return limit - used
}

// childrenOf are the children of a process, as the kernel lists them by the thread that made them.
func childrenOf(t *testing.T, pid int) map[int]bool {
	t.Helper()
	children := map[int]bool{}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(text)) {
			child, _ := strconv.Atoi(field)
			children[child] = true
		}
	}
	return children
}

// shownChildren are the children of a process in a table of the columns pid and ppid.
func shownChildren(t *testing.T, o *outcome, parent int) map[int]bool {
	t.Helper()
	children := map[int]bool{}
	for line := range strings.Lines(string(o.out)) {
		var pid, ppid int
		if _, err := fmt.Sscan(line, &pid, &ppid); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if ppid == parent {
			children[pid] = true
		}
	}
	return children
}

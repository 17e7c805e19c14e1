package trace_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

// tracer is an open source and what it has told.
type tracer struct {
	t      *testing.T
	source trace.Source
	cancel context.CancelFunc
	done   chan error

	mu   sync.Mutex
	list []*events.Event
}

func start(t *testing.T) *tracer {
	t.Helper()
	proctest.NeedRoot(t)
	source, err := trace.OpenBPF(trace.Options{})
	proctest.Need(t, "bpf", err == nil, fmt.Sprint(err))
	return startSource(t, source)
}

func startSource(t *testing.T, source trace.Source) *tracer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tr := &tracer{t: t, source: source, cancel: cancel, done: make(chan error, 1)}
	go func() {
		tr.done <- source.Run(ctx, func(e *events.Event) error {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.list = append(tr.list, e)
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// stop ends the trace; what is left is what the processes of those PIDs did and all that come from them. Nothing may be lost.
func (tr *tracer) stop(pids ...int) []*events.Event {
	tr.t.Helper()
	tr.cancel()
	if err := <-tr.done; err != nil {
		tr.t.Fatal(err)
	}
	lost, err := tr.source.Lost()
	if err != nil || lost.Events != 0 {
		tr.t.Fatalf("lost %+v: %v", lost, err)
	}
	f := events.Follow(pids...)
	var list []*events.Event
	for _, e := range tr.list {
		if slices.Contains(pids, e.Args.Child) { // its birth would tell that its PID is somebody else now
			continue
		}
		if f.Wants(e) {
			list = append(list, e)
		}
	}
	return list
}

// until waits until n such events have been read.
func (tr *tracer) until(n int, what string, ok func(*events.Event) bool) {
	tr.t.Helper()
	enough := func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		found := 0
		for _, e := range tr.list {
			if ok(e) {
				found++
			}
		}
		return found >= n
	}
	if !proctest.Within(20*time.Second, enough) {
		tr.t.Fatalf("not %d events: %s", n, what)
	}
}

// command starts a program that runs until the test ends, or by itself.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd
}

// find is the one event that ok chooses.
func find(t *testing.T, list []*events.Event, what string, ok func(*events.Event) bool) *events.Event {
	t.Helper()
	var found *events.Event
	for _, e := range list {
		if ok(e) {
			if found != nil {
				t.Fatalf("two events: %s:\n%s\n%s", what, found.Text(), e.Text())
			}
			found = e
		}
	}
	if found == nil {
		t.Fatalf("no event: %s, of\n%s", what, texts(list))
	}
	return found
}

func texts(list []*events.Event) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%d %d %q %s\n", e.PID, e.InsidePID, e.Comm, e.Text())
	}
	return b.String()
}

// namespaces are those of a process as /proc has them.
func namespaces(t *testing.T, pid int) nsinspect.NamespaceSet {
	t.Helper()
	of := func(name string) nsinspect.Inode {
		var st unix.Stat_t
		if err := unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/"+name, &st); err != nil {
			t.Fatalf("%s of %d: %v", name, pid, err)
		}
		return nsinspect.Inode(st.Ino)
	}
	return nsinspect.NamespaceSet{
		User: of("user"), PID: of("pid"), PIDForChildren: of("pid_for_children"), Mnt: of("mnt"), Net: of("net"), UTS: of("uts"),
		IPC: of("ipc"), Cgroup: of("cgroup"), Time: of("time"), TimeForChildren: of("time_for_children"),
	}
}

package trace_test

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

func startPerf(t *testing.T) *tracer {
	t.Helper()
	proctest.NeedRoot(t)
	source, err := trace.OpenPerf()
	proctest.Need(t, "tracefs", err == nil, fmt.Sprint(err))
	return startSource(t, source)
}

// Tracepoints by perf_event_open(2) tell of the very same processes what BPF programs tell, as far as they tell it. What they do
// not know they call unknown: never another thing.
func TestPerfSeesWhatBPFSees(t *testing.T) {
	for _, argv := range [][]string{
		{"/usr/bin/unshare", "-Urpf", "--mount-proc", "/usr/bin/unshare", "-n", "sh", "-c", "sleep 0.05; true; exit 3"},
		{"/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs x /mnt; umount /mnt; umount /nowhere; chroot / true"},
		{"/usr/bin/setpriv", "--reuid=12345", "--regid=12345", "--groups=1,2", "unshare", "-U", "sh", "-c", "sleep 0.05; unshare -n true"},
		{"/bin/sh", "-c", "sh -c 'kill -KILL $$'; nsenter --net=/proc/self/ns/net true; (sleep 0.05; true) & wait"},
		{"/usr/bin/unshare", "-n", "-u", "-i", "-C", "-T", "sh", "-c", "sleep 0.05 & wait"},
	} {
		bpf, perf := start(t), startPerf(t)
		cmd := exec.Command(argv[0], argv[1:]...)
		_ = cmd.Run() // some of them fail on purpose
		ended := func(e *events.Event) bool { return e.Type == events.Exit && e.PID == cmd.Process.Pid }
		bpf.until(1, "the end", ended)
		perf.until(1, "the end", ended)
		want, got := bpf.stop(cmd.Process.Pid), perf.stop(cmd.Process.Pid)
		var told []*events.Event
		for _, e := range want {
			if e.Type != events.Map { // writes are not told
				told = append(told, e)
			}
		}
		if len(got) < 6 {
			t.Errorf("%q: only %d events:\n%s", argv, len(got), texts(got))
		}
		if len(told) != len(got) {
			t.Fatalf("%q: BPF %d events, perf %d:\n%s\n%s", argv, len(told), len(got), texts(told), texts(got))
		}
		known := 0
		order := byProcess(got)
		for pid, list := range byProcess(told) {
			for i, e := range list {
				if i >= len(order[pid]) {
					t.Errorf("%q: perf does not tell\n%s", argv, texts(list[i:]))
					break
				}
				known += sameEvent(t, e, order[pid][i])
			}
		}
		if known < len(got) {
			t.Errorf("%q: of %d events only %d namespaces are known:\n%s", argv, len(got), known, texts(got))
		}
	}
}

func byProcess(list []*events.Event) map[int][]*events.Event {
	of := map[int][]*events.Event{}
	for _, e := range list {
		of[e.PID] = append(of[e.PID], e)
	}
	return of
}

// sameEvent compares what perf knows, and counts the namespaces.
func sameEvent(t *testing.T, bpf, perf *events.Event) (known int) {
	t.Helper()
	line := func(e *events.Event) string {
		return fmt.Sprintf("%d %q %s %q %q %d %s", e.TID, e.Comm, e.Name, e.Flags, e.Args.Name, e.Result, e.Errno)
	}
	if perf.Name == "clone3" && perf.Failed() || perf.Args.Unread && perf.Name != "exec" && perf.Name != "prctl" {
		bpf.Flags, perf.Flags = nil, nil // they may be behind a pointer
	}
	if diff := cmp.Diff(line(bpf), line(perf)); diff != "" {
		t.Errorf("-BPF +perf:\n%s", diff)
	}
	if perf.Type == events.Exec && !perf.Failed() {
		if bpf.Args.Path != perf.Args.Path || perf.Args.Argv != nil && !cmp.Equal(bpf.Args.Argv, perf.Args.Argv) {
			t.Errorf("%s, not %s", perf.Text(), bpf.Text())
		}
	}
	for what, pair := range map[string][2]int{
		"inside": {bpf.InsidePID, perf.InsidePID}, "parent": {bpf.PPID, perf.PPID}, "child": {bpf.Args.Child, perf.Args.Child},
		"child inside": {bpf.Args.ChildInside, perf.Args.ChildInside}, "child's parent": {bpf.Args.ChildParent, perf.Args.ChildParent},
	} {
		if pair[1] != 0 && pair[0] != pair[1] {
			t.Errorf("%s: %s is %d, not %d", perf.Text(), what, pair[1], pair[0])
		}
	}
	if perf.UID.Real != 1<<32-1 && (perf.UID != bpf.UID || perf.GID != bpf.GID) {
		t.Errorf("%s: ids %v %v, not %v %v", perf.Text(), perf.UID, perf.GID, bpf.UID, bpf.GID)
	}
	for _, pair := range [][2]nsinspect.NamespaceSet{{bpf.Before, perf.Before}, {bpf.Namespaces, perf.Namespaces}} {
		for _, kind := range nsinspect.Types() {
			is, told := pair[0].Of(kind), pair[1].Of(kind)
			switch {
			case told == 0:
			case told != is:
				t.Errorf("%s: %s:%v, not %v", perf.Text(), kind, told, is)
			default:
				known++
			}
		}
		for _, children := range [][2]nsinspect.Inode{{pair[0].PIDForChildren, pair[1].PIDForChildren}, {pair[0].TimeForChildren, pair[1].TimeForChildren}} {
			if children[1] != 0 && children[0] != children[1] {
				t.Errorf("%s: %v for children, not %v", perf.Text(), children[1], children[0])
			}
		}
	}
	if bpf.Args.Status != nil && perf.Args.Status != nil && *bpf.Args.Status != *perf.Args.Status || bpf.Args.Signal != "" && perf.Args.Status != nil {
		t.Errorf("%s, not %s", perf.Text(), bpf.Text())
	}
	return known
}

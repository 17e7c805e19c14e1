package procscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

func fakeNamespaces(user uint64) map[string]uint64 {
	return map[string]uint64{
		"user": user, "pid": 11, "mnt": 12, "net": 13, "uts": 14, "ipc": 15, "cgroup": 16, "time": 17,
		"pid_for_children": 18, "time_for_children": 19,
	}
}

func TestScanFake(t *testing.T) {
	tree := proctest.NewTree(t)
	tree.Add(proctest.Process{
		PID: 300, PPID: 20, PIDs: []int{300, 5}, Comm: "a)\nb", Args: []string{"a", "", "b\n"}, StartTime: 77,
		UID: [4]uint32{1, 2, 3, 4}, GID: [4]uint32{5, 6, 7, 8}, Groups: []uint32{9, 10}, Namespaces: fakeNamespaces(100),
		UIDMap: "0 1000 1\n", GIDMap: "0 1000 1\n", Setgroups: "deny", Cgroup: "0::/x\n", Root: "/srv",
	})
	tree.Add(proctest.Process{PID: 20, Comm: "b", Namespaces: fakeNamespaces(100), UIDMap: "0 1000 1\n", GIDMap: "0 1000 1\n", Setgroups: "deny"})
	tree.Add(proctest.Process{PID: 3, Comm: "c", Namespaces: fakeNamespaces(101), UIDMap: "0 1000 1\n", GIDMap: "0 1000 1\n"})
	tree.File("uptime", "1 1\n")
	tree.File("0/stat", "no PID is 0")

	snap, err := Scan(t.Context(), Options{Proc: tree.Dir, Facts: Args})
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Processes) != 3 || snap.Processes[0].PID != 3 || snap.Processes[1].PID != 20 || snap.Processes[2].PID != 300 {
		t.Fatalf("processes %+v", snap.Processes)
	}
	got := snap.Processes[2]
	if snap.IDMaps[got.IDMaps].UserNS != 100 || got.IDMaps != snap.Processes[1].IDMaps || got.IDMaps == snap.Processes[0].IDMaps {
		t.Errorf("id maps %+v; processes have %d, %d, %d", snap.IDMaps, snap.Processes[0].IDMaps, snap.Processes[1].IDMaps, got.IDMaps)
	}
	got.IDMaps = 0
	want := nsinspect.Process{
		PID: 300, PPID: 20, PIDs: []int{300, 5}, Comm: "a)\nb", Args: []string{"a", "", "b\n"}, State: "S", StartTime: 77,
		Cred: nsinspect.Credentials{
			UID: nsinspect.IDs{Real: 1, Effective: 2, Saved: 3, FS: 4}, GID: nsinspect.IDs{Real: 5, Effective: 6, Saved: 7, FS: 8},
			Groups: []idmap.Kernel{9, 10}, CapPrm: 1<<41 - 1, CapEff: 1<<41 - 1, CapBnd: 1<<41 - 1, Umask: 0o22,
		},
		Namespaces: nsinspect.NamespaceSet{
			User: 100, PID: 11, Mnt: 12, Net: 13, UTS: 14, IPC: 15, Cgroup: 16, Time: 17, PIDForChildren: 18, TimeForChildren: 19,
		},
		Cgroup: "/x", MountTable: -1, Names: -1, Container: -1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(snap.Gaps) != 0 {
		t.Errorf("gaps %+v", snap.Gaps)
	}
	if snap.Observer.PID != 0 || snap.Observer.ProcPIDNS != 11 {
		t.Errorf("a procfs without the observer: PID %d, shows PID namespace %d", snap.Observer.PID, snap.Observer.ProcPIDNS)
	}

	snap, err = Scan(t.Context(), Options{Proc: tree.Dir, PIDs: []int{300, 3, 300, 4}})
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Processes) != 2 || snap.Processes[0].PID != 3 || snap.Processes[1].Args != nil {
		t.Errorf("chosen processes: %+v", snap.Processes)
	}
}

// A row is marked, never dropped: a file that says nonsense is a gap.
func TestScanFakeNonsense(t *testing.T) {
	for _, tt := range []struct{ file, content, fact, why string }{
		{"status", "Uid:\tx\n", "status", "field 1"},
		{"stat", "7 (x) S\n", "stat", "3 fields"},
		{"uid_map", "0 oops 10\n", "uid_map", "line 1"},
		{"cgroup", "nonsense\n", "cgroup", "line 1"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			tree := proctest.NewTree(t)
			tree.Add(proctest.Process{PID: 7, Comm: "x", Namespaces: fakeNamespaces(100)})
			tree.File("7/"+tt.file, tt.content)
			snap, err := Scan(t.Context(), Options{Proc: tree.Dir})
			if err != nil {
				t.Fatal(err)
			}
			if len(snap.Processes) != 1 || snap.Processes[0].Namespaces.User != 100 {
				t.Errorf("processes %+v", snap.Processes)
			}
			if len(snap.Gaps) != 1 || snap.Gaps[0].PID != 7 || snap.Gaps[0].Fact != tt.fact || !strings.Contains(snap.Gaps[0].Error, tt.why) {
				t.Errorf("gaps %+v, want one of %s with %q", snap.Gaps, tt.fact, tt.why)
			}
			if tt.file == "status" && snap.Processes[0].Cred.UID.Effective.Mapped() {
				t.Errorf("an unknown uid became %v", snap.Processes[0].Cred.UID.Effective)
			}
		})
	}
}

func TestScanFails(t *testing.T) {
	if _, err := Scan(t.Context(), Options{Proc: "/nonexistent"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// PIDs that are used anew again and again during scans: a row is of one process, whole, and there are no gaps.
func TestScanFakeReuse(t *testing.T) {
	tree := proctest.NewTree(t)
	const pids = 8
	fake := func(pid, generation int) proctest.Process {
		n := uint32(generation)
		return proctest.Process{
			PID: pid, Comm: fmt.Sprint("g", n), Args: []string{fmt.Sprint("g", n)}, StartTime: uint64(n), UID: [4]uint32{n, n, n, n},
			GID: [4]uint32{n, n, n, n}, Namespaces: fakeNamespaces(uint64(n)), Cgroup: fmt.Sprintf("0::/g%d\n", n),
			UIDMap: fmt.Sprintf("0 %d 1\n", n),
		}
	}
	tree.Add(fake(99, 99)) // which stays
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for pid := 100; pid < 100+pids; pid++ {
		wg.Go(func() {
			for generation := pid; ; generation++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := tree.Put(fake(pid, generation)); err != nil {
					t.Error(err)
					return
				}
				if generation%3 == 0 {
					if err := tree.Remove(pid); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	rows := 0
	for range 300 {
		snap, err := Scan(t.Context(), Options{Proc: tree.Dir, Facts: Args})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range snap.Gaps {
			t.Fatalf("gap %+v", g)
		}
		for _, p := range snap.Processes {
			rows++
			n := p.StartTime
			// A namespace that was seen before keeps the maps that were read first: they are of the same generation.
			want := fmt.Sprint("g", n)
			if p.Comm != want || uint64(p.Cred.UID.FS) != n || uint64(p.Namespaces.User) != n || p.Cgroup != "/"+want ||
				len(p.Args) > 0 && p.Args[0] != want || uint64(snap.IDMaps[p.IDMaps].UID[0].Outside) != n {
				t.Fatalf("a row of two processes: %+v", p)
			}
		}
	}
	if rows == 300 {
		t.Error("no row but that of the process which stays was ever seen")
	}
}

// A process that is ending has left its root and its namespaces before it is a zombie, for as long as that takes it. A
// tree without these links stands for it.
func TestScanFakeEnding(t *testing.T) {
	tree := proctest.NewTree(t)
	tree.Add(proctest.Process{PID: 1, Comm: "ending", State: "S", Namespaces: map[string]uint64{"user": 100, "pid": 101}})
	if err := os.Remove(filepath.Join(tree.Dir, "1", "root")); err != nil {
		t.Fatal(err)
	}
	snap, err := Scan(t.Context(), Options{Proc: tree.Dir, Facts: Mounts | Names, HostRoot: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := snap.Process(1)
	if p == nil || p.Comm != "ending" || p.Namespaces.User != 100 || p.Namespaces.Mnt != 0 || p.Root != "" {
		t.Errorf("%+v", p)
	}
	if gaps := gapsOf(snap, 1); len(gaps) > 0 {
		t.Errorf("gaps %+v", gaps)
	}
}

// A process whose command line cannot be read for now (its memory is locked while it waits for a dead file server)
// costs one deadline and one gap. A pipe that never ends stands for it.
func TestScanFakeHangingArgs(t *testing.T) {
	tree := proctest.NewTree(t)
	const hanging = 5
	for pid := 1; pid <= 50; pid++ {
		tree.Add(proctest.Process{PID: pid, Comm: "x", Args: []string{"x"}, Namespaces: fakeNamespaces(100)})
		if pid > hanging {
			continue
		}
		name := filepath.Join(tree.Dir, strconv.Itoa(pid), "cmdline")
		if err := errors.Join(os.Remove(name), unix.Mkfifo(name, 0o600)); err != nil {
			t.Fatal(err)
		}
		pipe, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pipe.Close() })
	}
	start := time.Now()
	snap, err := Scan(t.Context(), Options{Proc: tree.Dir, Facts: Args})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 2*argsDeadline {
		t.Errorf("took %v", took)
	}
	if len(snap.Processes) != 50 {
		t.Errorf("%d processes", len(snap.Processes))
	}
	for _, p := range snap.Processes {
		if want := p.PID > hanging; want != (len(p.Args) == 1) || p.Namespaces.User != 100 {
			t.Errorf("PID %d: args %q, namespaces %+v", p.PID, p.Args, p.Namespaces)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start = time.Now()
	if _, err := Scan(ctx, Options{Proc: tree.Dir, Facts: Args}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > argsDeadline/2 {
		t.Errorf("cancelled after 300 ms: %v after %v", err, time.Since(start))
	}
	if len(snap.Gaps) != hanging || snap.Gaps[hanging-1].PID != hanging || snap.Gaps[0].Fact != "cmdline" {
		t.Errorf("gaps %+v", snap.Gaps)
	}
}

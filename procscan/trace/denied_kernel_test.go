package trace_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

// Threads that are refused at once, more often than there is place for, have each their own path and capabilities; what was
// seen and what was lost are all.
func TestBPFDeniedManyAtOnce(t *testing.T) {
	proctest.NeedRoot(t)
	source, err := trace.OpenBPF(trace.Options{Denied: true})
	proctest.Need(t, "bpf", err == nil, fmt.Sprint(err))
	const threads, each = 16, 2000
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{} // what a thread is refused
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range threads {
		dir := fmt.Sprintf("%s/%d", root, i)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(dir+"/file", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			runtime.LockOSThread() // and its directory and its user end with it
			if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chdir(dir), unix.Setfsuid(12345)); err != nil {
				t.Error(err)
				return
			}
			call, refused := func() error { return unix.Chmod("file", 0o644) }, "EPERM [CAP_FOWNER]"
			if i%2 == 1 {
				call = func() error { _, err := unix.Open("file", unix.O_RDONLY, 0); return err }
				refused = "EACCES [CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE]"
			}
			mu.Lock()
			want[unix.Gettid()] = dir + "/file " + refused
			mu.Unlock()
			for range each {
				if err := call(); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	tr := startSource(t, source) // only now somebody reads
	tr.cancel()
	if err := <-tr.done; err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range tr.list {
		if e.Type != events.Denied || want[e.TID] == "" {
			continue
		}
		seen++
		if got := fmt.Sprint(e.Args.Path, " ", e.Errno, " ", e.Denial.Refused); got != want[e.TID] || !slices.Contains(e.Denial.Check, "inode_permission") && e.Errno == "EACCES" {
			t.Fatalf("%s by %v, want %s", got, e.Denial.Check, want[e.TID])
		}
	}
	lost, err := source.Lost()
	if err != nil || seen == 0 || seen == threads*each || lost.Events < uint64(threads*each-seen) {
		t.Errorf("%d of %d seen, lost %+v: %v", seen, threads*each, lost, err)
	}
}

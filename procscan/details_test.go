package procscan

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/procscan/proctest"
)

// A process whose details are read afterwards is the one that a scan with them shows, and one that ended in between is
// told to be gone.
func TestDetailsAreThoseOfAScan(t *testing.T) {
	pid := park(t, []string{"unshare", "-Urm"}, "")
	if !proctest.Within(10*time.Second, func() bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		return err == nil && string(b) == "cat\n" // what it stays
	}) {
		t.Fatal("it did not become cat")
	}
	brief := exec.Command("cat")
	stdin, err := brief.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := brief.Start(); err != nil {
		t.Fatal(err)
	}
	const facts = Names | Args
	o := Options{PIDs: []int{pid, brief.Process.Pid}}
	s, err := Scan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Process(pid).Args != nil || s.Process(pid).Names >= 0 {
		t.Fatalf("details that were not asked for: %+v", s.Process(pid))
	}
	_ = stdin.Close()
	if err := brief.Wait(); err != nil {
		t.Fatal(err)
	}
	o.Facts = facts
	gone, err := Details(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gone, []int{brief.Process.Pid}) {
		t.Errorf("gone: %v, want %d", gone, brief.Process.Pid)
	}
	all, err := Scan(t.Context(), Options{PIDs: []int{pid}, Facts: facts})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Process(pid).Args) == 0 {
		t.Error("no command line")
	}
	if diff := cmp.Diff(plain(all, all.Process(pid)), plain(s, s.Process(pid))); diff != "" {
		t.Errorf("process (-scan +details):\n%s", diff)
	}
	if diff := cmp.Diff(all.Names[0], s.Names[0]); diff != "" {
		t.Errorf("the host's names (-scan +details):\n%s", diff)
	}
}

package procscan

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// 200 processes that fork and die while scans run: no error, no gap that was not there before, no torn row.
func TestScanChurn(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c",
		// Each is a program of its own: the children of one shell would queue for the locks of the memory they share.
		`for i in $(seq 200); do sh -c 'while :; do (:); sleep 0.2; done' & done; echo ready; wait`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL); _ = cmd.Wait() })
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	own := find(t, scanFacts(t, 0), os.Getpid())
	seen := 0
	for range 8 {
		snap := scanFacts(t, Args|Threads|Mounts)
		of := map[int]bool{cmd.Process.Pid: true}
		for i := range snap.Processes {
			p := &snap.Processes[i]
			if !of[p.PPID] {
				continue
			}
			of[p.PID] = true
			seen++
			want := own.Namespaces
			if p.State == "Z" || p.Namespaces.Mnt == 0 && ends(t, p) {
				want = nsinspect.NamespaceSet{User: want.User, PID: want.PID, PIDForChildren: p.Namespaces.PIDForChildren}
			}
			if p.Namespaces != want || !cmp.Equal(p.Cred.UID, own.Cred.UID) || p.State == "" || p.StartTime == 0 {
				t.Fatalf("torn row: %+v", p)
			}
			// A machine that is busy enough lets nobody at the memory of a process that forks for five seconds.
			busy := func(g nsinspect.Gap) bool { return g.Fact == "cmdline" && g.Error == errArgsHang.Error() }
			if gaps := slices.DeleteFunc(gapsOf(snap, p.PID), busy); len(gaps) > 0 {
				t.Fatalf("gaps %+v", gaps)
			}
		}
	}
	if seen < 200 {
		t.Errorf("only %d rows were of the churning processes", seen)
	}
}

// ends reports whether a process that has left its namespaces is on its way out: between exit_task_namespaces() and being
// a zombie it is still called running.
func ends(t testing.TB, p *nsinspect.Process) bool {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d has ended", p.PID), func() bool {
		snap, err := Scan(t.Context(), Options{PIDs: []int{p.PID}})
		if err != nil {
			t.Fatal(err)
		}
		now := snap.Process(p.PID)
		return now == nil || now.StartTime != p.StartTime || now.State == "Z" || now.State == "X"
	})
	return true
}

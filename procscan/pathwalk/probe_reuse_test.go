package pathwalk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// reuse makes process 77 in a PID namespace of its own, and another 77 when that one has been killed: in there nobody
// else takes a PID (/proc/sys/kernel/ns_last_pid, Linux 3.3).
const reuse = `set -e
exec 9<&0
last=/proc/sys/kernel/ns_last_pid
echo 76 >$last; env -- sleep 3600 </dev/null & test $! = 77
echo first; read x
kill -9 77; wait 77 2>/dev/null || true
echo 76 >$last; env -- cat <&9 >/dev/null & test $! = 77
echo second; wait`

// TestProbeReusedPID: what was asked about one process is not answered with another that has its PID now.
func TestProbeReusedPID(t *testing.T) {
	proctest.NeedRoot(t)
	cmd := exec.CommandContext(t.Context(), "unshare", "-pf", "--mount-proc", "--kill-child", "sh", "-c", reuse)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	proctest.Need(t, "ns_last_pid", err == nil && line == "first\n", fmt.Sprintf("said %q, %v", line, err))

	host, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Graph})
	if err != nil {
		t.Fatal(err)
	}
	inner := 0
	for i := range host.Processes {
		if host.Processes[i].PPID == cmd.Process.Pid {
			inner = host.Processes[i].PID
		}
	}
	proc := fmt.Sprintf("/proc/%d/root/proc", inner)
	snap, err := procscan.Scan(t.Context(), procscan.Options{Proc: proc, Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	asked, late := probeAt(t, snap, proc), probeAt(t, snap, proc)
	s, err := asked.Process(t.Context(), 77, "77")
	if err != nil {
		t.Fatal(err)
	}
	lookup := access.Operation{Op: access.OpLookup}
	if _, err := asked.Walk(t.Context(), s, lookup, "/"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "x\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); line != "second\n" {
		t.Fatalf("said %q, %v", line, err)
	}
	for name, p := range map[string]*Prober{"a prober that was asked before": asked, "one that was not": late} {
		if s, err := p.Process(t.Context(), 77, "77"); !errors.Is(err, unix.ESRCH) {
			t.Errorf("%s: the credentials of %+v, %v", name, s, err)
		}
		if _, err := p.Walk(t.Context(), s, lookup, "/"); !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s: a walk of another process: %v", name, err)
		}
	}
	// Whoever has the PID in a new picture is meant by it.
	snap, err = procscan.Scan(t.Context(), procscan.Options{Proc: proc, Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := probeAt(t, snap, proc).Process(t.Context(), 77, "77"); err != nil {
		t.Error(err)
	}
}

func probeAt(t *testing.T, snap *nsinspect.Snapshot, proc string) *Prober {
	t.Helper()
	p, err := NewProber(snap, proc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

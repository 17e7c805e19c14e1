package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// Interrupted, ps prints what it knows, says that it is not all, and ends with the status of an interrupt.
func TestPSInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, format := range []string{"table", "json", "jsonl"} {
		var out, complaints bytes.Buffer
		code := run(ctx, []string{"nsview", "ps", "-A", "-o", format}, strings.NewReader(""), &out, &complaints)
		if said := strings.Contains(out.String()+complaints.String(), "interrupted"); code != exitInterrupted || !said {
			t.Errorf("-o %s: status %d, printed %q and %q", format, code, out.String(), complaints.String())
		}
	}
}

// With more containers than descriptors everything is still told: what is read of one is closed before the next.
func TestMoreContainersThanDescriptors(t *testing.T) {
	proctest.NeedRoot(t)
	pids := map[string]bool{}
	for range 150 {
		cmd := exec.CommandContext(t.Context(), "cat")
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100_000, Size: 65_536}}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, Pdeathsig: syscall.SIGKILL,
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
		pids[fmt.Sprint(cmd.Process.Pid)] = false
	}
	for _, args := range []string{"ps -A", "owner /etc/passwd", "owner -R /etc", "ns --pins", "doctor", "snapshot -o json"} {
		var complaints strings.Builder
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "ulimit -n 128; exec nsview "+args)
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if cmd.ProcessState.ExitCode() == exitFailure || len(out) == 0 {
			t.Errorf("%s: %v: %s", args, err, complaints.String())
		}
		if strings.Contains(string(out)+complaints.String(), unix.EMFILE.Error()) {
			t.Errorf("%s: %.300q, %.300q", args, out, complaints.String())
		}
		if args != "ps -A" {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			if pid, _, _ := strings.Cut(lines.Text(), " "); pid != "" {
				delete(pids, pid)
			}
		}
		if len(pids) > 0 {
			t.Errorf("ps -A lacks %d of them: %.300q", len(pids), out)
		}
	}
}

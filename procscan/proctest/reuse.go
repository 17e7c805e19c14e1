package proctest

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

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

// ReusedPID makes a PID namespace by unshare(1) with those options, in which process 77 is a sleep. again kills that one and
// has process 77 be a cat. pid is the unshare: its only child is PID 1 in there. The second starts in another clock tick:
// within one, start times do not tell the two apart.
func ReusedPID(t testing.TB, options string) (pid int, again func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "unshare", options, "--mount-proc", "--kill-child", "sh", "-c", reuse)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	in, lines := Start(t, cmd)
	line, err := lines.ReadString('\n')
	Need(t, "ns_last_pid", err == nil && line == "first\n", fmt.Sprintf("said %q, %v", line, err))
	born := ticks(t)
	return cmd.Process.Pid, func() {
		t.Helper()
		for ticks(t) == born {
			time.Sleep(time.Millisecond)
		}
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); err != nil || line != "second\n" {
			t.Fatalf("said %q, %v", line, err)
		}
	}
}

// ticks is the time since boot as /proc/PID/stat has start times (proc_pid_stat(5)).
func ticks(t testing.TB) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	const tick = time.Second / 100 // USER_HZ
	return now.Nano() / int64(tick)
}

package pathwalk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// A user namespace may be asked about before its maps are written, and a process may end between two questions.
func TestProberReadsAnew(t *testing.T) {
	proctest.Need(t, "root", os.Geteuid() == 0, "it writes the maps of a user namespace")
	p := proberNow(t)
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(ended)
	pid := cmd.Process.Pid
	ask := func() (*access.Subject, *access.UserNS) {
		t.Helper()
		s, err := p.Process(t.Context(), pid, "it")
		if err != nil {
			t.Fatal(err)
		}
		w, err := p.Walk(t.Context(), s, access.Operation{Op: access.OpRead}, "/etc/passwd")
		if err != nil {
			t.Fatal(err)
		}
		return s, w.Host.UserNS[s.UserNS]
	}
	if _, ns := ask(); len(ns.UID) > 0 || len(ns.GID) > 0 {
		t.Errorf("maps that nobody wrote: %v %v", ns.UID, ns.GID)
	}
	for _, kind := range []string{"uid", "gid"} {
		if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/"+kind+"_map", []byte("0 100000 10"), 0); err != nil {
			t.Fatal(err)
		}
		_, ns := ask()
		if got := len(ns.UID) + len(ns.GID); got != map[string]int{"uid": 1, "gid": 2}[kind] {
			t.Errorf("after %s_map: %v %v", kind, ns.UID, ns.GID)
		}
	}
	ended()
	if _, err := p.Process(t.Context(), pid, "it"); !errors.Is(err, unix.ESRCH) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a process that ended: %v", err)
	}
}

// What was asked about is not kept in use: the mounts of a container go when it ends, whoever asked about it and still asks.
func TestProberKeepsNoMounts(t *testing.T) {
	proctest.NeedRoot(t)
	in := scriptedAgent(t, "in a mount namespace", nil, "true")
	p := proberNow(t)
	agree(t, p, in, "read /etc/passwd", "lookup /proc/sys/kernel/ostype")
	ns, err := procscan.Hold("/proc", strconv.Itoa(in.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	pin, err := ns.Pin(nsinspect.Mnt)
	if err != nil {
		t.Fatal(err)
	}
	id := pin.MntID()
	pin.Close()
	proctest.Need(t, "ids of mount namespaces", id != 0, "statmount(2) tells whether one is there (Linux 6.11)")
	var x unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, "/proc/"+strconv.Itoa(in.cmd.Process.Pid)+"/root", 0, statxMntIDUnique, &x); err != nil {
		t.Fatal(err)
	}
	var buf []byte
	if _, err := procscan.StatMount(id, x.Mnt_id, &buf); err != nil {
		t.Fatalf("while it runs: %v", err)
	}
	_ = in.cmd.Process.Kill()
	_ = in.cmd.Wait()
	if _, err := procscan.StatMount(id, x.Mnt_id, &buf); !errors.Is(err, unix.ENOENT) {
		t.Errorf("its mount namespace is still there after it ended: %v", err)
	}
}

// A look that does not come back is left behind with what it uses; the next question is answered.
func TestProberLeavesBehind(t *testing.T) {
	p := proberNow(t)
	if _, err := p.Process(t.Context(), os.Getpid(), "it"); err != nil {
		t.Fatal(err)
	}
	stuck, release := p.now, make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := inTime(ctx, p, func(*probe) (int, error) {
		cancel()
		<-release
		return 1, nil
	})
	if !errors.Is(err, context.Canceled) || p.now == stuck {
		t.Fatalf("%v, the same probe: %v", err, p.now == stuck)
	}
	s, err := p.Process(t.Context(), os.Getpid(), "it")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Walk(t.Context(), s, access.Operation{Op: access.OpRead}, "/"); err != nil {
		t.Error(err)
	}
	close(release)
	<-stuck.closed
}

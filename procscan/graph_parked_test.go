package procscan

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// park starts command with a shell that runs script and then waits until the test is over. It returns the shell's PID
// when the script is done. command is usually unshare(1), which becomes the shell in the same process.
func park(t testing.TB, command []string, script string, files ...*os.File) int {
	t.Helper()
	pid, err := parkHere(t, command, script, files...)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// parkAnother is a script that leaves one more process, which ends with the first.
const parkAnother = "exec 8<&0; cat <&8 >/dev/null 2>&1 & exec 8<&-\n"

// parkHere is park for onThread: the process inherits what the thread has unshared.
func parkHere(t testing.TB, command []string, script string, files ...*os.File) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	args := append(command[:len(command):len(command)], "sh", "-c", "set -e\n"+script+"\necho ready\nexec cat >/dev/null")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.ExtraFiles = files
	cmd.WaitDelay = 10 * time.Second // when somebody else holds its stderr
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return 0, err
	}
	t.Cleanup(func() {
		defer cancel()
		_ = stdin.Close() // cat ends
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		_ = cmd.Process.Kill()
		return 0, fmt.Errorf("%q: said %q, %v; stderr: %s", args, line, err, stderr.String())
	}
	// The shells said that; what stays is cat.
	if !proctest.Within(10*time.Second, func() bool { return !hasShell(cmd.Process.Pid) }) {
		_ = cmd.Process.Kill()
		return 0, fmt.Errorf("%q: is a shell yet", args)
	}
	return cmd.Process.Pid, nil
}

// hasShell reports whether a process or one that descends from it is a shell, which is yet to execute something.
func hasShell(pid int) bool {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if string(comm) == "sh\n" {
		return true
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	return slices.ContainsFunc(strings.Fields(string(children)), func(child string) bool {
		n, err := strconv.Atoi(child)
		return err == nil && hasShell(n)
	})
}

// onThread runs f on a thread of its own that no other goroutine ever runs on again, so that f may unshare what a
// thread can have alone.
func onThread(t testing.TB, f func() error) {
	t.Helper()
	done, over := make(chan error), make(chan struct{})
	var start func()
	start = func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			go start() // the first thread of the process cannot end: leave it as it is
			<-over
			runtime.UnlockOSThread()
			return
		}
		err := errors.New("the test ended on the thread")
		defer func() { done <- err }() // also after t.Fatal in f
		err = f()
	}
	go start()
	err := <-done
	close(over)
	if err != nil {
		t.Fatal(err)
	}
}

// inThread runs prepare on a thread of its own and then look, while that thread is as prepare left it.
func inThread(t testing.TB, prepare func() error, look func(tid int)) {
	t.Helper()
	ready, hold, held := make(chan error, 1), make(chan struct{}), make(chan struct{})
	tid := 0
	go func() {
		defer close(held)
		onThread(t, func() error {
			tid = unix.Gettid()
			ready <- prepare()
			<-hold
			return nil
		})
	}()
	defer func() { close(hold); <-held }()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	look(tid)
}

// inPrivateMounts runs f on a thread with a mount namespace of its own, from which nothing propagates.
func inPrivateMounts(t testing.TB, f func() error) {
	t.Helper()
	proctest.NeedRoot(t)
	onThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make / private: %w", err)
		}
		return f()
	})
}

// needUserNS is for tests that an ordinary user runs too.
func needUserNS(t testing.TB) {
	t.Helper()
	out, err := exec.Command("unshare", "-Ur", "true").CombinedOutput()
	proctest.Need(t, "userns", err == nil, fmt.Sprintf("unshare -Ur: %v: %s", err, out))
}

func scanFacts(t testing.TB, facts Fact) *nsinspect.Snapshot {
	t.Helper()
	snap, err := Scan(t.Context(), Options{Facts: facts})
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func nsOf(t testing.TB, pid int, file string) nsinspect.Inode {
	t.Helper()
	text, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	_, inode, ok := parseNSLink(text)
	if !ok {
		t.Fatalf("link %q", text)
	}
	return inode
}

func mustNamespace(t testing.TB, snap *nsinspect.Snapshot, inode nsinspect.Inode) *nsinspect.Namespace {
	t.Helper()
	n := snap.Namespace(inode)
	if n == nil {
		t.Fatalf("namespace %d is not in the snapshot", inode)
	}
	return n
}

// hasPin says whether n has the pin; a pin's FD is compared by number.
func hasPin(n *nsinspect.Namespace, want nsinspect.Pin) bool {
	for _, p := range n.Pins {
		same := (p.FD == nil) == (want.FD == nil) && (p.FD == nil || *p.FD == *want.FD)
		p.FD = want.FD
		if same && p == want {
			return true
		}
	}
	return false
}

// TestGraphObserver is no test of its own: snapshotAs runs it in another process.
func TestGraphObserver(t *testing.T) {
	facts := os.Getenv("NSVIEW_TEST_OBSERVER_FACTS")
	if facts == "" {
		return
	}
	n, err := strconv.ParseUint(facts, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(scanFacts(t, Fact(n))); err != nil {
		t.Fatal(err)
	}
}

// snapshotAs takes a snapshot as another observer: a process that attr describes.
func snapshotAs(t testing.TB, facts Fact, attr *syscall.SysProcAttr) (*nsinspect.Snapshot, error) {
	exe, err := os.Open("/proc/self/exe") // passed on open: its path may not be reachable for the observer
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3", "-test.run=^TestGraphObserver$", "-test.count=1")
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Env = append(os.Environ(), fmt.Sprintf("NSVIEW_TEST_OBSERVER_FACTS=%d", facts), "GOCOVERDIR=")
	cmd.SysProcAttr = attr
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("observer: %w: %.2000s", err, out)
	}
	var snap nsinspect.Snapshot
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&snap); err != nil {
		return nil, fmt.Errorf("snapshot of the observer: %w: %.2000s", err, out)
	}
	return &snap, nil
}

// ordinary makes the observer an ordinary user, if the test is not run by one anyway.
func ordinary() *syscall.SysProcAttr {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
}

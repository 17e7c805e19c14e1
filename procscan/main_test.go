package procscan

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// childEnv makes the test binary something else than a test: a process to look at, or one that looks.
const childEnv = "NSVIEW_TEST_CHILD"

func TestMain(m *testing.M) {
	what, arg, _ := strings.Cut(os.Getenv(childEnv), ":")
	var err error
	switch what {
	case "":
		os.Exit(m.Run())
	case "scan":
		err = scanChild(arg)
	case "leaderless":
		err = leaderlessChild()
	default:
		err = fmt.Errorf("unknown child %q", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scanChild writes the snapshot that this process takes.
func scanChild(options string) error {
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	snap, err := Scan(context.Background(), o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(snap)
}

// selfCommand is a command that runs the test binary as child what; wrap, usually unshare(1), comes before it. The binary
// is handed over as an open file, since its directory is closed to other users.
func selfCommand(t testing.TB, what string, wrap ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exe.Close() })
	args := append(wrap[:len(wrap):len(wrap)], "/proc/self/fd/3")
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	cmd.ExtraFiles = []*os.File{exe}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	return cmd
}

// scanAs takes a snapshot in another process, whose command wrap and edit make what it is.
func scanAs(t testing.TB, o Options, edit func(*exec.Cmd), wrap ...string) *nsinspect.Snapshot {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := selfCommand(t, "scan:"+string(text), wrap...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if edit != nil {
		edit(cmd)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scan as a child: %v: %s", err, stderr.String())
	}
	var snap nsinspect.Snapshot
	if err := json.Unmarshal(out, &snap); err != nil {
		t.Fatal(err)
	}
	return &snap
}

// asUser runs a command with other ids and no supplementary groups.
func asUser(uid, gid uint32, groups ...uint32) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	}
}

// leaderlessChild goes on after its first thread has ended, as after pthread_exit(3) in main.
func leaderlessChild() error {
	over := make(chan error)
	var hunt func()
	hunt = func() {
		runtime.LockOSThread() // the next goroutine gets another thread
		if unix.Gettid() != unix.Getpid() {
			go hunt()
			<-over
			return
		}
		go func() { over <- waitForEnd() }()
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
	go hunt()
	return <-over // blocks without a thread, so that the first one is free for hunt
}

// waitForEnd tells the test that all is set up, and waits for the end of the test.
func waitForEnd() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

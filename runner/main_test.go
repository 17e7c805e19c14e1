package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/procscan/proctest"
)

// runArg makes the test program what nsview run is: it plans, starts and waits for the Spec in its next argument.
const runArg = "runner-test-run"

func TestMain(m *testing.M) {
	if IsStage(os.Args) {
		os.Exit(Stage(os.Args))
	}
	if len(os.Args) > 2 && os.Args[1] == runArg {
		os.Exit(runSpec(os.Args[2]))
	}
	proctest.HeedSignals()
	code := m.Run()
	if dir := filepath.Dir(program()); strings.Contains(dir, "nsview-runner-test") {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func runSpec(arg string) int {
	var spec Spec
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		var e *Error
		if errors.As(err, &e) {
			fmt.Fprintln(os.Stderr, "hint:", e.Hint)
			return e.Status
		}
		return StatusFailure
	}
	if err := json.Unmarshal([]byte(arg), &spec); err != nil {
		return fail(err)
	}
	caller, err := ReadCaller()
	if err != nil {
		return fail(err)
	}
	plan, err := NewPlan(spec, caller)
	if err != nil {
		return fail(err)
	}
	start := plan.Start
	if spec.Detach {
		start = plan.Detach
	}
	c, err := start()
	if err != nil {
		return fail(err)
	}
	if c.Report != nil {
		_ = json.NewEncoder(os.Stderr).Encode(c.Report)
	}
	if spec.Detach {
		fmt.Println(c.PID)
		return 0
	}
	return c.Wait()
}

// program is a copy of the test program that every user can execute: the one that go test made lies in a private folder.
var program = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "nsview-runner-test.")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	path := filepath.Join(dir, "run")
	if err == nil {
		var b []byte
		if b, err = os.ReadFile("/proc/self/exe"); err == nil {
			err = os.WriteFile(path, b, 0o755)
		}
	}
	if err == nil {
		err = os.Chmod(path, 0o755)
	}
	if err != nil {
		panic(err)
	}
	return path
})

// deadline is how long any started command may take.
const deadline = 30 * time.Second

// ordinary is a user that exists nowhere: uid and gid 54321, no groups, no capabilities.
const ordinaryID = 54321

// asOrdinary runs cmd as an ordinary user, which the tests may be already.
func asOrdinary(cmd *exec.Cmd) {
	if os.Geteuid() != 0 {
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryID, Gid: ordinaryID}}
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=")
}

// ordinaryIDs are the uid and gid that asOrdinary gives.
func ordinaryIDs() (uid, gid int) {
	if os.Geteuid() != 0 {
		return os.Geteuid(), os.Getegid()
	}
	return ordinaryID, ordinaryID
}

func command(t *testing.T, spec Spec) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(), runArg, specJSON(t, spec))
	cmd.Dir = "/"
	cmd.WaitDelay = deadline
	return cmd
}

func specJSON(t *testing.T, spec Spec) string {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// result is how a run ended.
type result struct {
	stdout, stderr string
	status         int
}

// finish runs cmd to its end.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// run runs spec as this user, and ordinary as an ordinary one.
func run(t *testing.T, spec Spec) result {
	t.Helper()
	return finish(t, command(t, spec))
}

func ordinary(t *testing.T, spec Spec) result {
	t.Helper()
	cmd := command(t, spec)
	asOrdinary(cmd)
	return finish(t, cmd)
}

// output is the stdout of a run that must succeed.
func (r result) output(t *testing.T) string {
	t.Helper()
	if r.status != 0 {
		t.Fatalf("exit status %d: %s", r.status, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

func inside(id idmap.Inside) *idmap.Inside { return &id }

// running is a command that goes on until its stdin ends; it has said "up" by the time start returns.
type running struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
}

// untilEOF is a command that says up and then waits for its stdin to end.
const untilEOF = "echo up; read line; exit 0"

func begin(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{Cmd: cmd}
	var err error
	if r.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = r.stdin.Close()
		_ = cmd.Wait()
	})
	line := make(chan string, 1)
	go func() {
		b := make([]byte, 3)
		n, _ := io.ReadFull(out, b)
		line <- string(b[:n])
	}()
	select {
	case l := <-line:
		if l != "up\n" {
			_ = cmd.Wait()
			t.Fatalf("the command said %q, not up: %s", l, r.stderr.String())
		}
	case <-time.After(deadline):
		t.Fatal("the command did not start")
	}
	return r
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !proctest.Within(deadline, ok) {
		t.Fatalf("did not happen: %s", what)
	}
}

// publicDir is a temporary folder that every user can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nsview-runner-test.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// rootDir is a root file system with a static busybox as every command.
func rootDir(t *testing.T) string {
	t.Helper()
	busybox := findProgram("busybox")
	proctest.Need(t, "busybox", busybox != "", "busybox is not installed")
	dir := publicDir(t)
	for _, d := range []string{"bin", "proc", "dev", "tmp", "data", "raw", "etc"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "ls", "stat", "cat", "touch", "id", "readlink", "mount", "pwd", "test"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

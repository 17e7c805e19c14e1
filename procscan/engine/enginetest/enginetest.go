// Package enginetest starts real container engines for tests: on roots and sockets of their own, without a network, and
// stops what it started. Each engine is in a file of its name.
package enginetest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/procscan/proctest"
)

// Deadline is how long an engine may take for anything.
const Deadline = 60 * time.Second

// Need skips the test, or fails it where NSVIEW_TEST_REQUIRE wants engines, when it does not run as root or one of the
// programs is missing.
func Need(t *testing.T, programs ...string) {
	t.Helper()
	proctest.Need(t, "root", os.Geteuid() == 0, "engines are started as root")
	for _, name := range programs {
		_, err := exec.LookPath(name)
		proctest.Need(t, "engines", err == nil, fmt.Sprint(err))
	}
}

// Dir is a directory that every user can enter, with a short path: the path of a unix socket has at most 107 bytes.
func Dir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "nsview-engine.")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("not everything was stopped: %v", err)
		}
	})
	return dir
}

// Run runs a command to its end and returns its stdout, without the last newline. A failure fails the test.
func Run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, err := Try(t, env, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Run for a command that may fail.
func Try(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second // what it left behind may keep the pipes open
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	timer := time.AfterFunc(Deadline, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Start(); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}

// Daemon starts cmd and stops it, with SIGTERM first, at the end of the test. It waits until ready says so. What it
// printed is logged when the test fails.
func Daemon(t *testing.T, cmd *exec.Cmd, ready func() bool) {
	t.Helper()
	var log syncBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(Deadline / 3):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("%s did not end on SIGTERM", cmd.Path)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, log.String())
		}
	})
	for end := time.Now().Add(Deadline); ; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", cmd.Path, err)
		default:
		}
		if ready() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s was not ready in %v", cmd.Path, Deadline)
		}
	}
}

// Eventually waits for a condition.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !proctest.Within(Deadline, ok) {
		t.Fatalf("did not happen: %s", what)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Rootfs makes a root file system in dir: a static busybox as every command, and the users mysql (999) and ctr (1000).
func Rootfs(t *testing.T, dir string) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	proctest.Need(t, "engines", err == nil, fmt.Sprint(err))
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"bin/busybox": program,
		"etc/passwd":  []byte("root:x:0:0::/:/bin/sh\nmysql:x:999:999::/:/bin/sh\nctr:x:1000:1000::/:/bin/sh\n"),
		"etc/group":   []byte("root:x:0:\nmysql:x:999:\nctr:x:1000:\n"),
	}
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "tmp", "run", "data", "var/lib/mysql", "var/www/html"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "ls", "cat", "touch", "id", "sleep", "ps", "stat", "mkdir", "chown"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Image is a tar of such a root file system, for docker import, podman import and the like.
func Image(t *testing.T) string {
	t.Helper()
	dir := Dir(t)
	Rootfs(t, dir+"/rootfs")
	return writeTar(t, dir+"/image.tar", dir+"/rootfs")
}

// writeTar writes the tree at dir as a tar file.
func writeTar(t *testing.T, name, dir string) string {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func splitLines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

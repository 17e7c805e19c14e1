package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

// refusedPlacesMain is refused what is found by its name in a directory no more, or what another root directory has.
func refusedPlacesMain() {
	refused := map[string]func(string) error{"removed": refusedRemoved, "changed": refusedBefore, "root": refusedInRoot}[os.Args[1]]
	if err := refused(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func refusedRemoved(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	replaced, err := unix.Open("file", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	closed, err := unix.Open("closed", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = errors.Join(os.Rename("new", "file"), os.Chdir("gone"), os.Remove("../gone"), os.Mkdir("../gone", 0o755), becomeNobody())
	if err != nil {
		return err
	}
	_, itself := unix.Open("/proc/self/fd/"+strconv.Itoa(closed)+"/nothing", unix.O_RDONLY, 0)
	return errors.Join(refusal(unix.Fchmod(replaced, 0o644)), refusal(unix.Chdir(".")), refusal(itself))
}

func refusedInRoot(dir string) error {
	if err := errors.Join(unix.Chroot(dir+"/root"), becomeNobody()); err != nil {
		return err
	}
	_, err := unix.Open("/secret", unix.O_RDONLY, 0)
	return refusal(err)
}

// refusedBefore changes what was refused to it.
func refusedBefore(dir string) error {
	runtime.LockOSThread()
	const nobodys = 12345
	if err := unix.Setfsuid(nobodys); err != nil { // takes the capabilities that files are about
		return err
	}
	_, allowed := unix.Open(dir+"/allowed", unix.O_RDONLY, 0)
	_, deleted := unix.Open(dir+"/deleted", unix.O_RDONLY, 0)
	if err := unix.Setfsuid(0); err != nil {
		return err
	}
	return errors.Join(refusal(allowed), refusal(deleted), os.Chmod(dir+"/allowed", 0o644), os.Remove(dir+"/deleted"))
}

func becomeNobody() error {
	const nobodys = 12345
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobodys), syscall.Setuid(nobodys))
}

// refusal is an error where a call was not refused.
func refusal(err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return fmt.Errorf("not refused: %v", err)
}

// deniedSource skips a test where BPF programs cannot be loaded.
func deniedSource(t *testing.T) {
	t.Helper()
	proctest.NeedRoot(t)
	source, err := trace.OpenBPF(trace.Options{Denied: true})
	proctest.Need(t, "bpf", err == nil, fmt.Sprint(err))
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
}

// tracedDenied is what nsview trace --denied tells of a command.
func tracedDenied(t *testing.T, command ...string) []*events.Event {
	t.Helper()
	cmd := exec.Command("nsview", append([]string{"trace", "-o", "json", "--denied", "--"}, command...)...)
	var messages strings.Builder
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &messages)
	}
	var l liveTrace
	if err := json.Unmarshal(out, &l); err != nil {
		t.Fatal(err)
	}
	return l.Events
}

// What is at that name now is not taken for what the call was about: not another file, not that of another root directory.
func TestTraceDeniedElsewhere(t *testing.T) {
	deniedSource(t)
	dir := realTempDir(t)
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.WriteFile(dir+"/file", nil, 0o600), os.WriteFile(dir+"/new", nil, 0o644), os.Chown(dir+"/new", 12345, 12345),
		os.Mkdir(dir+"/gone", 0o700), os.Mkdir(dir+"/closed", 0o700), os.WriteFile(dir+"/allowed", nil, 0o600), os.WriteFile(dir+"/deleted", nil, 0o600), os.Chmod(filepath.Dir(dir), 0o755), os.Mkdir(dir+"/root", 0o755), os.WriteFile(dir+"/root/secret", nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const script = `refused-places removed "$1" && refused-places root "$1" && refused-places changed "$1"`
	got := map[string]string{}
	for _, e := range tracedDenied(t, "sh", "-c", script, "sh", dir) {
		name := e.Name + " " + strings.TrimPrefix(e.Args.Path, dir)
		if strings.HasPrefix(e.Args.Path, "/proc/self/fd/") {
			name = "of itself"
		}
		got[name] = strings.ReplaceAll(fmt.Sprint(e.Errno, " ", e.Denial.Agreement, " ", e.Denial.Difference), fmt.Sprint(e.PID), "PID")
		got[name] = strings.ReplaceAll(got[name], dir, "DIR")
	}
	const removed = "what its path begins at has been removed, is not below the root directory of the process, or was not told"
	want := map[string]string{
		"fchmod ": "EPERM unknown " + removed, "chdir .": "EACCES unknown " + removed,
		"of itself":       "EACCES unknown its path leads through what PID, which has ended or moved, had in /proc/self",
		"openat /allowed": "EACCES unknown the kernel answered EACCES, nsview would allow it, but DIR/allowed has been changed since",
		"openat /deleted": "EACCES unknown the kernel answered EACCES, nsview ENOENT, but DIR has been changed since",
		"openat /secret":  "EACCES unknown PID has ended or moved, and nobody else is known to be in its mount and user namespace and to have its root directory",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// A directory is not taken for the one that was mounted on it.
func TestTraceDeniedMountedOver(t *testing.T) {
	deniedSource(t)
	dir := realTempDir(t)
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(dir+"/below", 0o755), os.Mkdir(dir+"/over", 0o700), os.WriteFile(dir+"/below/file", nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	script := `cd "$1/below" && mount --bind ../over ../below && exec setpriv --reuid=12345 --regid=12345 --clear-groups sh -c 'cat <file; read end'`
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsview", "trace", "-o", "jsonl", "--denied", "--", "unshare", "-m", "sh", "-c", script, "sh", dir)
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
	seen := ""
	for lines := bufio.NewScanner(out); seen == "" && lines.Scan(); { // it is told before the shell ends
		var e events.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if e.Args.Path == dir+"/below/file" {
			seen = fmt.Sprint(e.Errno, " ", e.Denial.Agreement, " ", e.Denial.Difference)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the status is that of read
	if want := "EACCES unknown what its path begins at is not what is there by that name now"; seen != want {
		t.Errorf("%q, want %q", seen, want)
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// atSize is how many a stress test makes: the whole number when NSVIEW_STRESS is set, as make stress does, else a few.
func atSize(few, whole int) int {
	if os.Getenv("NSVIEW_STRESS") != "" {
		return whole
	}
	return few
}

// startCrowd has crowdMain make what kind says, and is the host PID of its init: PID 1 in a PID and mount namespace of its
// own, so that all ends with it, and it with the test.
func startCrowd(t *testing.T, kind string, n int, args ...string) int {
	t.Helper()
	proctest.NeedRoot(t)
	cmd := exec.Command("crowd", append([]string{kind, strconv.Itoa(n)}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	_, lines := proctest.Start(t, cmd)
	ready := make(chan error, 1)
	go func() {
		_, err := lines.ReadString('\n')
		ready <- err
	}()
	select {
	case err := <-ready:
		if err != nil {
			t.Fatalf("crowd %s %d: %v", kind, n, err)
		}
	case <-time.After(5 * time.Minute):
		t.Fatalf("crowd %s %d was not ready in 5 minutes", kind, n)
	}
	return cmd.Process.Pid
}

// crowdMain is a helper program of the stress tests: crowd KIND N [DIR]. It says "ready" when N of KIND are there and waits
// for the end of its input.
func crowdMain() {
	if err := crowd(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(2)
	}
}

func crowd(args []string) error {
	if os.Getpid() != 1 {
		return errors.New("it is to be PID 1 of a PID namespace")
	}
	n, err := strconv.Atoi(args[1])
	if err := errors.Join(err, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
		return err
	}
	if len(args) > 2 {
		if err := unix.Mount("none", args[2], "tmpfs", 0, "nr_inodes=0,size=4g"); err != nil {
			return err
		}
	}
	switch args[0] {
	case "mount-namespaces":
		err = forks(n, unix.CLONE_NEWNS, nil)
	case "containers":
		err = forks(n, unix.CLONE_NEWNS|unix.CLONE_NEWUSER|unix.CLONE_NEWPID, func(i int) string {
			return fmt.Sprintf("0 %d 65536\n", 200_000+i%60_000*65_536)
		})
	case "extents": // 340 lines, in the one page that a map may be written in
		err = forks(n, unix.CLONE_NEWNS|unix.CLONE_NEWUSER|unix.CLONE_NEWPID, func(i int) string {
			var b strings.Builder
			for line := range 340 {
				fmt.Fprintf(&b, "%d %d 1\n", line*2, 20_000+i%100*700+line*2)
			}
			return b.String()
		})
	case "mounts":
		err = each(n, func(i int) error {
			dir := fmt.Sprintf("%s/%d", args[2], i)
			return errors.Join(os.Mkdir(dir, 0o755), unix.Mount("none", dir, "tmpfs", 0, "size=64k"))
		})
	case "binds":
		source := args[2] + "/source"
		err = errors.Join(os.Mkdir(source, 0o755), each(n, func(i int) error {
			dir := fmt.Sprintf("%s/%d", args[2], i)
			return errors.Join(os.Mkdir(dir, 0o755), unix.Mount(source, dir, "", unix.MS_BIND, ""))
		}))
	case "pins": // mount namespaces without a process
		err = each(n, func(i int) error {
			// Only a mount namespace with a higher id than this one can be mounted in it, and each processor has ids in store:
			// those of another may be lower, some thousand of them.
			for range 20_000 {
				if err = pinned(fmt.Sprintf("%s/%d", args[2], i)); !errors.Is(err, unix.EINVAL) {
					break
				}
			}
			return err
		})
	case "files":
		err = each(n, func(i int) error { return os.WriteFile(fmt.Sprintf("%s/%d", args[2], i), nil, 0o600) })
	case "deep": // a chain of directories, far deeper than a path may be long
		err = errors.Join(unix.Chdir(args[2]), each(n, func(int) error {
			name := strings.Repeat("d", 100)
			return errors.Join(unix.Mkdir(name, 0o755), unix.Chdir(name))
		}), unix.Chdir("/"))
	case "long":
		err = longPaths(args[2], args[3])
	case "long-root":
		err = errors.Join(longPaths(args[2], args[3]), unix.Chroot("."))
	case "bomb":
		err = bomb(n)
	case "pids":
		_, err = fill(n)
	case "full":
		return full(n, args[3:])
	default:
		err = fmt.Errorf("no kind %q", args[0])
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// pinned mounts a new mount namespace, without a process, at a file.
func pinned(file string) error {
	pid, err := forked(unix.CLONE_NEWNS)
	if err != nil {
		return err
	}
	ns := fmt.Sprintf("/proc/%d/ns/mnt", pid)
	if err = errors.Join(os.WriteFile(file, nil, 0o600), unix.Mount(ns, file, "", unix.MS_BIND, "")); err != nil {
		err = fmt.Errorf("mount %s at %s: %w", ns, file, err)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	_, wait := unix.Wait4(pid, nil, 0, nil)
	return errors.Join(err, wait)
}

func each(n int, do func(int) error) error {
	for i := range n {
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// forks makes n processes in namespaces of their own. idMap is the text of their id maps.
func forks(n int, flags uintptr, idMap func(i int) string) error {
	return each(n, func(i int) error {
		pid, err := forked(flags)
		if err != nil || idMap == nil {
			return err
		}
		text := []byte(idMap(i))
		return errors.Join(os.WriteFile(fmt.Sprintf("/proc/%d/uid_map", pid), text, 0), os.WriteFile(fmt.Sprintf("/proc/%d/gid_map", pid), text, 0))
	})
}

// forked makes a process that waits. It is a copy of this one, which costs a tenth of what a program does that has to be
// loaded; nothing of Go but the system calls runs in it.
func forked(flags uintptr) (int, error) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	for pid == 0 {
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	return int(pid), nil
}

// bomb forks without end in a PID namespace that holds n processes.
func bomb(n int) error {
	if err := limitPIDs(n); err != nil {
		return err
	}
	cmd := exec.Command("sh", "-c", "f() { f & f & wait; }; while :; do f 2>/dev/null; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	if !proctest.Within(20*time.Second, func() bool {
		names, err := os.ReadDir("/proc")
		return err == nil && len(names) > 60+n/2
	}) {
		return errors.New("the bomb did not go off")
	}
	return nil
}

// needPIDLimit is for tests that limit the PIDs of a PID namespace: before Linux 6.14 there was but one limit, the host's.
// It fails the test when that is another one at the end.
func needPIDLimit(t *testing.T) {
	t.Helper()
	proctest.NeedRoot(t)
	proctest.Need(t, "pid_max of a PID namespace", hasPIDLimits(), "Linux 6.14")
	const ours = "/proc/sys/kernel/pid_max"
	before, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if after, err := os.ReadFile(ours); err != nil || string(before) != string(after) {
			t.Errorf("pid_max of the host is %s, was %s: %v", after, before, err)
		}
	})
}

func hasPIDLimits() bool {
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 14)
}

// limitPIDs limits the PIDs of this PID namespace.
func limitPIDs(n int) error {
	if os.Getpid() != 1 || !hasPIDLimits() {
		return errors.New("this is no PID namespace with a limit of its own")
	}
	return os.WriteFile("/proc/sys/kernel/pid_max", []byte(strconv.Itoa(n)), 0)
}

// fill makes processes in a PID namespace up to a pid_max of its own.
func fill(limit int) ([]int, error) {
	if err := limitPIDs(limit); err != nil {
		return nil, err
	}
	var pids []int
	for {
		pid, err := forked(0)
		if errors.Is(err, unix.EAGAIN) {
			return pids, nil
		}
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
}

// full fills a PID namespace up to the pid_max that the first of args says, but for room PIDs, and runs a command in it,
// the rest of args.
func full(room int, args []string) error {
	limit, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	pids, err := fill(limit)
	if err != nil {
		return err
	}
	for _, pid := range pids[len(pids)-room:] { // those below 300 are given once only (RESERVED_PIDS)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			return err
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			return err
		}
	}
	err = cmd.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return err
}

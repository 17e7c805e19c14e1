package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// A TARGET is followed, and who enters it; whose the namespaces are is said by its name.
func TestLiveTraceEntersDocker(t *testing.T) {
	d := enginetest.StartDocker(t)
	for _, name := range []string{"live-entered", "live-other"} {
		d.Container("--name", name, "busybox", "sleep", "1008")
	}
	pid := d.InitPID("live-entered")
	_, own := namespacesOf(t, pid)
	var l liveTrace
	out := traceAround(t, []string{"-o", "json", "live-entered"}, func() {
		d.Run("exec", "live-other", "stat", "/data")
		d.Run("exec", "live-entered", "stat", "/bin")
		if out, err := enginetest.Try(t, nil, "docker", "-H", "unix://"+d.Socket, "exec", "live-entered", "busybox", "unshare", "-U", "true"); err == nil {
			t.Errorf("a container may make a user namespace: %s", out)
		}
		enginetest.Run(t, nil, "nsenter", "-t", strconv.Itoa(pid), "-u", "-m", "/bin/ls", "/data")
		entered := make(chan error)
		go func() {
			runtime.LockOSThread() // which ends in the container's namespace, with its thread
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err == nil {
				err = errors.Join(unix.Setns(pidfd, unix.CLONE_NEWUTS|unix.CLONE_NEWIPC), unix.Close(pidfd))
			}
			entered <- err
		}()
		if err := <-entered; err != nil {
			t.Errorf("setns by a pidfd: %v", err)
		}
	})
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatal(err)
	}
	var executed []string
	refused, byPidfd := 0, 0
	for _, e := range l.Events {
		switch {
		case e.PID == os.Getpid() && e.Type == events.Setns && e.Args.NS == 0 && e.Args.Whose == "docker:live-entered" && e.Namespaces.UTS == ofType(own, nsinspect.UTS):
			byPidfd++
		case e.Failed() && e.Type == events.Unshare && e.Errno == "EPERM" && e.Args.Reason == "refused by a seccomp filter":
			refused++
		case e.Failed():
		case e.Type == events.Exec:
			executed = append(executed, strings.Join(e.Args.Argv, " "))
		case e.Type == events.Setns && e.Args.NS != 0 && !slices.ContainsFunc(own, func(n events.NewNamespace) bool { return n.Inode == e.Args.NS }):
			t.Errorf("not a namespace of the container: %s", e.Text())
		case e.Type == events.Setns && e.Args.NS != 0 && e.Args.Whose != "docker:live-entered":
			t.Errorf("setns of %q: %s", e.Args.Whose, e.Text())
		}
	}
	if byPidfd != 1 {
		t.Errorf("%d times entered by a pidfd", byPidfd)
	}
	if refused == 0 {
		t.Error("docker's seccomp filter is not named where it refuses unshare")
	}
	if diff := cmp.Diff([]string{"stat /bin", "busybox unshare -U true", "/bin/ls /data"}, executed); diff != "" {
		t.Errorf("executed (-want +got):\n%s", diff)
	}
}

// Whose a namespace is is said also where the container has just been started, and somebody else had to be looked for before.
func TestLiveTraceEntersYoungContainer(t *testing.T) {
	d := enginetest.StartDocker(t)
	other := exec.Command("unshare", "-u", "sleep", "1009")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = other.Process.Kill(), other.Wait() }()
	var l liveTrace
	out := traceAround(t, []string{"-o", "json", "--type", "setns"}, func() {
		enginetest.Run(t, nil, "nsenter", "-t", strconv.Itoa(other.Process.Pid), "-u", "true")
		d.Container("--name", "live-young", "busybox", "sleep", "1010")
		d.Run("exec", "live-young", "stat", "/bin")
	})
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatal(err)
	}
	_, own := namespacesOf(t, d.InitPID("live-young"))
	entered := 0
	for _, e := range l.Events {
		if slices.ContainsFunc(own, func(n events.NewNamespace) bool { return n.Inode == e.Args.NS }) && strings.HasPrefix(e.Comm, "runc:[1") {
			if entered++; e.Args.Whose != "docker:live-young" {
				t.Errorf("setns of %q: %s", e.Args.Whose, e.Text())
			}
		}
	}
	if entered == 0 {
		t.Error("nobody has entered the container")
	}
}

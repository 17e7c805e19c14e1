package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/engine/enginetest"
	"github.com/nsview/nsview/procscan/proctest"
)

// traceAround is what nsview trace -o json says of the whole host while do is done.
func traceAround(t *testing.T, args []string, do func()) string {
	t.Helper()
	cmd := exec.Command("nsview", append([]string{"trace"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*enginetest.Deadline, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(messages)
	if !lines.Scan() || !strings.Contains(lines.Text(), " tracepoints") {
		_ = cmd.Process.Kill() // it said what is wrong
		t.Fatalf("nsview trace: %v: %s", cmd.Wait(), lines.Text())
	}
	do()
	_ = cmd.Process.Signal(os.Interrupt) // Wait tells when it has ended
	for lines.Scan() {
		t.Logf("nsview trace: %s", lines.Text())
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Fatalf("nsview trace: %v", err)
	}
	return out.String()
}

// liveTrace is traceAround's answer.
type liveTrace struct {
	Events  []*events.Event
	Summary events.Summary
	Gaps    []nsinspect.Gap
}

func traceOf(t *testing.T, source string, do func(), targets ...string) liveTrace {
	t.Helper()
	var l liveTrace
	if err := json.Unmarshal([]byte(traceAround(t, append([]string{"-o", "json", "--source", source}, targets...), do)), &l); err != nil {
		t.Fatal(err)
	}
	for _, g := range l.Gaps {
		t.Errorf("gap: %+v", g)
	}
	return l
}

// started is the start of the one container that executes that command.
func (l *liveTrace) started(t *testing.T, command ...string) events.Start {
	t.Helper()
	var found []events.Start
	for _, s := range l.Summary.Starts {
		if slices.Equal(s.Command, command) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d starts of %q, of %+v", len(found), command, l.Summary.Starts)
	}
	return found[0]
}

func namespacesOf(t *testing.T, pid int) (all, own []events.NewNamespace) {
	t.Helper()
	for _, kind := range nsinspect.Types() {
		inode := func(pid string) nsinspect.Inode {
			info, err := os.Stat("/proc/" + pid + "/ns/" + string(kind))
			if err != nil {
				t.Fatal(err)
			}
			return nsinspect.Inode(info.Sys().(*syscall.Stat_t).Ino)
		}
		n := events.NewNamespace{Type: kind, Inode: inode(strconv.Itoa(pid))}
		if n.Inode == inode("self") {
			all = append(all, n)
		} else {
			own = append(own, n)
		}
	}
	return all, own
}

// sameNamespaces holds what the trace says of a start against what /proc says of its process.
func sameNamespaces(t *testing.T, shared, own []events.NewNamespace, s *events.Start) {
	t.Helper()
	if diff := cmp.Diff(own, s.New); diff != "" {
		t.Errorf("new namespaces (-proc +trace):\n%s", diff)
	}
	if diff := cmp.Diff(shared, s.Shared); diff != "" {
		t.Errorf("shared namespaces (-proc +trace):\n%s", diff)
	}
}

// The experiment of the article: runc calls itself [1:CHILD], unshares, and forks the process that becomes PID 1.
func TestLiveTraceDocker(t *testing.T) {
	d := enginetest.StartDocker(t)
	pidfile, err := os.ReadFile(d.Dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	daemon := strings.TrimSpace(string(pidfile))
	var shared, own []events.NewNamespace
	pid := 0
	l := traceOf(t, "bpf", func() {
		d.Container("--name", "live-traced", "busybox", "sleep", "1007")
		pid = d.InitPID("live-traced")
		shared, own = namespacesOf(t, pid)
	}, daemon) // and its containerd, which starts the shim
	s := l.started(t, "sleep", "1007")
	if s.PID != pid || s.InsidePID != 1 || s.Ended {
		t.Errorf("docker says its PID is %d: %+v", pid, s)
	}
	if s.Container != "docker:live-traced" {
		t.Errorf("the container is called %q", s.Container)
	}
	sameNamespaces(t, shared, own, &s)
	chain := strings.Join(s.By, " ")
	for _, part := range []string{"dockerd containerd", "containerd-shim", "runc", "runc:[1:CHILD]"} {
		if !strings.Contains(chain, part) {
			t.Errorf("started by %s: no %s", chain, part)
		}
	}
	if !slices.ContainsFunc(l.Events, func(e *events.Event) bool {
		return e.Name == "mount" && e.Args.FSType == "proc" && strings.HasPrefix(e.Args.Point, "/proc/self/fd/") && strings.HasSuffix(e.Args.PointPath, "/merged/proc")
	}) {
		t.Error("not seen where runc mounts /proc")
	}
	// Who is called so when, and what then happens.
	var steps []string
	childOf := map[int]bool{}
	for _, e := range l.Events {
		switch {
		case e.Failed() || !strings.HasPrefix(e.Comm, "runc"):
		case e.Type == events.Name && strings.HasPrefix(e.Args.Name, "runc:["):
			steps = append(steps, e.Args.Name)
			childOf[e.PID] = true
		case e.Type == events.Unshare && childOf[e.PID]:
			steps = append(steps, e.Comm+" unshares "+strings.Join(e.Flags, "|"))
		case e.First():
			steps = append(steps, e.Comm+" makes PID 1")
			if e.Args.Child != pid || e.Namespaces.PID != ofType(own, nsinspect.PID) {
				t.Errorf("PID 1 is %d in %v: %s", pid, own, e.Text())
			}
		case e.Name == "pivot_root":
			steps = append(steps, "pivot_root")
		}
	}
	want := []string{
		"runc:[0:PARENT]", "runc:[1:CHILD]", "runc:[1:CHILD] unshares CLONE_NEWPID|CLONE_NEWNS|CLONE_NEWNET|CLONE_NEWUTS|CLONE_NEWIPC",
		"runc:[1:CHILD] makes PID 1", "runc:[2:INIT]", "runc:[2:INIT] unshares CLONE_NEWCGROUP", "pivot_root",
	}
	if ofType(own, nsinspect.Cgroup) == 0 { // docker's default with cgroup v1
		want = slices.DeleteFunc(want, func(step string) bool { return strings.Contains(step, "CGROUP") })
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// The tree of a start is the chain of an engine, from the daemon to the command.
func TestLiveTraceTreeDocker(t *testing.T) {
	d := enginetest.StartDocker(t)
	pid := 0
	out := traceAround(t, []string{"--tree"}, func() {
		d.Container("--name", "live-tree", "busybox", "sleep", "1012")
		pid = d.InitPID("live-tree")
	})
	var ns syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d/ns/pid", pid), &ns); err != nil {
		t.Fatal(err)
	}
	// Each of them stands further to the right than the one before, which it came from.
	const who = `(?m)^([│├└─ ]*)([0-9:.]{15} )?[0-9]+ `
	chain := []string{
		`dockerd$`, `containerd$`, `containerd -> containerd-shim$`, `containerd-shim$`, `containerd-shim -> runc$`, `runc -> .*runc:\[0:PARENT\]$`,
		`runc:\[0:PARENT\] -> runc:\[1:CHILD\]$`, fmt.Sprintf(`runc:\[1:CHILD\] -> runc:\[2:INIT\] -> sleep  PID 1 of pid:%d$`, ns.Ino),
	}
	rest, depth := out, -1
	for _, name := range chain {
		at := regexp.MustCompile(who + name).FindStringSubmatchIndex(rest)
		if at == nil {
			t.Fatalf("no %s below the one before, in\n%s", name, out)
		}
		indent := utf8.RuneCountInString(rest[at[2]:at[3]])
		if indent <= depth {
			t.Errorf("%s: stands %d to the right, the one before %d", name, indent, depth)
		}
		rest, depth = rest[at[1]:], indent
	}
}

func ofType(list []events.NewNamespace, kind nsinspect.Type) nsinspect.Inode {
	for _, n := range list {
		if n.Type == kind {
			return n.Inode
		}
	}
	return 0
}

// Also by tracepoints alone it is told which container started, in which namespaces.
func TestLiveTracePerfDocker(t *testing.T) {
	d := enginetest.StartDocker(t)
	proctest.Need(t, "tracefs", haveTracefs(), "tracefs is not mounted at /sys/kernel/tracing")
	var shared, own []events.NewNamespace
	pid := 0
	l := traceOf(t, "perf", func() {
		d.Container("--name", "live-perf", "busybox", "sleep", "1011")
		pid = d.InitPID("live-perf")
		shared, own = namespacesOf(t, pid)
	})
	s := l.started(t, "sleep", "1011")
	if s.PID != pid || s.InsidePID != 1 || s.Ended || s.Container != "docker:live-perf" {
		t.Errorf("docker says its PID is %d: %+v", pid, s)
	}
	sameNamespaces(t, shared, own, &s)
}

func TestLiveTracePodman(t *testing.T) {
	user := enginetest.NewUser(t)
	p := enginetest.StartPodman(t, user)
	for runtime, run := range map[string]func(...string) string{"runc": p.Run, "crun": p.RunCrun} {
		name := "live-traced-" + runtime
		t.Run(runtime, func(t *testing.T) {
			var shared, own []events.NewNamespace
			pid := 0
			l := traceOf(t, "bpf", func() {
				run("run", "-d", "--name", name, "--userns=auto", "busybox", "sleep", "1009")
				var err error
				if pid, err = strconv.Atoi(p.Run("container", "inspect", "-f", "{{.State.Pid}}", name)); err != nil {
					t.Fatal(err)
				}
				shared, own = namespacesOf(t, pid)
			})
			s := l.started(t, "sleep", "1009")
			if s.PID != pid || s.InsidePID != 1 || s.Ended {
				t.Errorf("podman says its PID is %d: %+v", pid, s)
			}
			if s.Container != "podman:"+name {
				t.Errorf("the container is called %q", s.Container)
			}
			sameNamespaces(t, shared, own, &s)
			if chain := strings.Join(s.By, " "); !strings.Contains(chain, "podman conmon conmon "+runtime) {
				t.Errorf("started by %s", chain)
			}
			uidMap, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/uid_map")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(l.Events, func(e *events.Event) bool {
				return e.Type == events.Map && e.Args.File == "uid_map" && e.Args.TargetNS == ofType(own, nsinspect.User) && !e.Failed() &&
					slices.Equal(strings.Fields(e.Args.Content), strings.Fields(string(uidMap)))
			}) {
				t.Errorf("nobody wrote the map %s", uidMap)
			}
		})
	}
}

// What the kernel refuses in containers is explained, as the kernel decided: with its errno, and the capability that it asked for.
func TestLiveTraceDenied(t *testing.T) {
	d := enginetest.StartDocker(t)
	dir := d.Dir + "/files"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/secret", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.Container("--name", "live-denied", "--user", "1000", "-v", dir+":/data", "-v", dir+":/ro:ro", "busybox", "sleep", "1010")
	out := traceAround(t, []string{"-o", "json", "--denied", "live-denied"}, func() {
		for _, script := range []string{"cat /data/secret", "touch /data/new", "mkdir /etc/x", "chown 0 /tmp", "cat /bin/../data/../data/secret", "cd /etc && touch passwd"} {
			if _, err := enginetest.Try(t, nil, "docker", "-H", "unix://"+d.Socket, "exec", "live-denied", "sh", "-c", script); err == nil {
				t.Errorf("not refused: %s", script)
			}
		}
		// Short ones are explained too, in the place of one that is still there.
		if _, err := enginetest.Try(t, nil, "docker", "-H", "unix://"+d.Socket, "exec", "--user", "0", "live-denied", "touch", "/ro/new"); err == nil {
			t.Error("not refused: touch /ro/new")
		}
	})
	var l liveTrace
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatal(err)
	}
	type answer struct{ Path, Errno, Rule, Caps string }
	seen := map[answer]bool{}
	for _, e := range l.Events {
		d := e.Denial
		if d.Agreement != events.Agree {
			t.Errorf("%s", e.Text())
		}
		seen[answer{e.Args.Path, e.Errno, string(d.Rule), strings.Join(d.Refused, " ")}] = true
	}
	for _, want := range []answer{
		{"/data/secret", "EACCES", "mode-other", "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE"},
		{"/bin/../data/../data/secret", "EACCES", "mode-other", "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE"},
		{"/data/new", "EACCES", "mode-other", "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE"},
		{"/etc/x", "EACCES", "mode-other", "CAP_DAC_OVERRIDE"},
		{"/etc/passwd", "EACCES", "mode-other", "CAP_FOWNER CAP_DAC_OVERRIDE"},
		{"/ro/new", "EROFS", "ro-mount", ""},
	} {
		if !seen[want] {
			t.Errorf("not seen: %+v of %+v", want, seen)
		}
	}
}

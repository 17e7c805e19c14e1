package trace_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

// Three unshares in each other: the flags, the names, who is PID 1 of what, and every inode as /proc has it.
func TestBPFNestedUnshare(t *testing.T) {
	tr := start(t)
	cmd := command(t, "unshare", "-Urpf", "--kill-child", "--mount-proc", "unshare", "-Urpf", "--kill-child", "--mount-proc", "unshare", "-Urpf", "--kill-child", "--mount-proc", "sleep", "600")
	asleep := func(e *events.Event) bool { return e.Type == events.Exec && !e.Failed() && e.Comm == "sleep" }
	tr.until(1, "the exec of sleep", asleep)
	list := tr.stop(cmd.Process.Pid)
	last := find(t, list, "the exec of sleep", asleep)
	if diff := cmp.Diff(namespaces(t, last.PID), last.Namespaces); diff != "" {
		t.Errorf("namespaces of %d (-proc +trace):\n%s", last.PID, diff)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", last.PID))
	if err != nil || !strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", last.PPID)) {
		t.Errorf("parent %d, but (%v)\n%s", last.PPID, err, status)
	}
	if diff := cmp.Diff([]string{"sleep", "600"}, last.Args.Argv); diff != "" || last.InsidePID != 1 {
		t.Errorf("%d inside %d: %v", last.PID, last.InsidePID, last.Args.Argv)
	}
	maker := cmd.Process.Pid
	for depth := range 3 {
		of := func(name string) *events.Event {
			return find(t, list, fmt.Sprintf("%s of %d, %d deep", name, maker, depth), func(e *events.Event) bool { return e.PID == maker && e.Name == name && !e.Failed() })
		}
		unshare := of("unshare")
		if diff := cmp.Diff([]string{"CLONE_NEWUSER", "CLONE_NEWPID", "CLONE_NEWNS"}, unshare.Flags); diff != "" {
			t.Errorf("flags:\n%s", diff)
		}
		if diff := cmp.Diff([]nsinspect.Type{nsinspect.User, nsinspect.PID, nsinspect.Mnt}, unshare.New()); diff != "" {
			t.Errorf("new:\n%s", diff)
		}
		if unshare.Comm != "unshare" || unshare.Before.PID != unshare.Namespaces.PID || unshare.Before.PIDForChildren == unshare.Namespaces.PIDForChildren {
			t.Errorf("an unshare moved its caller: %+v", unshare)
		}
		if diff := cmp.Diff(namespaces(t, maker), unshare.Namespaces); diff != "" {
			t.Errorf("namespaces of %d (-proc +trace):\n%s", maker, diff)
		}
		clone := of("clone")
		if !clone.First() || clone.Args.ChildParent != maker || clone.Namespaces.PID != unshare.Namespaces.PIDForChildren {
			t.Errorf("the child is no PID 1: %+v", clone)
		}
		child := clone.Args.Child
		for file, content := range map[string]string{"uid_map": "0 0 1", "gid_map": "0 0 1", "setgroups": "deny"} {
			w := find(t, list, file, func(e *events.Event) bool {
				return e.Type == events.Map && e.Args.Target == child && e.Args.File == file
			})
			if w.Args.Content != content || w.Args.TargetNS != unshare.Namespaces.User || w.Args.ParentNS != unshare.Before.User || w.Failed() {
				t.Errorf("%s: %+v", w.Text(), w.Args)
			}
		}
		find(t, list, "the mount of /proc", func(e *events.Event) bool {
			return e.PID == child && e.Name == "mount" && e.Args.FSType == "proc" && e.Args.Point == "/proc" && !e.Failed() &&
				slices.Equal(e.Flags, []string{"MS_NOSUID", "MS_NODEV", "MS_NOEXEC"})
		})
		maker = child
	}
	if maker != last.PID {
		t.Errorf("the innermost is %d, not %d", last.PID, maker)
	}
}

func TestBPFClone3(t *testing.T) {
	tr := start(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NSVIEW_TRACE_HELPER=clone3")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list := tr.stop(cmd.Process.Pid)
	e := find(t, list, "clone3", func(e *events.Event) bool { return e.Name == "clone3" && e.Before != e.Namespaces })
	want := []string{"CLONE_NEWUSER", "CLONE_NEWPID", "CLONE_NEWNS", "CLONE_NEWNET", "CLONE_NEWUTS", "CLONE_NEWIPC", "CLONE_NEWCGROUP", "CLONE_NEWTIME"}
	if diff := cmp.Diff(want, e.Flags); diff != "" {
		t.Errorf("flags:\n%s", diff)
	}
	if diff := cmp.Diff(nsinspect.Types(), e.New()); diff != "" {
		t.Errorf("new:\n%s", diff)
	}
	refused := find(t, list, "the refused clone3", func(e *events.Event) bool { return e.Name == "clone3" && e.Failed() })
	if diff := cmp.Diff([]string{"CLONE_NEWNS", "CLONE_FS"}, refused.Flags); diff != "" || refused.Errno != "EINVAL" || refused.Before != refused.Namespaces {
		t.Errorf("%s: %s", refused.Text(), diff)
	}
	exit := find(t, list, "the end of the child", func(e2 *events.Event) bool { return e2.Type == events.Exit && e2.PID == e.Args.Child })
	if exit.Args.Status == nil || *exit.Args.Status != 7 || exit.InsidePID != 1 || exit.PPID != e.PID {
		t.Errorf("end %+v", exit)
	}
}

// What a call was given is what the kernel was given, whatever another thread makes of it during the call; where that could
// not be read then it is marked.
func TestBPFReadsWhatTheKernelRead(t *testing.T) {
	for helper, want := range map[string]struct {
		path, errno string
		late        bool
	}{
		"changed-path": {"/bin/true", "EFAULT", false}, "changed-long-path": {longBin + "true", "EFAULT", false},
		"unread-path": {"/nosuch/unread", "ENOENT", true},
	} {
		tr := start(t)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "NSVIEW_TRACE_HELPER="+helper)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", helper, err, out)
		}
		e := find(t, tr.stop(cmd.Process.Pid), "execve", func(e *events.Event) bool { return e.Type == events.Exec && e.Failed() })
		if e.Args.Path != want.path || e.Errno != want.errno || e.Args.Late != want.late {
			t.Errorf("%s: %s, read late: %v", helper, e.Text(), e.Args.Late)
		}
	}
}

// A call that began before the trace was refused by no seccomp filter, though nobody has seen it begin.
func TestBPFCallBegunBefore(t *testing.T) {
	proctest.NeedRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NSVIEW_TRACE_HELPER=waiting")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 8)); err != nil {
		t.Fatalf("the helper: %v, %v", err, cmd.Wait())
	}
	tr := start(t)
	if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	for _, e := range tr.stop(cmd.Process.Pid) {
		if e.Args.Reason != "" {
			t.Errorf("%s", e.Text())
		}
	}
}

// A write to an id map is seen whatever call it is by.
func TestBPFVectoredMaps(t *testing.T) {
	tr := start(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "NSVIEW_TRACE_HELPER=vectored-maps")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, e := range tr.stop(cmd.Process.Pid) {
		if e.Type == events.Map {
			got = append(got, fmt.Sprintf("%s %q %s", e.Args.File, e.Args.Content, e.Errno))
		}
	}
	slices.Sort(got)
	want := []string{`uid_map "0 0 1 by pwritev" ESPIPE`, `uid_map "0 0 1 by pwritev2" EPERM`, `uid_map "0 0 1 by writev" EPERM`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the kernel refuses is shown as refused, with the rule that refused it.
func TestBPFRefusedMaps(t *testing.T) {
	tr := start(t)
	script := `unshare -U sleep 600 & pid=$!
		while [ "$(readlink /proc/$pid/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do :; done
		for map in "0 12345 2" "0 0 1" nonsense; do echo "$map" >/proc/$pid/uid_map; done
		echo 0 12345 1 >/proc/$pid/gid_map; echo never >/proc/$pid/setgroups
		echo 0 12345 1 >/proc/$pid/uid_map; echo 0 12345 1 >/proc/$pid/uid_map
		kill $pid`
	cmd := exec.Command("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "sh", "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list := tr.stop(cmd.Process.Pid)
	var got []string
	for _, e := range list {
		if e.Type == events.Map {
			got = append(got, e.Text())
			if e.Failed() != (e.Result == -1) {
				t.Errorf("%s: result %d", e.Text(), e.Result)
			}
		}
	}
	pid := find(t, list, "unshare", func(e *events.Event) bool { return e.Type == events.Unshare }).PID
	var want []string
	for _, line := range []string{
		`uid_map "0 12345 2\n" = EPERM  (a writer without CAP_SETUID may map one id only, 0:12345:2 has 2)`,
		`uid_map "0 0 1\n" = EPERM  (the parent's uid 0 can be mapped only with CAP_SETFCAP in the parent (Linux 5.12))`,
		`uid_map "nonsense\n" = EINVAL  (not an id map: line 1: "nonsense": want three numbers: inside, outside, count)`,
		`gid_map "0 12345 1\n" = EPERM  (a writer without CAP_SETGID must first write deny to /proc/PID/setgroups)`,
		`setgroups "never\n" = EINVAL  (the file takes only allow and deny)`,
		`uid_map "0 12345 1\n"`,
		`uid_map "0 12345 1\n" = EPERM  (the user namespace already has a uid_map, and it can be written only once)`,
	} {
		want = append(want, fmt.Sprintf("write /proc/%d/%s", pid, line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	ids := find(t, list, "setresuid", func(e *events.Event) bool { return e.Name == "setresuid" })
	if diff := cmp.Diff([]int64{12345, 12345, -1}, ids.Args.IDs[:3]); diff != "" && !slices.Equal(ids.Args.IDs, []int64{12345, 12345, 12345}) {
		t.Errorf("setresuid asked for %v", ids.Args.IDs)
	}
	if ids.UID != (nsinspect.IDs{Real: 12345, Effective: 12345, Saved: 12345, FS: 12345}) {
		t.Errorf("and became %v", ids.UID)
	}
}

func TestBPFSetns(t *testing.T) {
	proctest.NeedRoot(t)
	target := command(t, "unshare", "-u", "-n", "sleep", "600")
	tr := start(t)
	for namespaces(t, target.Process.Pid).UTS == namespaces(t, os.Getpid()).UTS {
		time.Sleep(time.Millisecond) // until unshare has done it; the test ends by its deadline else
	}
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(target.Process.Pid), "-u", "true")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bad := exec.Command("nsenter", "--uts=/proc/self/ns/net", "true") // another type than it is asked to be; nsenter tries twice
	if err := bad.Run(); err == nil {
		t.Error("nsenter took a network namespace for a UTS namespace")
	}
	list := tr.stop(cmd.Process.Pid, bad.Process.Pid)
	want := namespaces(t, target.Process.Pid)
	e := find(t, list, "setns", func(e *events.Event) bool { return e.Type == events.Setns && e.PID == cmd.Process.Pid })
	if e.Args.NS != want.UTS || e.Namespaces.UTS != want.UTS || e.Namespaces.Net == want.Net || !slices.Equal(e.Flags, []string{"CLONE_NEWUTS"}) || e.Failed() {
		t.Errorf("%s: %+v", e.Text(), e)
	}
	i := slices.IndexFunc(list, func(e *events.Event) bool { return e.Type == events.Setns && e.PID == bad.Process.Pid })
	if i < 0 {
		t.Fatalf("no refused setns, of\n%s", texts(list))
	}
	e = list[i]
	if e.Errno != "EINVAL" || e.Args.NS != namespaces(t, os.Getpid()).Net || e.Before != e.Namespaces {
		t.Errorf("%s: %+v", e.Text(), e)
	}
}

// Sixteen at once, each with its own chain of events.
func TestBPFSixteenAtOnce(t *testing.T) {
	tr := start(t)
	var pids []int
	for range 16 {
		pids = append(pids, command(t, "unshare", "-Urpmnuf", "--kill-child", "sleep", "600").Process.Pid)
	}
	tr.until(16, "exec of sleep", func(e *events.Event) bool { return e.Type == events.Exec && !e.Failed() && e.Comm == "sleep" })
	h := events.NewHistory()
	for _, e := range tr.stop(pids...) {
		h.Add(e)
	}
	s := h.Summary()
	seen := map[nsinspect.Inode]bool{}
	for _, started := range s.Starts {
		if !slices.Equal(started.Command, []string{"sleep", "600"}) || !slices.Equal(started.By, []string{"unshare"}) || len(started.New) != 5 || started.InsidePID != 1 {
			t.Errorf("started %+v", started)
		}
		for _, n := range started.New {
			if seen[n.Inode] {
				t.Errorf("two have %s:%v", n.Type, n.Inode)
			}
			seen[n.Inode] = true
		}
	}
	if len(s.Starts) != 16 {
		t.Errorf("%d starts, not 16", len(s.Starts))
	}
}

// Who may load no programs is told that, whichever of the maps is refused first.
func TestBPFOfOrdinaryUser(t *testing.T) {
	proctest.NeedRoot(t)
	for range 20 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "NSVIEW_TRACE_HELPER=open")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
		if out, err := cmd.CombinedOutput(); err == nil || string(out) != "load the BPF programs: operation not permitted\n" {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// Nothing is lost in a storm of short processes.
func TestBPFLosesNothing(t *testing.T) {
	tr := start(t)
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 2000 ]; do unshare -U true; i=$((i+1)); done")
	cmd.Stderr = io.Discard
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, e := range tr.stop(cmd.Process.Pid) {
		if !e.Failed() {
			counts[e.Name]++
		}
	}
	births := counts["clone"] + counts["vfork"] + counts["clone3"] + counts["fork"]
	if counts["unshare"] != 2000 || births != 2000 || counts["exec"] < 4000 || counts["exit"] != 2001 {
		t.Errorf("seen %v", counts)
	}
}

// What finds no place is counted: what was seen and what was lost are all that happened.
func TestBPFCountsWhatIsLost(t *testing.T) {
	proctest.NeedRoot(t)
	source, err := trace.OpenBPF(trace.Options{})
	proctest.Need(t, "bpf", err == nil, fmt.Sprint(err))
	const n = 20_000 // of which some 10,000 have a place
	tid := make(chan int)
	go func() {
		runtime.LockOSThread() // and its name ends with it
		name := []byte("lost\x00")
		for range n {
			if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
				t.Error(err)
			}
		}
		tid <- unix.Gettid()
	}()
	who := <-tid
	tr := startSource(t, source) // only now somebody reads
	tr.cancel()
	if err := <-tr.done; err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range tr.list {
		if e.TID == who && e.Args.Name == "lost" {
			seen++
		}
	}
	lost, err := source.Lost()
	if err != nil || seen == 0 || seen == n || lost.Events < uint64(n-seen) {
		t.Errorf("%d of %d seen, lost %+v: %v", seen, n, lost, err)
	}
}

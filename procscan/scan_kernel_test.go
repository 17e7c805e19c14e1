package procscan

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// find is the process with that PID.
func find(t testing.TB, snap *nsinspect.Snapshot, pid int) *nsinspect.Process {
	t.Helper()
	i := slices.IndexFunc(snap.Processes, func(p nsinspect.Process) bool { return p.PID == pid })
	if i < 0 {
		t.Fatalf("PID %d is not in the snapshot", pid)
	}
	return &snap.Processes[i]
}

// innermost follows the only children of pid.
func innermost(t testing.TB, snap *nsinspect.Snapshot, pid int) *nsinspect.Process {
	t.Helper()
	for {
		i := slices.IndexFunc(snap.Processes, func(p nsinspect.Process) bool { return p.PPID == pid })
		if i < 0 {
			return find(t, snap, pid)
		}
		pid = snap.Processes[i].PID
	}
}

func gapsOf(snap *nsinspect.Snapshot, pid int) []nsinspect.Gap {
	return slices.DeleteFunc(slices.Clone(snap.Gaps), func(g nsinspect.Gap) bool { return g.PID != pid })
}

// startChild runs the test binary as child what until the test is over, and returns its PID when it says "ready".
func startChild(t testing.TB, what string) int {
	t.Helper()
	cmd := selfCommand(t, what)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_, lines := proctest.Start(t, cmd)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("child %s: said %q, %v: %s", what, line, err, stderr.String())
	}
	return cmd.Process.Pid
}

// eventually waits until ok, at most ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// Every live process, against prometheus/procfs's reading of the same files.
func TestScanAgainstProcfs(t *testing.T) {
	root, err := procfs.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, p := range scanFacts(t, Args).Processes {
		other, err := root.Proc(p.PID)
		if err != nil {
			continue
		}
		stat, err := other.Stat()
		if err != nil || stat.Starttime != p.StartTime {
			continue // it ended
		}
		status, err := other.NewStatus()
		if err != nil {
			continue
		}
		args, err := other.CmdLine()
		if err != nil {
			continue
		}
		compared++
		uids := [4]uint64{uint64(p.Cred.UID.Real), uint64(p.Cred.UID.Effective), uint64(p.Cred.UID.Saved), uint64(p.Cred.UID.FS)}
		gids := [4]uint64{uint64(p.Cred.GID.Real), uint64(p.Cred.GID.Effective), uint64(p.Cred.GID.Saved), uint64(p.Cred.GID.FS)}
		pids := make([]uint64, len(p.PIDs))
		for i, pid := range p.PIDs {
			pids[i] = uint64(pid)
		}
		if uids != status.UIDs || gids != status.GIDs || !slices.Equal(pids, status.NSpids) || p.Comm != stat.Comm || p.PPID != stat.PPID {
			// It may have changed since, by exec for instance: then a new scan agrees.
			snap, err := Scan(t.Context(), Options{PIDs: []int{p.PID}})
			if err == nil && len(snap.Processes) == 1 && snap.Processes[0].Comm == p.Comm && cmp.Equal(snap.Processes[0].Cred, p.Cred) {
				t.Errorf("PID %d: %+v, procfs says %+v %+v", p.PID, p, stat, status)
			}
		}
		if len(args) > 0 && len(p.Args) > 0 && args[0] != p.Args[0] && !strings.HasPrefix(args[0], p.Args[0]) {
			t.Logf("PID %d: args %q, procfs says %q", p.PID, p.Args, args)
		}
	}
	if compared < 2 {
		t.Errorf("compared %d processes", compared)
	}
}

func TestScanNestedThreeDeep(t *testing.T) {
	needUserNS(t)
	deep := []string{"unshare", "-Urpf", "unshare", "-Urpf", "unshare", "-Urpf"}
	pid := park(t, deep, "")
	var snap *nsinspect.Snapshot
	var p *nsinspect.Process
	eventually(t, "the innermost shell executes cat", func() bool {
		snap = scanFacts(t, 0)
		p = innermost(t, snap, pid)
		return p.Comm == "cat"
	})
	if len(p.PIDs) != len(find(t, snap, os.Getpid()).PIDs)+3 || p.PIDs[len(p.PIDs)-1] != 1 || p.PIDs[0] != p.PID {
		t.Errorf("innermost process: %+v", p)
	}
	for _, l := range nsLinks() {
		if got, want := *l.of(&p.Namespaces), nsOf(t, p.PID, strings.TrimPrefix(l.file, "ns/")); got != want {
			t.Errorf("%s: %d, want %d", l.file, got, want)
		}
	}
	if p.Namespaces.User == snap.Observer.UserNS || p.Namespaces.PID == snap.Observer.PIDNS {
		t.Errorf("namespaces %+v", p.Namespaces)
	}
	if p.IDMaps < 0 {
		t.Fatal("no id maps")
	}
	want := nsinspect.IDMaps{
		UserNS: p.Namespaces.User, Setgroups: "deny",
		UID: idmap.Map{{Inside: 0, Outside: idmap.Kernel(os.Geteuid()), Count: 1}},
		GID: idmap.Map{{Inside: 0, Outside: idmap.Kernel(os.Getegid()), Count: 1}},
	}
	if diff := cmp.Diff(want, snap.IDMaps[p.IDMaps]); diff != "" {
		t.Errorf("id maps: (-want +got)\n%s", diff)
	}
	if gaps := gapsOf(snap, p.PID); len(gaps) > 0 {
		t.Errorf("gaps %+v", gaps)
	}
}

// A container on the host's PID namespace: its user namespace is its own, its PIDs are not.
func TestScanPIDNotUnshared(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-Urm"}, "")
	snap := scanFacts(t, 0)
	p := find(t, snap, pid)
	if p.Namespaces.PID != snap.Observer.PIDNS || !slices.Equal(p.PIDs, []int{pid}) {
		t.Errorf("PID namespace %d, PIDs %v", p.Namespaces.PID, p.PIDs)
	}
	if p.Namespaces.User != nsOf(t, pid, "user") || p.Namespaces.User == snap.Observer.UserNS {
		t.Errorf("user namespace %d", p.Namespaces.User)
	}
}

// A pod: two containers, told apart by their mount namespaces, in one PID namespace.
func TestScanSharedPIDNamespace(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-Urpf", "--kill-child"},
		"exec 9<&0; unshare -m sh -c 'exec cat <&9 >/dev/null' &")
	var first, second *nsinspect.Process
	eventually(t, "both containers run", func() bool {
		snap := scanFacts(t, 0)
		first, second = nil, nil
		for i := range snap.Processes {
			p := &snap.Processes[i]
			switch {
			case p.PPID == pid && p.Comm == "cat":
				first = p
			case first != nil && p.PPID == first.PID && p.Comm == "cat":
				second = p
			}
		}
		return second != nil
	})
	if first.Namespaces.PID != second.Namespaces.PID || first.Namespaces.Mnt == second.Namespaces.Mnt {
		t.Errorf("namespaces %+v and %+v", first.Namespaces, second.Namespaces)
	}
	if first.PIDs[len(first.PIDs)-1] != 1 || second.PIDs[len(second.PIDs)-1] == 1 {
		t.Errorf("PIDs %v and %v", first.PIDs, second.PIDs)
	}
}

// unshare(CLONE_NEWPID) does not move the caller: its children will be in the new namespace, the first as PID 1.
func TestScanPIDForChildren(t *testing.T) {
	needUserNS(t)
	t.Run("before the first fork", func(t *testing.T) {
		pid := park(t, []string{"unshare", "-Urp"}, "")
		snap := scanFacts(t, 0)
		p := find(t, snap, pid)
		if p.Namespaces.PID != snap.Observer.PIDNS {
			t.Errorf("PID namespace %d, want the observer's", p.Namespaces.PID)
		}
		if p.Namespaces.PIDForChildren == 0 || p.Namespaces.PIDForChildren == p.Namespaces.PID {
			t.Errorf("pid_for_children %d, PID namespace %d", p.Namespaces.PIDForChildren, p.Namespaces.PID)
		}
		if gaps := gapsOf(snap, pid); len(gaps) > 0 {
			t.Errorf("gaps %+v", gaps)
		}
	})
	t.Run("after it", func(t *testing.T) {
		pid := park(t, []string{"unshare", "-Urp"}, "exec 9<&0; cat <&9 >/dev/null &")
		snap := scanFacts(t, 0)
		parent, child := find(t, snap, pid), innermost(t, snap, pid)
		if child.Namespaces.PID != parent.Namespaces.PIDForChildren || child.Namespaces.PID == parent.Namespaces.PID {
			t.Errorf("parent %+v, child %+v", parent.Namespaces, child.Namespaces)
		}
		if child.PIDs[len(child.PIDs)-1] != 1 {
			t.Errorf("PIDs of the child: %v", child.PIDs)
		}
	})
}

// A zombie has no namespaces but two, and that is no gap.
func TestScanZombie(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	snap := scanFacts(t, Args|Threads)
	p := find(t, snap, cmd.Process.Pid)
	if p.State != "Z" || p.Comm != "true" || p.Args != nil || p.PPID != os.Getpid() {
		t.Errorf("zombie: %+v", p)
	}
	if p.Namespaces.User != snap.Observer.UserNS || p.Namespaces.PID != snap.Observer.PIDNS || p.Namespaces.Mnt != 0 {
		t.Errorf("namespaces %+v", p.Namespaces)
	}
	if p.IDMaps != snap.Observer.IDMaps {
		t.Errorf("id maps %d, want %d", p.IDMaps, snap.Observer.IDMaps)
	}
	if gaps := gapsOf(snap, p.PID); len(gaps) > 0 {
		t.Errorf("gaps %+v", gaps)
	}
}

// A process whose first thread has ended looks like a zombie, and goes on in its other threads.
func TestScanLeaderless(t *testing.T) {
	pid := startChild(t, "leaderless")
	var p *nsinspect.Process
	eventually(t, "the first thread has ended", func() bool {
		p = find(t, scanFacts(t, 0), pid)
		return p.State == "Z"
	})
	if p.Namespaces.Mnt != nsOf(t, os.Getpid(), "mnt") {
		t.Errorf("namespaces %+v", p.Namespaces)
	}
}

func TestScanHostileArgs(t *testing.T) {
	want := []string{"cat", "--", "a\nb", "\x1b[31mred\x1b[0m", "", "\xff\xfe", "$(reboot)", "-"}
	fifo := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	want = append(want, "", "")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `exec 3<>"$0"; read x <&3`, fifo)
	cmd.Args = append([]string{"sh", "-c", `exec 3<>"$0"; echo; read x <&3`, fifo}, want...)
	_, lines := proctest.Start(t, cmd)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cmd.Args, find(t, scanFacts(t, Args), cmd.Process.Pid).Args); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Threads may have namespaces and credentials of their own.
func TestScanThreads(t *testing.T) {
	proctest.NeedRoot(t)
	t.Run("namespaces", func(t *testing.T) {
		th, p := threadThat(t, func() error { return unix.Unshare(unix.CLONE_NEWUTS | unix.CLONE_NEWPID) })
		if th.Namespaces.UTS == p.Namespaces.UTS || th.Namespaces.Mnt != p.Namespaces.Mnt {
			t.Errorf("namespaces %+v", th.Namespaces)
		}
		if th.Namespaces.PIDForChildren == 0 || th.Namespaces.PIDForChildren == p.Namespaces.PIDForChildren {
			t.Errorf("pid_for_children %d, the process's %d", th.Namespaces.PIDForChildren, p.Namespaces.PIDForChildren)
		}
		if !cmp.Equal(th.Cred, p.Cred) || !slices.Equal(th.PIDs, []int{th.TID}) {
			t.Errorf("credentials %+v, PIDs %v", th.Cred, th.PIDs)
		}
	})
	t.Run("credentials", func(t *testing.T) {
		th, p := threadThat(t, func() error {
			_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, 4242, 0, 0) // returns the old one, never an error
			return nil
		})
		if th.Cred.UID.FS != 4242 || th.Cred.UID.Real != 0 || th.Namespaces != p.Namespaces {
			t.Errorf("uids %+v, namespaces %+v", th.Cred.UID, th.Namespaces)
		}
	})
	if p := find(t, scanFacts(t, 0), os.Getpid()); p.Threads != nil {
		t.Errorf("not asked for: %+v", p.Threads)
	}
}

// threadThat is what a scan says of a thread of this process that did something, and of the process.
func threadThat(t *testing.T, did func() error) (nsinspect.Thread, *nsinspect.Process) {
	t.Helper()
	var (
		snap *nsinspect.Snapshot
		tid  int
	)
	onThread(t, func() error {
		tid = unix.Gettid()
		if err := did(); err != nil {
			return err
		}
		// The scan runs on other threads: its goroutines are not locked to this one.
		taken := make(chan error)
		go func() {
			var err error
			snap, err = Scan(t.Context(), Options{Facts: Threads, PIDs: []int{os.Getpid()}})
			taken <- err
		}()
		return <-taken
	})
	p := find(t, snap, os.Getpid())
	i := slices.IndexFunc(p.Threads, func(t nsinspect.Thread) bool { return t.TID == tid })
	if i < 0 {
		t.Fatalf("thread %d is not among %+v", tid, p.Threads)
	}
	return p.Threads[i], p
}

func TestScanManyGroups(t *testing.T) {
	proctest.NeedRoot(t)
	groups := make([]uint32, 4000)
	want := make([]idmap.Kernel, len(groups))
	for i := range groups {
		groups[i] = 1<<31 + uint32(i)
		want[i] = idmap.Kernel(groups[i])
	}
	cmd := exec.CommandContext(t.Context(), "cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4001, Gid: 4002, Groups: groups}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	p := find(t, scanFacts(t, 0), cmd.Process.Pid)
	if !slices.Equal(p.Cred.Groups, want) || p.Cred.UID.Saved != 4001 || p.Cred.GID.FS != 4002 {
		t.Errorf("%d groups, uid %v, gid %v", len(p.Cred.Groups), p.Cred.UID, p.Cred.GID)
	}
}

package procscan

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// Three user namespaces deep; the process went on to the innermost, so that two have no process.
func TestGraphHiddenUserNamespaces(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-Ur", "unshare", "-Ur", "unshare", "-Ur"}, "")
	snap := scanFacts(t, Graph)

	chain := []nsinspect.Inode{nsOf(t, pid, "user")}
	for depth := range 3 {
		n := mustNamespace(t, snap, chain[depth])
		if n.Type != nsinspect.User || n.Parent == 0 || n.Parent != n.OwnerUserNS {
			t.Fatalf("depth %d: %+v", depth, n)
		}
		if got := int(n.OwnerUID); got != os.Geteuid() {
			t.Errorf("depth %d: owner uid %v, want %d", depth, n.OwnerUID, os.Geteuid())
		}
		hidden := depth > 0
		if hidden != (n.Processes == 0) || hidden != (n.Leader == 0) || hidden != (n.IDMaps == -1) {
			t.Errorf("depth %d: %d processes, leader %d, id maps %d", depth, n.Processes, n.Leader, n.IDMaps)
		}
		if hidden && !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinChild, Inode: chain[depth-1]}) {
			t.Errorf("depth %d: pins %+v lack the child", depth, n.Pins)
		}
		if n.ID == 0 {
			proctest.Need(t, "linux-6.18", false, "no NS_GET_ID")
		}
		chain = append(chain, n.Parent)
	}
	if chain[3] != snap.Observer.UserNS {
		t.Errorf("the chain %v ends outside the observer's user namespace %d", chain, snap.Observer.UserNS)
	}
	if n := mustNamespace(t, snap, chain[0]); n.Leader != pid || n.Processes != 1 {
		t.Errorf("leader %d of %d, want %d", n.Leader, n.Processes, pid)
	}
}

// The top of the observer's view is no gap.
func TestGraphTopIsNoGap(t *testing.T) {
	snap := scanFacts(t, Graph)
	top := mustNamespace(t, snap, snap.Observer.UserNS)
	if top.Parent != 0 || top.OwnerUserNS != 0 {
		t.Errorf("the observer's user namespace has parent %d, owner %d", top.Parent, top.OwnerUserNS)
	}
	for _, g := range snap.Gaps {
		if g.Subject == fmt.Sprintf("user namespace %d", top.Inode) {
			t.Errorf("gap %+v", g)
		}
	}
	if top.IDMaps != snap.Observer.IDMaps {
		t.Errorf("id maps %d, the observer's are %d", top.IDMaps, snap.Observer.IDMaps)
	}
}

// PID 1 of a PID namespace leads it, whichever process of it is in which other namespaces.
func TestGraphLeaderIsInit(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-Ur", "--pid", "--fork", "--kill-child", "--mount-proc"}, parkAnother+parkAnother)
	snap := scanFacts(t, Graph)
	n := mustNamespace(t, snap, nsOf(t, pid, "pid_for_children"))
	leader := snap.Process(n.Leader)
	if n.Processes != 3 || leader == nil || leader.PIDs[len(leader.PIDs)-1] != 1 || leader.PPID != pid {
		t.Errorf("%+v, leader %+v", n, leader)
	}
	if n.Parent != nsOf(t, pid, "pid") || n.OwnerUserNS != nsOf(t, pid, "user") {
		t.Errorf("parent %d, owner %d", n.Parent, n.OwnerUserNS)
	}
	if !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinForChildren, PID: pid}) {
		t.Errorf("pins %+v lack unshare(1) itself", n.Pins)
	}
	if n.OwnerUID != idmap.UnmappedKernel {
		t.Errorf("a PID namespace has owner uid %v", n.OwnerUID)
	}
}

// The clock of start times is coarse, and PIDs are used anew: neither makes another process the init.
func TestGraphLeader(t *testing.T) {
	initial := &nsinspect.Process{PID: 500, PIDs: []int{500, 1}, StartTime: 10}
	sameTick := &nsinspect.Process{PID: 400, PIDs: []int{400, 2}, StartTime: 10}
	later := &nsinspect.Process{PID: 300, PIDs: []int{300, 3}, StartTime: 11}
	for _, order := range [][]*nsinspect.Process{{later, sameTick, initial}, {initial, sameTick, later}} {
		for kind, want := range map[nsinspect.Type]*nsinspect.Process{nsinspect.PID: initial, nsinspect.User: sameTick} {
			n := node{ns: nsinspect.Namespace{Type: kind}}
			for _, p := range order {
				n.join(p)
			}
			if n.leader != want || n.ns.Processes != 3 {
				t.Errorf("%s: leader %d of %d, want %d", kind, n.leader.PID, n.ns.Processes, want.PID)
			}
		}
	}
}

// After unshare(CLONE_NEWPID) without a fork there is a PID namespace that no link leads to.
func TestGraphPIDNamespaceNeverForkedInto(t *testing.T) {
	needUserNS(t)
	// exec only: a fork would be the namespace's init. The shell of park writes with builtins until it becomes cat.
	pid := park(t, []string{"unshare", "-Ur", "--pid"}, "")
	if _, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid_for_children", pid)); err == nil {
		t.Fatal("the namespace has been forked into")
	}
	snap := scanFacts(t, Graph)
	p := snap.Process(pid)
	if p == nil || p.Namespaces.PIDForChildren == 0 || p.Namespaces.PIDForChildren == p.Namespaces.PID {
		t.Fatalf("process %+v", p)
	}
	n := mustNamespace(t, snap, p.Namespaces.PIDForChildren)
	if n.Processes != 0 || n.Leader != 0 || n.Parent != p.Namespaces.PID || n.OwnerUserNS != p.Namespaces.User {
		t.Errorf("%+v", n)
	}
	if !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinForChildren, PID: pid}) {
		t.Errorf("pins %+v", n.Pins)
	}
}

// A thread alone in a namespace: only with the fact Threads.
func TestGraphThread(t *testing.T) {
	proctest.NeedRoot(t)
	var inode nsinspect.Inode
	inThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			return err
		}
		n, err := openNS("/proc/thread-self/ns/uts")
		if err != nil {
			return err
		}
		defer n.close()
		inode = n.inode
		return nil
	}, func(tid int) {
		if n := scanFacts(t, Graph).Namespace(inode); n != nil {
			t.Errorf("without the fact Threads: %+v", n)
		}
		n := mustNamespace(t, scanFacts(t, Graph|Threads), inode)
		if !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinThread, PID: os.Getpid(), TID: tid}) || n.Processes != 0 || n.OwnerUserNS == 0 {
			t.Errorf("%+v", n)
		}
	})
}

// lsns(8) as an independent witness, on namespaces that only this test's process is in.
func TestGraphAgainstLsns(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-UrmniuC"}, "")
	snap := scanFacts(t, Graph)
	out, err := exec.Command("lsns", "-J", "-p", fmt.Sprint(pid), "-o", "NS,TYPE,NPROCS,PID").Output()
	proctest.Need(t, "lsns", err == nil, fmt.Sprint(err))
	var truth struct {
		Namespaces []struct {
			NS     nsinspect.Inode
			Type   nsinspect.Type
			NProcs int
			PID    int
		}
	}
	if err := json.Unmarshal(out, &truth); err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, want := range truth.Namespaces {
		n := mustNamespace(t, snap, want.NS)
		if n.Type != want.Type {
			t.Errorf("%d is a %s namespace, lsns says %s", n.Inode, n.Type, want.Type)
		}
		if n.Inode == snap.Observer.Namespaces.Of(n.Type) {
			continue // others come and go
		}
		own++
		if n.Processes != want.NProcs || n.Leader != want.PID || n.Leader != pid {
			t.Errorf("%s %d: %d processes, leader %d; lsns says %d, %d", n.Type, n.Inode, n.Processes, n.Leader, want.NProcs, want.PID)
		}
		if n.Type != nsinspect.User && n.OwnerUserNS != nsOf(t, pid, "user") {
			t.Errorf("%s %d: owner %d", n.Type, n.Inode, n.OwnerUserNS)
		}
		if (n.MntID != 0) != (n.Type == nsinspect.Mnt) {
			t.Errorf("%s %d: mnt id %d", n.Type, n.Inode, n.MntID)
		}
	}
	if own != 6 {
		t.Errorf("lsns knows %d namespaces of the process, want 6: %s", own, out)
	}
}

// What ends while it is looked at is simply not there.
func TestGraphWhileProcessesEnd(t *testing.T) {
	proctest.NeedRoot(t) // others' new processes are gaps for an ordinary user
	known := map[nsinspect.Gap]bool{}
	for _, g := range scanFacts(t, Graph|Mounts|FDPins|Threads).Gaps {
		known[g] = true
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := exec.Command("unshare", "-Urmnp", "--fork", "sh", "-c", "true & true & wait").Run(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	defer func() {
		close(stop)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	for range 20 {
		for _, g := range scanFacts(t, Graph|Mounts|FDPins|Threads).Gaps {
			// Other facts are another file's.
			ours := g.Fact == "relations" || g.Fact == "owner uid" || g.Fact == "mountinfo" || strings.HasSuffix(g.Fact, "fd")
			if ours && !known[g] {
				t.Errorf("gap %+v", g)
			}
		}
	}
}

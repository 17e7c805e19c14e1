package procscan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

func TestObserver(t *testing.T) {
	snap := scanFacts(t, 0)
	o := snap.Observer
	if o.PID != os.Getpid() || int(o.UID) != os.Geteuid() || int(o.GID) != os.Getegid() {
		t.Errorf("PID %d, uid %v, gid %v", o.PID, o.UID, o.GID)
	}
	self := find(t, snap, os.Getpid())
	if o.Namespaces != self.Namespaces || o.UserNS != self.Namespaces.User || o.PIDNS != self.Namespaces.PID || o.MntNS != self.Namespaces.Mnt {
		t.Errorf("namespaces %+v, as a process %+v", o, self.Namespaces)
	}
	if o.ProcPIDNS != o.PIDNS {
		t.Errorf("the procfs shows %d, the observer is in %d", o.ProcPIDNS, o.PIDNS)
	}
	if o.Caps != self.Cred.CapEff {
		t.Errorf("capabilities %x, as a process %x", o.Caps, self.Cred.CapEff)
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err != nil || strings.TrimSpace(string(release)) != o.Kernel {
		t.Errorf("kernel %q, want %q, %v", o.Kernel, release, err)
	}
	if name, err := os.Hostname(); err != nil || name != o.Hostname {
		t.Errorf("hostname %q, want %q, %v", o.Hostname, name, err)
	}
	if o.IDMaps != self.IDMaps || snap.IDMaps[o.IDMaps].UserNS != o.UserNS {
		t.Errorf("id maps %d, as a process %d: %+v", o.IDMaps, self.IDMaps, snap.IDMaps)
	}
}

// catAs runs cat with the ids until the test is over.
func catAs(t testing.TB, uid, gid uint32) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// openDir is a temporary directory that other users can enter.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inUserNS makes a command the root of a new user namespace.
func inUserNS(maps ...syscall.SysProcIDMap) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps, GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{Uid: 0, Gid: 0},
		}
	}
}

// 65534 is an id like any other, and what stands for an id without a mapping: only the observer's map tells.
func TestScanOverflowID(t *testing.T) {
	proctest.NeedRoot(t)
	nobody := catAs(t, 65534, 65534)    // the real one
	foreign := catAs(t, 4001, 4001)     // not mapped in any namespace below
	shifted := catAs(t, 165534, 165534) // 65534 in a namespace that begins at 100000
	ordinary := catAs(t, 100005, 100005)
	pids := []int{nobody, foreign, shifted, ordinary}

	const unmapped = idmap.UnmappedKernel
	for _, tt := range []struct {
		name    string
		edit    func(*exec.Cmd)
		initial bool
		want    []idmap.Kernel // of nobody, foreign, shifted, ordinary
		doubt   []bool
		own     idmap.Map
		parent  idmap.Map
	}{
		{
			"initial namespace", nil, true,
			[]idmap.Kernel{65534, 4001, 165534, 100005},
			[]bool{false, false, false, false},
			idmap.Identity(), nil,
		},
		{
			"a map without 65534", inUserNS(syscall.SysProcIDMap{HostID: 100000, Size: 1000}), false,
			[]idmap.Kernel{unmapped, unmapped, unmapped, 5},
			[]bool{false, false, false, false},
			idmap.Map{{Inside: 0, Outside: 0, Count: 1000}},
			idmap.Map{{Inside: 0, Outside: 100000, Count: 1000}},
		},
		{
			"a map with 65534", inUserNS(syscall.SysProcIDMap{HostID: 100000, Size: 65536}), false,
			[]idmap.Kernel{unmapped, unmapped, unmapped, 5},
			[]bool{true, true, true, false},
			idmap.Map{{Inside: 0, Outside: 0, Count: 65536}},
			idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}},
		},
		{
			"a full map that is not the initial one", inUserNS(syscall.SysProcIDMap{Size: 1<<32 - 1}), false,
			[]idmap.Kernel{unmapped, 4001, 165534, 100005},
			[]bool{true, false, false, false},
			idmap.Identity(), idmap.Identity(),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			snap := scanAs(t, Options{PIDs: pids}, tt.edit)
			o := snap.Observer
			if o.InitialNS != tt.initial || o.UID != 0 || o.OverflowUID != 65534 {
				t.Errorf("observer %+v", o)
			}
			own := snap.IDMaps[o.IDMaps]
			if !cmp.Equal(own.UID, tt.own) || !cmp.Equal(own.GID, tt.own) || !cmp.Equal(own.ParentUID, tt.parent) || own.UserNS != o.UserNS {
				t.Errorf("own maps %+v", own)
			}
			for i, pid := range pids {
				p := find(t, snap, pid)
				want := nsinspect.IDs{Real: tt.want[i], Effective: tt.want[i], Saved: tt.want[i], FS: tt.want[i]}
				if p.Cred.UID != want || p.Cred.GID != want {
					t.Errorf("process %d: uid %v, gid %v, want %v", i, p.Cred.UID, p.Cred.GID, want)
				}
				doubt := slices.ContainsFunc(gapsOf(snap, pid), func(g nsinspect.Gap) bool { return g.Fact == "ids" })
				if doubt != tt.doubt[i] {
					t.Errorf("process %d: gaps %+v, want one of ids: %v", i, gapsOf(snap, pid), tt.doubt[i])
				}
			}
		})
	}
}

// Without privilege the ns links of a stronger process in the observer's own user namespace cannot be read, but its map
// proves which namespace that is.
func TestScanOwnNamespaceByMap(t *testing.T) {
	proctest.NeedRoot(t)
	edit := inUserNS(syscall.SysProcIDMap{HostID: 100000, Size: 65536})
	snap := scanAs(t, Options{}, edit, "sh", "-c",
		"sleep 60 & p=$!; setpriv --reuid 1000 --regid 1000 --clear-groups /proc/self/fd/3; kill $p")
	if snap.Observer.UID != 1000 || snap.Observer.Caps != 0 {
		t.Fatalf("observer %+v", snap.Observer)
	}
	found := 0
	for _, p := range snap.Processes {
		if p.Namespaces.Mnt == 0 && p.Namespaces.User == snap.Observer.UserNS && p.Cred.UID.FS == 0 {
			found++
			if p.IDMaps != snap.Observer.IDMaps {
				t.Errorf("id maps %d of %+v", p.IDMaps, p)
			}
		}
		if p.PID == 1 && p.Namespaces.User != 0 {
			t.Errorf("PID 1 is taken to be in user namespace %d", p.Namespaces.User)
		}
	}
	if found < 2 { // sh and sleep
		t.Errorf("found %d processes of the namespace's root", found)
	}
}

// What an ordinary user gets: every row, ids and PIDs included; one gap a process for the namespaces.
func TestScanUnprivileged(t *testing.T) {
	proctest.NeedRoot(t)
	pid := catAs(t, 4001, 4001)
	mine := catAs(t, 4002, 4002)
	ns := park(t, []string{"unshare", "-Urpf"}, "")
	snap := scanAs(t, Options{Facts: Args}, asUser(4002, 4002))
	if snap.Observer.UID != 4002 || snap.Observer.Caps != 0 || !snap.Observer.InitialNS {
		t.Errorf("observer %+v", snap.Observer)
	}
	p := find(t, snap, pid)
	if p.Cred.UID.FS != 4001 || p.Comm != "cat" || p.PPID != os.Getpid() || !slices.Equal(p.Args, []string{"cat"}) || p.IDMaps < 0 {
		t.Errorf("a foreign process: %+v", p)
	}
	// Its one PID proves the PID namespace; nothing proves the user namespace.
	if want := (nsinspect.NamespaceSet{PID: nsOf(t, os.Getpid(), "pid")}); p.Namespaces != want {
		t.Errorf("namespaces of a foreign process: %+v, want %+v", p.Namespaces, want)
	}
	gaps := gapsOf(snap, pid)
	if len(gaps) != 1 || gaps[0].Fact != "namespaces" || gaps[0].Error != "permission denied" || gaps[0].Hint != "run as root" {
		t.Errorf("gaps %+v", gaps)
	}
	if p := find(t, snap, mine); p.Namespaces.Mnt == 0 || len(gapsOf(snap, mine)) > 0 {
		t.Errorf("a process of its own: %+v, gaps %+v", p, gapsOf(snap, mine))
	}
	inner := innermost(t, snap, ns)
	if len(inner.PIDs) != 2 || inner.PIDs[1] != 1 || inner.Namespaces.PID != 0 {
		t.Errorf("a process of another PID namespace: %+v", inner)
	}
	if m := snap.IDMaps[inner.IDMaps]; m.UserNS != 0 || !cmp.Equal(m.UID, idmap.Map{{Inside: 0, Outside: 0, Count: 1}}) {
		t.Errorf("its maps: %+v", m)
	}
	if find(t, snap, 1).Comm == "" {
		t.Error("PID 1 has no name")
	}
}

// A procfs mounted with hidepid says so in one gap, which names the option; who is in its group is exempt.
func TestScanHidepid(t *testing.T) {
	foreign, mine := 0, 0
	if os.Geteuid() == 0 {
		foreign, mine = catAs(t, 4001, 4001), catAs(t, 4002, 4002)
	}
	inPrivateMounts(t, func() error {
		for _, tt := range []struct {
			option, named string
			edit          func(*exec.Cmd)
			hidden        bool // the gap is there
			listed        bool // and so is the foreign process
		}{
			{"hidepid=2", "hidepid=invisible", asUser(4002, 4002), true, false},
			{"hidepid=2", "", asUser(4002, 0), false, true},
			{"hidepid=2,gid=4711", "", asUser(4002, 4002, 4711), false, true},
			{"hidepid=2,gid=4711", "hidepid=invisible", asUser(4002, 0), true, false},
			{"hidepid=2", "", nil, false, true},
			{"hidepid=4", "hidepid=ptraceable", asUser(4002, 4002, 0), true, false},
			{"hidepid=1", "hidepid=noaccess", asUser(4002, 4002), true, true},
			{"hidepid=0", "", asUser(4002, 4002), false, true},
		} {
			dir := openDir(t)
			if err := unix.Mount("proc", dir, "proc", 0, tt.option); err != nil {
				return fmt.Errorf("mount proc with %s: %w", tt.option, err)
			}
			snap := scanAs(t, Options{Proc: dir}, tt.edit)
			if err := unix.Unmount(dir, 0); err != nil {
				return err
			}
			name := fmt.Sprintf("%s as %d", tt.option, snap.Observer.GID)
			listed := slices.ContainsFunc(snap.Processes, func(p nsinspect.Process) bool { return p.PID == foreign })
			if listed != tt.listed {
				t.Errorf("%s: the foreign process is listed: %v", name, listed)
			}
			hidden := slices.DeleteFunc(slices.Clone(snap.Gaps), func(g nsinspect.Gap) bool { return g.Fact != "processes" })
			if tt.hidden != (len(hidden) == 1) || tt.hidden && (!strings.Contains(hidden[0].Error, tt.named) || hidden[0].Subject != dir) {
				t.Errorf("%s: gaps %+v", name, hidden)
			}
			if listed {
				gaps, noaccess := gapsOf(snap, foreign), tt.option == "hidepid=1"
				if snap.Observer.UID != 0 && (len(gaps) != 1 || noaccess != (gaps[0].Fact == "process")) {
					t.Errorf("%s: gaps of the foreign process: %+v", name, gaps)
				}
				if p := find(t, snap, foreign); p.Cred.UID.FS != 4001 || p.Cred.GID.Real != 4001 || p.PPID != os.Getpid() {
					t.Errorf("%s: the foreign process: %+v", name, p)
				}
			}
			// Only who has all the same ids may trace it.
			if snap.Observer.GID != 4002 {
				continue
			}
			if p := find(t, snap, mine); p.Cred.UID.FS != 4002 || p.Namespaces.User == 0 {
				t.Errorf("%s: a process of its own: %+v", name, p)
			}
		}
		return nil
	})
}

// A procfs may show another PID namespace than the observer's.
func TestScanOtherProc(t *testing.T) {
	needUserNS(t)
	t.Run("of a namespace below", func(t *testing.T) {
		pid := park(t, []string{"unshare", "-Urpf", "--mount-proc"}, "")
		outer := innermost(t, scanFacts(t, 0), pid)
		snap, err := Scan(t.Context(), Options{Proc: fmt.Sprintf("/proc/%d/root/proc", outer.PID)})
		if err != nil {
			t.Fatal(err)
		}
		if len(snap.Processes) != 1 {
			t.Fatalf("processes %+v", snap.Processes)
		}
		p := snap.Processes[0]
		if p.PID != 1 || !slices.Equal(p.PIDs, []int{1}) || p.Namespaces != outer.Namespaces || p.StartTime != outer.StartTime {
			t.Errorf("%+v is not %+v", p, outer)
		}
		o := snap.Observer
		if o.PID != 0 || o.ProcPIDNS != outer.Namespaces.PID || o.PIDNS != nsOf(t, os.Getpid(), "pid") || o.UserNS != nsOf(t, os.Getpid(), "user") {
			t.Errorf("observer %+v", o)
		}
	})
	t.Run("of a namespace above", func(t *testing.T) {
		snap := scanAs(t, Options{}, nil, "unshare", "-Urpf")
		o := snap.Observer
		self := find(t, snap, o.PID)
		if len(self.PIDs) < 2 || self.PIDs[len(self.PIDs)-1] != 1 || self.Namespaces != o.Namespaces {
			t.Errorf("observer %+v, as a process %+v", o, self)
		}
		if want := nsOf(t, os.Getpid(), "pid"); o.ProcPIDNS != want || o.PIDNS == want {
			t.Errorf("the procfs shows %d, want %d; the observer is in %d", o.ProcPIDNS, want, o.PIDNS)
		}
	})
	t.Run("of its own", func(t *testing.T) {
		snap := scanAs(t, Options{}, nil, "unshare", "-Urpf", "--mount-proc")
		o := snap.Observer
		if len(snap.Processes) != 1 || o.PID != 1 || o.ProcPIDNS != o.PIDNS || o.UID != 0 || o.InitialNS {
			t.Errorf("observer %+v, processes %+v", o, snap.Processes)
		}
		own := snap.IDMaps[o.IDMaps]
		if want := (idmap.Map{{Inside: 0, Outside: idmap.Kernel(os.Geteuid()), Count: 1}}); !cmp.Equal(own.ParentUID, want) {
			t.Errorf("maps %+v", own)
		}
	})
}

// Nothing is read beside the proc root: a scan of a procfs mounted elsewhere is the same with /proc covered up.
func TestScanProcRootOnly(t *testing.T) {
	pid := os.Getpid()
	inPrivateMounts(t, func() error {
		dir := openDir(t)
		if err := unix.Mount("proc", dir, "proc", 0, ""); err != nil {
			return err
		}
		defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
		// The child's shell covers /proc, after the binary was opened.
		exe := filepath.Join(dir, "self", "fd", "3")
		snap := scanAs(t, Options{Proc: dir, Facts: Args | Threads}, nil, "sh", "-c",
			"mount -t tmpfs none /proc && "+exe+"; s=$?; umount /proc; exit $s")
		if o := snap.Observer; o.UserNS != nsOf(t, pid, "user") || o.ProcPIDNS != nsOf(t, pid, "pid") || o.PID == 0 {
			t.Errorf("observer %+v", o)
		}
		if p := find(t, snap, pid); p.StartTime == 0 || len(p.Args) == 0 {
			t.Errorf("process %s: %+v", strconv.Itoa(pid), p)
		}
		return nil
	})
}

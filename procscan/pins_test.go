package procscan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// mountedOn is the inode of the namespace file at path in the root of pid.
func mountedOn(t testing.TB, pid int, path string) nsinspect.Inode {
	t.Helper()
	n, err := openNS(fmt.Sprintf("/proc/%d/root%s", pid, path))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	return n.inode
}

// everyKernel runs test with what this kernel has, and as if it could not list mount namespaces.
func everyKernel(t *testing.T, test func(t *testing.T, lacks features)) {
	t.Run("this kernel", func(t *testing.T) { test(t, 0) })
	t.Run("without NS_MNT_GET_NEXT", func(t *testing.T) { test(t, featMntWalk) })
	t.Run("without statmount", func(t *testing.T) { test(t, featStatmount) })
}

func scanLacking(t testing.TB, facts Fact, lacks features) *nsinspect.Snapshot {
	t.Helper()
	s, err := newScanner(Options{Facts: facts})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.lacks = lacks
	if err := s.readProcesses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if facts&Graph != 0 {
		s.readGraph(t.Context())
	}
	if facts&Mounts != 0 {
		s.readMounts(t.Context())
	}
	return s.snap
}

func TestPinBindMount(t *testing.T) {
	needUserNS(t)
	file := filepath.Join(t.TempDir(), "a b") // a name that mountinfo escapes
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pid := park(t, []string{"unshare", "-Urm"}, fmt.Sprintf("unshare --net='%s' true", file))
	inode := mountedOn(t, pid, file)
	everyKernel(t, func(t *testing.T, lacks features) {
		snap := scanLacking(t, Graph, lacks)
		n := mustNamespace(t, snap, inode)
		if n.Type != nsinspect.Net || n.Processes != 0 || n.Leader != 0 || n.OwnerUserNS != nsOf(t, pid, "user") {
			t.Errorf("%+v", n)
		}
		want := nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: file, MntNS: nsOf(t, pid, "mnt")}
		if len(n.Pins) != 1 || !hasPin(n, want) {
			t.Errorf("pins %+v, want %+v", n.Pins, want)
		}
		named := false
		for _, g := range snap.Gaps {
			named = named || g.Subject == "mount namespaces without a process" && g.Hint != ""
		}
		if want := lacks != 0 || os.Geteuid() != 0; named != want {
			t.Errorf("gaps %+v", snap.Gaps)
		}
	})
}

// A bind mount that the root of its namespace's only process does not show.
func TestPinBindMountOutsideChroot(t *testing.T) {
	needUserNS(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "pin")
	jail := filepath.Join(dir, "jail")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(jail, 0o700); err != nil {
		t.Fatal(err)
	}
	pid := park(t, []string{"unshare", "-Urm"}, fmt.Sprintf(`
unshare --uts='%[1]s' true
readlink /proc/self/ns/mnt >'%[2]s/mnt'
stat -L -c %%i '%[1]s' >'%[2]s/uts'
for d in bin lib lib64 usr dev; do mkdir '%[2]s'/$d; mount --rbind /$d '%[2]s'/$d; done
exec chroot '%[2]s' sh -c 'echo ready; exec cat >/dev/null'`, file, jail))
	text, err := os.ReadFile(filepath.Join(jail, "uts"))
	if err != nil {
		t.Fatal(err)
	}
	var inode nsinspect.Inode
	if _, err := fmt.Sscan(string(text), &inode); err != nil {
		t.Fatal(err)
	}
	snap := scanFacts(t, Graph|Mounts)
	want := nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: file, MntNS: nsOf(t, pid, "mnt")}
	if n := mustNamespace(t, snap, inode); !hasPin(n, want) {
		t.Errorf("pins %+v, want %+v", n.Pins, want)
	}

	// And the process has a table of its own, of which / is not a mount.
	table := snap.Mounts(snap.Process(pid).MountTable)
	if table == nil || table.Root != jail || table.PID != pid || table.MntNS != nsOf(t, pid, "mnt") {
		t.Fatalf("mount table %+v", table)
	}
	points := map[string]bool{}
	for _, m := range table.Mounts {
		points[m.Point] = true
	}
	if points["/"] || !points["/usr"] || points[file] {
		t.Errorf("mount points %v", points)
	}
}

// A bind mount in the observer's own mount namespace, outside its root.
func TestPinBindMountOutsideOwnRoot(t *testing.T) {
	proctest.NeedRoot(t)
	dir := t.TempDir()
	file, jail := filepath.Join(dir, "pin"), filepath.Join(dir, "jail")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var (
		snap  *nsinspect.Snapshot
		inode nsinspect.Inode
	)
	inPrivateMounts(t, func() error {
		if err := exec.Command("unshare", "--uts="+file, "true").Run(); err != nil {
			return err
		}
		n, err := openNS(file)
		if err != nil {
			return err
		}
		defer n.close()
		inode = n.inode
		for _, d := range []string{"bin", "lib", "lib64", "usr", "dev", "proc"} {
			point := filepath.Join(jail, d)
			if err := os.MkdirAll(point, 0o700); err != nil {
				return err
			}
			if err := unix.Mount("/"+d, point, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
				return fmt.Errorf("bind /%s: %w", d, err)
			}
		}
		if err := unix.Chroot(jail); err != nil {
			return err
		}
		snap, err = snapshotAs(t, Graph, nil)
		return err
	})
	n := mustNamespace(t, snap, inode)
	if len(n.Pins) != 1 || n.Pins[0].Kind != nsinspect.PinBindMount || n.Pins[0].MntNS != snap.Observer.MntNS {
		t.Errorf("%+v", n)
	}
}

// A place where something else is by now tells nothing about the namespace that was there.
func TestGraphOpensOnlyWhatWasThere(t *testing.T) {
	s, err := newScanner(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	g := &grapher{s: s, nodes: map[nodeKey]*node{}}
	other := g.node(nsinspect.UTS, 4026999999)
	other.place(nsPlace{pid: os.Getpid(), name: "ns/uts"})
	reused := g.node(nsinspect.UTS, nsOf(t, os.Getpid(), "mnt"))
	reused.place(nsPlace{pid: os.Getpid(), name: "ns/mnt", free: true})
	g.ask(t.Context())
	g.reportUnasked(t.Context())
	for _, n := range []*node{other, reused} {
		if n.asked || n.ns.OwnerUserNS != 0 {
			t.Errorf("%+v", n.ns)
		}
	}
	if len(s.snap.Gaps) != 0 {
		t.Errorf("gaps %+v", s.snap.Gaps)
	}
}

// The path to a pin leads through a FUSE file system whose daemon does not answer.
func TestPinBindMountHangs(t *testing.T) {
	proctest.NeedRoot(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	proctest.Need(t, "fuse", err == nil, fmt.Sprint("open /dev/fuse: ", err))
	daemon := os.NewFile(uintptr(fd), "fuse")
	defer daemon.Close() // who waits is answered then
	dir := t.TempDir()
	const pins = 10 // and they cost one deadline together
	inodes := map[string]bool{}
	inPrivateMounts(t, func() error {
		for i := range pins {
			file := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
			if err := exec.Command("unshare", "--uts="+file, "true").Run(); err != nil {
				return err
			}
			n, err := openNS(file)
			if err != nil {
				return err
			}
			inodes[fmt.Sprintf("uts namespace %d", n.inode)] = true
			n.close()
		}
		if err := unix.Mount("none", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
			return err
		}
		_, err := parkHere(t, []string{"env"}, "")
		return err
	})
	start := time.Now()
	snap := scanFacts(t, Graph)
	if took := time.Since(start); took > 3*bindDeadline {
		t.Errorf("the scan took %v", took)
	}
	gaps := 0
	for _, g := range snap.Gaps {
		if inodes[g.Subject] && g.Fact == "relations" && strings.Contains(g.Error, "no answer") {
			gaps++
		}
	}
	if gaps != pins {
		t.Errorf("%d gaps, want %d: %+v", gaps, pins, snap.Gaps)
	}
}

// A mount namespace without a process holds another namespace: nothing in /proc tells of that one.
func TestPinInMountNamespaceWithoutProcess(t *testing.T) {
	needUserNS(t)
	dir := t.TempDir()
	for _, name := range []string{"mnt", "uts", "inode"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A mount namespace may be mounted only in one with a lower id, and ids are given out in batches for each CPU.
	pid := park(t, []string{"taskset", "-c", firstCPU(t), "unshare", "-Urm"}, fmt.Sprintf(
		`cd '%s'; unshare --mount="$PWD/mnt" sh -c 'unshare --uts="$PWD/uts" true; stat -L -c %%i uts >inode'`, dir))
	text, err := os.ReadFile(filepath.Join(dir, "inode"))
	if err != nil {
		t.Fatal(err)
	}
	var uts nsinspect.Inode
	if _, err := fmt.Sscan(string(text), &uts); err != nil {
		t.Fatal(err)
	}
	mnt := mountedOn(t, pid, filepath.Join(dir, "mnt"))

	snap := scanFacts(t, Graph)
	m := mustNamespace(t, snap, mnt)
	if m.Processes != 0 || !hasPin(m, nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: filepath.Join(dir, "mnt"), MntNS: nsOf(t, pid, "mnt")}) {
		t.Errorf("mount namespace %+v", m)
	}
	n := mustNamespace(t, snap, uts)
	if !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: filepath.Join(dir, "uts"), MntNS: mnt}) {
		t.Errorf("uts namespace %+v", n)
	}
	found := false
	for _, g := range snap.Gaps {
		found = found || g.Subject == fmt.Sprintf("uts namespace %d", uts) && g.Fact == "relations"
	}
	if !found {
		t.Errorf("no gap says that the owner of the uts namespace could not be asked: %+v", snap.Gaps)
	}
}

// firstCPU is a CPU that this test may run on.
func firstCPU(t testing.TB) string {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	return fmt.Sprint(cpu)
}

// A user namespace that nothing holds but a network namespace it owns, which in turn nothing holds but a descriptor.
func TestPinOwned(t *testing.T) {
	needUserNS(t)
	var (
		net        *os.File
		user, nets nsinspect.Inode
	)
	t.Run("made", func(t *testing.T) { // its process ends with this subtest
		pid := park(t, []string{"unshare", "-Urn"}, "")
		user, nets = nsOf(t, pid, "user"), nsOf(t, pid, "net")
		var err error
		if net, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
			t.Fatal(err)
		}
	})
	pid := park(t, []string{"env"}, "", net)
	net.Close()
	snap := scanFacts(t, FDPins)
	three := 3
	n := mustNamespace(t, snap, nets)
	if n.OwnerUserNS != user || n.Processes != 0 || len(n.Pins) != 1 || !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinFD, PID: pid, FD: &three}) {
		t.Errorf("net %+v", n)
	}
	u := mustNamespace(t, snap, user)
	if u.Processes != 0 || u.Parent != snap.Observer.UserNS || len(u.Pins) != 1 ||
		!hasPin(u, nsinspect.Pin{Kind: nsinspect.PinOwned, Inode: nets, Type: nsinspect.Net}) {
		t.Errorf("user %+v", u)
	}
}

// An ordinary user sees the bind mounts of others, and by their roots which namespaces these hold; what hangs on these
// it may not ask.
func TestPinBindMountOfAnother(t *testing.T) {
	proctest.NeedRoot(t)
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pid := park(t, []string{"unshare", "-m"}, fmt.Sprintf("unshare --ipc='%s' true", file))
	inode := mountedOn(t, pid, file)
	snap, err := snapshotAs(t, FDPins, ordinary())
	if err != nil {
		t.Fatal(err)
	}
	n := mustNamespace(t, snap, inode)
	if n.Type != nsinspect.IPC || n.OwnerUserNS != 0 || !hasPin(n, nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: file}) {
		t.Errorf("%+v", n)
	}
	relations, fds := false, false
	for _, g := range snap.Gaps {
		relations = relations || g.Subject == fmt.Sprintf("ipc namespace %d", inode) && g.Fact == "relations" && g.Hint != ""
		fds = fds || g.PID == pid && g.Fact == "fd" && g.Hint != ""
	}
	if !relations || !fds {
		t.Errorf("gaps for relations %v, for descriptors %v: %+v", relations, fds, snap.Gaps)
	}
}

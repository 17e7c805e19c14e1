package procscan

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// Two processes of one mount namespace and root share a table; findmnt(8) sees the same mounts.
func TestMountTables(t *testing.T) {
	needUserNS(t)
	dir := t.TempDir()
	point := filepath.Join(dir, "a b\tc\nd\\040#é")
	if err := os.Mkdir(point, 0o700); err != nil {
		t.Fatal(err)
	}
	pid := park(t, []string{"unshare", "-Urm"}, `mount -t tmpfs 'x y#z' "`+dir+`"/a*`+"\n"+parkAnother)
	snap := scanFacts(t, Mounts)
	p := snap.Process(pid)
	mnt := nsOf(t, pid, "mnt")
	table := snap.Mounts(p.MountTable)
	if table == nil || table.MntNS != mnt || table.Root != "/" {
		t.Fatalf("process %+v, table %+v", p, table)
	}
	members := 0
	for _, q := range snap.Processes {
		if (q.Namespaces.Mnt == mnt) != (q.MountTable == p.MountTable) {
			t.Errorf("process %+v", q)
		}
		if q.MountTable == p.MountTable {
			members++
		}
	}
	if members != 2 {
		t.Errorf("%d processes share the table, want 2", members)
	}
	if p.MountTable == snap.Observer.MountTable {
		t.Error("it is the observer's table")
	}
	if m := findMount(table, point); m == nil || m.Source != "x y#z" || m.FSType != "tmpfs" {
		t.Errorf("the mount at %q: %+v", point, m)
	}

	out, err := exec.Command("findmnt", "-J", "-l", "--task", fmt.Sprint(pid), "-o", "ID,PARENT,TARGET,MAJ:MIN,FSROOT,FSTYPE").Output()
	proctest.Need(t, "findmnt", err == nil, fmt.Sprint(err))
	var truth struct {
		Filesystems []struct {
			ID, Parent int
			Target     string
			Dev        string `json:"maj:min"`
			FSRoot     string
			FSType     string
		}
	}
	if err := json.Unmarshal(out, &truth); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	type row struct {
		ID, Parent               int
		Point, Dev, Root, FSType string
	}
	var want, got []row
	for _, m := range truth.Filesystems {
		want = append(want, row{m.ID, m.Parent, m.Target, m.Dev, m.FSRoot, m.FSType})
	}
	for _, m := range table.Mounts {
		got = append(got, row{m.ID, m.Parent, m.Point, m.Dev, m.Root, m.FSType})
	}
	byID := func(a, b row) int { return a.ID - b.ID }
	slices.SortFunc(want, byID)
	slices.SortFunc(got, byID)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-findmnt +got)\n%s", diff)
	}
}

// A process that ended or moved on stands for no table: another of its group does.
func TestMountTablesReadAnother(t *testing.T) {
	needUserNS(t)
	pid := park(t, []string{"unshare", "-Urm"}, "")
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	s, err := newScanner(Options{Facts: Mounts})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.readProcesses(t.Context()); err != nil {
		t.Fatal(err)
	}
	mnt := nsOf(t, pid, "mnt")
	s.snap.Processes = []nsinspect.Process{ // as if all three had been in that namespace
		{PID: ended.Process.Pid, Namespaces: nsinspect.NamespaceSet{Mnt: mnt}, Root: "/"},
		{PID: os.Getpid(), Namespaces: nsinspect.NamespaceSet{Mnt: mnt}, Root: "/"},
		{PID: pid, Namespaces: nsinspect.NamespaceSet{Mnt: mnt}, Root: "/"},
	}
	s.snap.Gaps = nil
	s.readMounts(t.Context())
	for _, p := range s.snap.Processes {
		if table := s.snap.Mounts(p.MountTable); table == nil || table.PID != pid || table.MntNS != mnt {
			t.Errorf("pid %d has table %+v", p.PID, table)
		}
	}
	if len(s.snap.Gaps) != 0 {
		t.Errorf("gaps %+v", s.snap.Gaps)
	}
}

// An ordinary user may not read the links of others, and still sees which mounts are theirs, each table once.
func TestMountTablesUnprivileged(t *testing.T) {
	snap, err := snapshotAs(t, Mounts|Graph, ordinary())
	if err != nil {
		t.Fatal(err)
	}
	unlinked := 0
	for _, p := range snap.Processes {
		if p.State == "Z" {
			continue
		}
		table := snap.Mounts(p.MountTable)
		if table == nil {
			if content, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", p.PID)); err == nil {
				t.Errorf("pid %d has no table, and mountinfo with %d bytes", p.PID, len(content))
			}
		}
		if p.Namespaces.Mnt == 0 {
			unlinked++
		}
	}
	proctest.Need(t, "other users' processes", unlinked > 0, "every process is the observer's")
	first := map[firstMount]bool{}
	for _, table := range snap.MountTables {
		key := firstOf(table.Mounts)
		if first[key] {
			t.Errorf("two tables begin with %+v", key)
		}
		first[key] = true
	}
	if one := snap.Process(1); one != nil && one.Namespaces.Mnt == 0 {
		same, err := sameMounts(1, os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		table := snap.Mounts(one.MountTable)
		if same != (table != nil && table.MntNS == snap.Observer.MntNS) {
			t.Errorf("pid 1 shares the observer's mounts: %v, its table is of mount namespace %v", same, table.MntNS)
		}
	}
	named := false
	for _, g := range snap.Gaps {
		named = named || g.Subject == "mount namespaces without a process"
	}
	if !named {
		t.Error("no gap says that mount namespaces were not searched")
	}
	if snap.Namespace(snap.Observer.UserNS) == nil {
		t.Error("the observer's own user namespace is not in the graph")
	}
}

// Other users' mount namespaces: known by their mounts, apart from the host's, and chroots apart from both.
func TestMountTablesUnprivilegedOthers(t *testing.T) {
	proctest.NeedRoot(t)
	dir := t.TempDir()
	var (
		a, b, jailed int
		among        *nsinspect.Snapshot // of an observer in the same mount namespace
	)
	inPrivateMounts(t, func() error {
		err := unix.Mount("none", dir, "tmpfs", 0, "")
		if err != nil {
			return err
		}
		if a, err = parkHere(t, []string{"env"}, ""); err != nil {
			return err
		}
		if b, err = parkHere(t, []string{"env"}, ""); err != nil {
			return err
		}
		jail := filepath.Join(dir, "jail")
		jailed, err = parkHere(t, []string{"env"}, fmt.Sprintf(`
mkdir '%[1]s'
for d in bin lib lib64 usr dev; do mkdir '%[1]s'/$d; mount --rbind /$d '%[1]s'/$d; done
exec chroot '%[1]s' sh -c 'echo ready; exec cat >/dev/null'`, jail))
		if err != nil {
			return err
		}
		among, err = snapshotAs(t, Mounts, ordinary())
		return err
	})
	snap, err := snapshotAs(t, Mounts, ordinary())
	if err != nil {
		t.Fatal(err)
	}
	ta, tb, tj := snap.Process(a).MountTable, snap.Process(b).MountTable, snap.Process(jailed).MountTable
	if ta < 0 || ta != tb || tj < 0 || tj == ta || ta == snap.Observer.MountTable || tj == snap.Observer.MountTable {
		t.Fatalf("tables %d, %d and %d in a chroot; the observer's is %d", ta, tb, tj, snap.Observer.MountTable)
	}
	if m := findMount(snap.Mounts(ta), dir); m == nil || snap.Mounts(ta).MntNS != 0 {
		t.Errorf("%+v in mount namespace %v", m, snap.Mounts(ta).MntNS)
	}
	if findMount(snap.Mounts(tj), "/usr") == nil || findMount(snap.Mounts(tj), "/") != nil {
		t.Error("the chroot's table is not filtered by its root")
	}

	ta, tj = among.Process(a).MountTable, among.Process(jailed).MountTable
	if ta != among.Observer.MountTable || tj < 0 || tj == ta {
		t.Errorf("tables %d, and %d in a chroot; the observer's is %d", ta, tj, among.Observer.MountTable)
	}
	if got := among.Mounts(tj); got != nil && got.MntNS != among.Observer.MntNS {
		t.Errorf("the chroot's mounts are said to be in mount namespace %v, want %v", got.MntNS, among.Observer.MntNS)
	}
}

// sameMounts compares the first mounts of two processes the simple way.
func sameMounts(a, b int) (bool, error) {
	var ids [2]string
	for i, pid := range []int{a, b} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err != nil {
			return false, err
		}
		if _, err := fmt.Sscan(string(content), &ids[i]); err != nil {
			return false, err
		}
	}
	return ids[0] == ids[1], nil
}

package procscan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/taskiter"
)

// What the BPF iterator tells of namespaces is what ioctl_nsfs(2) does: also of namespaces whose owner or parent has no
// process, where only the ioctls lead on, of every kind, and of those made by somebody else than root.
func TestRelationsByBPFAreThoseByIoctl(t *testing.T) {
	proctest.NeedRoot(t)
	pids := []int{
		park(t, []string{"unshare", "-Ur", "unshare", "-Ur", "unshare", "-UrmniuC"}, ""),
		park(t, []string{"unshare", "-mniuC", "--time", "--fork", "--kill-child"}, ""),
		park(t, []string{"setpriv", "--reuid=1234", "--regid=1235", "--clear-groups", "unshare", "-Urmn"}, ""),
		park(t, nested(1), ""), park(t, nested(3), ""),
	}
	sc, err := newScanner(Options{Facts: Graph, Source: SourceBPF})
	if err != nil {
		t.Fatal(err)
	}
	defer sc.close()
	err = sc.readProcesses(t.Context())
	proctest.Need(t, "bpf", err == nil, errorText(err))
	sc.readGraph(t.Context())
	byBPF := sc.snap
	byIoctl, err := Scan(t.Context(), Options{Facts: Graph, Source: SourceProc})
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		p := byBPF.Process(pid)
		if p == nil {
			t.Errorf("process %d is not there", pid)
			continue
		}
		for _, kind := range nsinspect.Types() {
			inode := p.Namespaces.Of(kind)
			if _, ok := sc.relations[nodeKey{kind, inode}]; !ok && inode != byBPF.Observer.Namespaces.Of(kind) {
				t.Errorf("nothing was told of %s namespace %d, of process %d", kind, inode, pid)
			}
			for inode != 0 {
				got, want := mustNamespace(t, byBPF, inode), mustNamespace(t, byIoctl, inode)
				if told(got) != told(want) {
					t.Errorf("%s namespace %d of process %d: %+v by BPF, %+v by ioctl", kind, inode, pid, told(got), told(want))
				}
				inode = got.Parent
				if inode == 0 && got.Type != nsinspect.User {
					inode = got.OwnerUserNS
				}
			}
		}
	}
}

// The BPF iterator tells in which mount namespaces namespace files are mounted, and only these are looked into: what is
// found is what it was without. Where there are more of them than it tells, all are looked into.
func TestMountsByBPF(t *testing.T) {
	proctest.NeedRoot(t)
	file := filepath.Join(t.TempDir(), "ns")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	scan := func() *scanner {
		s, err := newScanner(Options{Facts: Graph, Source: SourceBPF})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		err = s.readProcesses(t.Context())
		proctest.Need(t, "bpf", err == nil, errorText(err))
		s.readGraph(t.Context())
		return s
	}
	bind := "mount --bind /proc/self/ns/uts " + file
	const many = 60
	before := scan()
	proctest.Need(t, "bpf-mounts", before.mounted.Known, "Linux before 6.18, or many mount namespaces with mounts of namespace files")
	bare := nsOf(t, park(t, []string{"unshare", "-mu"}, ""), "mnt")
	pids := []int{park(t, []string{"unshare", "-mu"}, bind)}
	for _, n := range []int{1, many} {
		for len(pids) < n {
			pids = append(pids, park(t, []string{"unshare", "-mu"}, bind))
		}
		s := scan()
		for _, pid := range pids {
			mnt, uts := nsOf(t, pid, "mnt"), nsOf(t, pid, "uts")
			if s.mounted.Known && (!s.mounted.In[mnt] || s.mounted.In[bare]) {
				t.Errorf("of %d mounts that in %d is %v, that in %d %v", len(pids), mnt, s.mounted.In[mnt], bare, s.mounted.In[bare])
			}
			if want := (nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: file, MntNS: mnt}); !hasPin(mustNamespace(t, s.snap, uts), want) {
				t.Errorf("of %d mounts %s in %d is not found", len(pids), file, mnt)
			}
		}
		if s.mounted.Known != (n == 1) {
			t.Errorf("%d mounts: known is %v", n, s.mounted.Known)
		}
	}
}

// told is what the iterator tells of a namespace.
func told(n *nsinspect.Namespace) taskiter.Relation {
	return taskiter.Relation{
		Type: n.Type, Inode: n.Inode, Parent: n.Parent, OwnerUserNS: n.OwnerUserNS, OwnerUID: n.OwnerUID, ID: n.ID, MntID: n.MntID,
	}
}

// A number that two namespaces had while processes were read is nobody's.
func TestRelationsOfANumberUsedAnew(t *testing.T) {
	r := relations{}
	one := taskiter.Relation{Type: nsinspect.Net, Inode: 4026532500, OwnerUserNS: 4026531837, ID: 7}
	r.add(one)
	r.add(one)
	if r[nodeKey{nsinspect.Net, 4026532500}] != one {
		t.Errorf("told twice: %+v", r)
	}
	another := one
	another.ID = 8
	for _, n := range []taskiter.Relation{another, one, another} {
		r.add(n)
		if got := r[nodeKey{nsinspect.Net, 4026532500}]; got.Inode != 0 {
			t.Errorf("told differently: %+v", got)
		}
	}
}

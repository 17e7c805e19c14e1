package procscan

import (
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

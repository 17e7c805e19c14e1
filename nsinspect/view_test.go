package nsinspect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

// Three PID namespaces deep: hostPID > 21 > 22 > 23.
func nestedHost() *Snapshot {
	s := host(
		in(10, 1, "outer", 11, 21, 31, 10, 1), in(11, 10, "middle", 12, 22, 32, 11, 2, 1), in(12, 11, "inner", 13, 23, 33, 12, 3, 2, 1),
	)
	s.Namespaces = []Namespace{
		{Type: PID, Inode: hostPID}, {Type: PID, Inode: 21, Parent: hostPID}, {Type: PID, Inode: 22, Parent: 21}, {Type: PID, Inode: 23, Parent: 22},
	}
	extent := func(outside idmap.Kernel, count uint32) idmap.Map { return idmap.Map{{Outside: outside, Count: count}} }
	s.IDMaps = append(s.IDMaps,
		IDMaps{UserNS: 11, UID: extent(100000, 65536), GID: extent(200000, 65536)},
		IDMaps{UserNS: 12, UID: extent(101000, 1000), GID: extent(201000, 1000)},
		IDMaps{UserNS: 13, UID: idmap.Map{{Inside: 5, Outside: 101005, Count: 1}}})
	for i := range s.Processes[1:4] {
		s.Processes[1+i].IDMaps = 1 + i
	}
	return s
}

func TestPIDIn(t *testing.T) {
	s := nestedHost()
	for _, tt := range []struct {
		pid  int
		ns   Inode
		want int
	}{
		{12, hostPID, 12},
		{12, 21, 3},
		{12, 22, 2},
		{12, 23, 1},
		{11, 22, 1},
		{11, 21, 2},
		{11, hostPID, 11},
		{1, hostPID, 1},
		{11, 23, 0},
		{1, 21, 0},
		{12, 0, 0},
		{12, 99, 0}, // not visible there
	} {
		got, ok := s.PIDIn(s.Process(tt.pid), tt.ns)
		if got != tt.want || ok != (tt.want != 0) {
			t.Errorf("PID of %d in %d: %d, %v, want %d", tt.pid, tt.ns, got, ok, tt.want)
		}
	}
}

// Without the graph only the two ends of the chain are known.
func TestPIDInWithoutGraph(t *testing.T) {
	s := nestedHost()
	s.Namespaces = nil
	p := s.Process(12)
	for ns, want := range map[Inode]int{23: 1, hostPID: 12, 22: 0, 21: 0} {
		if got, _ := s.PIDIn(p, ns); got != want {
			t.Errorf("in %d: %d, want %d", ns, got, want)
		}
	}
}

func TestIDsInNamespaces(t *testing.T) {
	s := nestedHost()
	for _, tt := range []struct {
		id   idmap.Kernel
		ns   Inode
		uid  idmap.Inside
		gid  idmap.Inside
		what string
	}{
		{101005, hostUser, 101005, 101005, "the observer's"},
		{101005, 11, 1005, idmap.UnmappedInside, "one deep"},
		{101005, 12, 5, idmap.UnmappedInside, "two deep"},
		{101005, 13, 5, idmap.UnmappedInside, "three deep, and no gid map was written"},
		{201000, 12, idmap.UnmappedInside, 0, "a gid"},
		{65534, 11, idmap.UnmappedInside, idmap.UnmappedInside, "the overflow id of the host is an id like others"},
		{165534, 11, 65534, idmap.UnmappedInside, "and so it is inside"},
		{1, 99, idmap.UnmappedInside, idmap.UnmappedInside, "a namespace of which nothing is known"},
	} {
		if uid, gid := s.UIDIn(tt.id, tt.ns), s.GIDIn(tt.id, tt.ns); uid != tt.uid || gid != tt.gid {
			t.Errorf("%s: %s in %d: uid %s, gid %s", tt.what, tt.id, tt.ns, uid, gid)
		}
	}
	if got := s.InsideUID(s.Process(12), 101005); got != 5 {
		t.Errorf("inside uid %s", got)
	}
	if got := s.InsideGID(s.Process(12), 101005); got.Mapped() {
		t.Errorf("inside gid %s of a map that was never written", got)
	}
	if got := s.InsideUID(s.Process(1), 7); got != 7 {
		t.Errorf("inside uid %s on the observer's own side", got)
	}
	s.Process(12).IDMaps = -1
	if got := s.InsideUID(s.Process(12), 101005); got.Mapped() {
		t.Errorf("inside uid %s of maps that are unknown", got)
	}
}

func TestShare(t *testing.T) {
	a := NamespaceSet{User: 1, PID: 2, Mnt: 3, Net: 4, UTS: 5}
	b := NamespaceSet{User: 1, PID: 9, Mnt: 3, Net: 0, UTS: 5}
	got := make(map[Type]Sharing)
	for _, row := range Share(&a, &b) {
		got[row.Type] = row.Sharing
	}
	want := map[Type]Sharing{
		User: Shared, PID: Separate, Mnt: Shared, Net: Unknown, UTS: Shared, IPC: Unknown, Cgroup: Unknown, Time: Unknown,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

package access

import (
	"slices"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// The user namespaces of these tests: the initial one has 10 (made by uid 1000) and 20 (made by root); 10 has 11 (made by
// uid 1000, too), 11 has 12. 30 is one whose parent could not be read.
func capNamespaces() map[nsinspect.Inode]*UserNS {
	list := make(map[nsinspect.Inode]*UserNS)
	for _, ns := range []*UserNS{
		{Inode: initialUserNS, Initial: true, Owner: 0},
		{Inode: 10, Parent: initialUserNS, Owner: 1000},
		{Inode: 11, Parent: 10, Owner: 1000},
		{Inode: 12, Parent: 11, Owner: 5},
		{Inode: 20, Parent: initialUserNS, Owner: 0},
		{Inode: 30, Owner: idmap.UnmappedKernel},
		{Inode: 31, Parent: initialUserNS, Owner: idmap.UnmappedKernel},
	} {
		list[ns.Inode] = ns
	}
	return list
}

func TestCapsIn(t *testing.T) {
	const some uint64 = 1 << 3
	tests := []struct {
		name    string
		euid    idmap.Kernel
		eff     uint64
		own, in nsinspect.Inode
		caps    uint64
		reason  CapReason
	}{
		{"its own", 1000, some, 10, 10, some, CapHeld},
		{"root over a child of another's", 0, some, initialUserNS, 10, some, CapDescendant},
		{"root over its own child", 0, some, initialUserNS, 20, EveryCap, CapOwner},
		{"the creator without capabilities", 1000, 0, initialUserNS, 10, EveryCap, CapOwner},
		{"the creator over a grandchild", 1000, 0, initialUserNS, 12, EveryCap, CapOwner},
		{"a stranger", 1001, 0, initialUserNS, 12, 0, CapDescendant},
		{"the owner of a grandchild is asked in its parent only", 5, some, initialUserNS, 12, some, CapDescendant},
		{"upwards", 1000, EveryCap, 11, 10, 0, CapAncestor},
		{"to the top", 1000, EveryCap, 12, initialUserNS, 0, CapAncestor},
		{"beside", 1000, EveryCap, 10, 20, 0, CapNotDescendant},
		{"below a sibling", 1000, EveryCap, 20, 12, 0, CapNotDescendant},
		{"parent unknown", 0, EveryCap, 10, 30, 0, CapUntold},
		{"owner unknown", 7, some, initialUserNS, 31, some, CapUntold},
		{"owner unknown, but everything is held", 7, EveryCap, initialUserNS, 31, EveryCap, CapDescendant},
		{"namespace not listed", 0, EveryCap, 10, 99, 0, CapUntold},
		{"own unknown", 0, EveryCap, 0, 10, 0, CapUntold},
		{"the other unknown", 0, EveryCap, 10, 0, 0, CapUntold},
	}
	for _, tt := range tests {
		caps, reason := CapsIn(capNamespaces(), tt.eff, tt.euid, tt.own, tt.in)
		if caps != tt.caps || reason != tt.reason {
			t.Errorf("%s: %x %s, want %x %s", tt.name, caps, reason, tt.caps, tt.reason)
		}
	}
}

// A circle of parents, as a forged snapshot may have, ends.
func TestCapsInCircle(t *testing.T) {
	list := map[nsinspect.Inode]*UserNS{5: {Inode: 5, Parent: 6}, 6: {Inode: 6, Parent: 5}}
	for _, own := range []nsinspect.Inode{5, 7} {
		if _, reason := CapsIn(list, 0, 0, own, 6); reason == CapNotDescendant || reason == CapHeld {
			t.Errorf("from %d: %s", own, reason)
		}
	}
}

func TestCapNames(t *testing.T) {
	if got := CapNames(1<<0 | 1<<40 | 1<<50); !slices.Equal(got, []string{"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_50"}) {
		t.Errorf("CapNames = %v", got)
	}
	if n := len(CapNames(EveryCap)); n != 41 {
		t.Errorf("%d capabilities", n)
	}
}

func TestFileCapsOver(t *testing.T) {
	const fowner = 1 << capFowner
	tests := []struct {
		name        string
		uid, gid    idmap.Kernel
		eff         uint64
		capable, as Answer
	}{
		{"both ids are mapped", 100000, 100005, fowner, Allow, Allow},
		{"nothing is held", 100000, 100005, 0, Deny, Deny},
		{"the gid is not", 100000, 5, fowner, Deny, Allow},
		{"the uid is not", 5, 100000, fowner, Deny, Deny},
		{"the owner needs nothing", 100999, 5, 0, Deny, Allow},
		{"unmapped in the mount", idmap.UnmappedKernel, 100000, fowner, Deny, Deny},
	}
	for _, tt := range tests {
		s := explainSubject()
		s.Cred.CapEff = tt.eff
		f := FileCapsOver(s, explainHost(), &Node{UID: ID{Seen: tt.uid, Known: true}, GID: ID{Seen: tt.gid, Known: true}})
		if f.Result != tt.capable || f.Owner != tt.as || f.Detail == "" || f.OwnerDetail == "" {
			t.Errorf("%s: %+v, want %s and as the owner %s", tt.name, f, tt.capable, tt.as)
		}
	}
	unknown := FileCapsOver(explainSubject(), explainHost(), &Node{GID: seen(100000)})
	if unknown.Result != Unknown || unknown.Owner != Unknown {
		t.Errorf("an id that is not known: %+v", unknown)
	}
}

func TestCapSet(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  uint64
	}{
		{nil, 0},
		{[]string{"CAP_CHOWN", "MKNOD", "CAP_NONE"}, 1<<0 | 1<<27},
		{[]string{"ALL"}, EveryCap},
		{[]string{"ALL", "-CAP_MKNOD"}, EveryCap &^ (1 << 27)},
		{CapNames(0xa80425fb), 0xa80425fb},
	} {
		if got := CapSet(tt.names); got != tt.want {
			t.Errorf("%v: %x, want %x", tt.names, got, tt.want)
		}
	}
}

package nsinspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// drawn is a tree as text: each namespace with its depth in dots.
func drawn(nodes []*NamespaceNode, depth int) string {
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&b, "%s%s %d\n%s", strings.Repeat(".", depth), n.Namespace.Type, n.Namespace.Inode, drawn(n.Children, depth+1))
	}
	return b.String()
}

func TestTrees(t *testing.T) {
	list := []Namespace{
		{Type: User, Inode: 1},
		{Type: User, Inode: 2, Parent: 1, OwnerUserNS: 1},
		{Type: User, Inode: 3, Parent: 2, OwnerUserNS: 2},
		{Type: PID, Inode: 10, OwnerUserNS: 1},
		{Type: PID, Inode: 11, Parent: 10, OwnerUserNS: 1},
		{Type: PID, Inode: 12, Parent: 11, OwnerUserNS: 2},
		{Type: Net, Inode: 20, OwnerUserNS: 3},
		{Type: Mnt, Inode: 30, OwnerUserNS: 99}, // its owner is not in the list
	}
	wantOwner := "user 1\n.user 2\n..user 3\n...net 20\n..pid 12\n.pid 10\n..pid 11\nmnt 30\n"
	if diff := cmp.Diff(wantOwner, drawn(OwnerTree(list), 0)); diff != "" {
		t.Error(diff)
	}
	wantParent := "pid 10\n.pid 11\n..pid 12\n"
	if diff := cmp.Diff(wantParent, drawn(ParentTree(list[3:6]), 0)); diff != "" {
		t.Error(diff)
	}
}

// A forged snapshot may put a namespace below itself. None is lost, and drawing ends.
func TestTreeOfForgedParents(t *testing.T) {
	list := []Namespace{
		{Type: User, Inode: 1, Parent: 1}, {Type: User, Inode: 2, Parent: 3}, {Type: User, Inode: 3, Parent: 2}, {Type: User, Inode: 4, Parent: 2},
	}
	want := "user 1\nuser 2\n.user 3\n.user 4\n"
	if diff := cmp.Diff(want, drawn(ParentTree(list), 0)); diff != "" {
		t.Error(diff)
	}
}

package nsinspect

import (
	"cmp"
	"slices"
)

// NamespaceNode is a namespace and what hangs below it.
type NamespaceNode struct {
	Namespace *Namespace
	Children  []*NamespaceNode
}

// OwnerTree hangs every namespace below the user namespace that owns it, and user namespaces below their parents; a PID
// namespace hangs below its parent PID namespace when one user namespace owns both. What has no owner in the list is a
// root.
func OwnerTree(list []Namespace) []*NamespaceNode {
	owner := make(map[Inode]Inode, len(list))
	for i := range list {
		owner[list[i].Inode] = list[i].OwnerUserNS
	}
	return tree(list, func(n *Namespace) Inode {
		switch {
		case n.Type == User && n.Parent != 0:
			return n.Parent
		case n.Type == PID && n.Parent != 0 && owner[n.Parent] == n.OwnerUserNS:
			return n.Parent
		}
		return n.OwnerUserNS
	})
}

// ParentTree hangs user and PID namespaces below their parents, as far as these are in the list.
func ParentTree(list []Namespace) []*NamespaceNode {
	return tree(list, func(n *Namespace) Inode { return n.Parent })
}

// tree hangs each namespace below the one that above names, when that is in the list.
func tree(list []Namespace, above func(*Namespace) Inode) []*NamespaceNode {
	nodes := make(map[Inode]*NamespaceNode, len(list))
	order := make([]*NamespaceNode, 0, len(list))
	for i := range list {
		if nodes[list[i].Inode] == nil {
			n := &NamespaceNode{Namespace: &list[i]}
			nodes[list[i].Inode] = n
			order = append(order, n)
		}
	}
	var roots []*NamespaceNode
	for _, n := range order {
		if up := nodes[above(n.Namespace)]; up != nil {
			up.Children = append(up.Children, n)
		} else {
			roots = append(roots, n)
		}
	}
	// What is above itself, which only a forged snapshot says, hangs below no root. It becomes one.
	reached := make(map[*NamespaceNode]bool, len(order))
	for _, n := range roots {
		n.mark(reached)
	}
	for _, n := range order {
		if !reached[n] {
			up := nodes[above(n.Namespace)]
			up.Children = slices.DeleteFunc(up.Children, func(child *NamespaceNode) bool { return child == n })
			roots = append(roots, n)
			n.mark(reached)
		}
	}
	for _, n := range order {
		sortNodes(n.Children)
	}
	sortNodes(roots)
	return roots
}

// mark enters n and all below it.
func (n *NamespaceNode) mark(reached map[*NamespaceNode]bool) {
	reached[n] = true
	for _, child := range n.Children {
		child.mark(reached)
	}
}

// sortNodes puts namespaces in the order of Types, and by inode.
func sortNodes(nodes []*NamespaceNode) {
	slices.SortFunc(nodes, func(a, b *NamespaceNode) int {
		return compareNamespaces(a.Namespace, b.Namespace)
	})
}

func compareNamespaces(a, b *Namespace) int {
	return cmp.Or(
		cmp.Compare(slices.Index(Types(), a.Type), slices.Index(Types(), b.Type)),
		cmp.Compare(a.Inode, b.Inode))
}

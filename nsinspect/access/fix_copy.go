package access

import (
	"maps"
	"slices"
)

// copier copies facts deeply enough to change them: what is shared in the original is shared in the copy.
type copier struct {
	nodes  map[*Node]*Node
	mounts map[*Mount]*Mount
	supers map[*Super]*Super
	hosts  map[*Host]*Host
}

func newCopier() *copier {
	return &copier{make(map[*Node]*Node), make(map[*Mount]*Mount), make(map[*Super]*Super), make(map[*Host]*Host)}
}

// copyFacts copies a subject and a walk. Names and the container are not copied: no fix changes them.
func copyFacts(s *Subject, w *Walk) (*Subject, *Walk) {
	c := newCopier()
	subject := *s
	subject.Cred.Groups = slices.Clone(s.Cred.Groups)
	return &subject, c.walk(w)
}

func (c *copier) walk(w *Walk) *Walk {
	if w == nil {
		return nil
	}
	to := *w
	to.Host, to.Start, to.New = c.host(w.Host), c.node(w.Start), c.walk(w.New)
	to.Steps = slices.Clone(w.Steps)
	for i := range to.Steps {
		l := &to.Steps[i]
		l.Dir, l.Found, l.End = c.node(l.Dir), c.node(l.Found), c.node(l.End)
	}
	return &to
}

func (c *copier) host(h *Host) *Host {
	if h == nil {
		return nil
	}
	if c.hosts[h] == nil {
		to := *h
		to.UserNS = maps.Clone(h.UserNS) // the namespaces themselves are replaced, never changed
		c.hosts[h] = &to
	}
	return c.hosts[h]
}

func (c *copier) node(n *Node) *Node {
	if n == nil {
		return nil
	}
	if to := c.nodes[n]; to != nil {
		return to
	}
	to := *n
	c.nodes[n] = &to
	to.ACL, to.DefaultACL, to.Mount = copyACL(n.ACL), copyACL(n.DefaultACL), c.mount(n.Mount)
	if n.Exec != nil {
		exec := *n.Exec
		exec.Interpreter = c.walk(n.Exec.Interpreter)
		to.Exec = &exec
	}
	if n.Overlay != nil {
		o := *n.Overlay
		o.Real, o.CopyUp = c.node(n.Overlay.Real), slices.Clone(n.Overlay.CopyUp)
		o.Below = slices.Clone(n.Overlay.Below)
		for i := range o.Below {
			o.Below[i] = c.node(o.Below[i])
		}
		for i := range o.CopyUp {
			o.CopyUp[i] = c.node(o.CopyUp[i])
		}
		to.Overlay = &o
	}
	return &to
}

func (c *copier) mount(m *Mount) *Mount {
	if m == nil {
		return nil
	}
	if c.mounts[m] == nil {
		to := *m
		if m.Super != nil {
			if c.supers[m.Super] == nil {
				super := *m.Super
				super.Options = slices.Clone(m.Super.Options)
				c.supers[m.Super] = &super
			}
			to.Super = c.supers[m.Super]
		}
		c.mounts[m] = &to
	}
	return c.mounts[m]
}

func copyACL(a *ACL) *ACL {
	if a == nil {
		return nil
	}
	return &ACL{Entries: slices.Clone(a.Entries)}
}

// eachNode visits every node of a walk once, also those of the second path, of interpreters and below overlays.
func eachNode(w *Walk, visit func(*Node)) {
	seen := make(map[*Node]bool)
	var node func(*Node)
	var walk func(*Walk)
	node = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		visit(n)
		if n.Exec != nil {
			walk(n.Exec.Interpreter)
		}
		if o := n.Overlay; o != nil {
			node(o.Real)
			for _, list := range [][]*Node{o.Below, o.CopyUp} {
				for _, real := range list {
					node(real)
				}
			}
		}
	}
	walk = func(w *Walk) {
		if w == nil {
			return
		}
		node(w.Start)
		for i := range w.Steps {
			node(w.Steps[i].Dir)
			node(w.Steps[i].Found)
			node(w.Steps[i].End)
		}
		walk(w.New)
	}
	walk(w)
}

// sameFile reports whether two nodes are one inode, perhaps through different mounts.
func sameFile(a, b *Node) bool {
	if a.Inode == 0 && b.Inode == 0 {
		return a.Path == b.Path
	}
	return a.Dev == b.Dev && a.Inode == b.Inode
}

// eachAlias visits every node of a walk that is the file of n, and what is below it on an overlay: a change through the
// overlay is made there.
func eachAlias(w *Walk, n *Node, visit func(*Node)) {
	eachNode(w, func(x *Node) {
		if !sameFile(x, n) {
			return
		}
		visit(x)
		if x.Overlay != nil && x.Overlay.Real != nil && !sameFile(x.Overlay.Real, n) {
			visit(x.Overlay.Real)
		}
	})
}

// denied is the node of a walk that a check was about, nil without one. What does not exist is looked for in the
// directory where it would be.
func denied(w *Walk, component string) *Node {
	var exact, last *Node
	for walk := w; walk != nil; walk = walk.New {
		for i := range walk.Steps {
			l := &walk.Steps[i]
			for _, n := range []*Node{l.Dir, l.Found, l.End} {
				if n != nil && n.Path == component {
					exact = n
				}
			}
			if l.Dir != nil && (l.Found == nil || walk.New == nil) {
				last = l.Dir
			}
		}
		if walk.Start != nil && walk.Start.Path == component && exact == nil {
			exact = walk.Start
		}
	}
	if exact != nil {
		return exact
	}
	return last
}

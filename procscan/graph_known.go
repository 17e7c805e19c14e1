package procscan

import (
	"context"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/taskiter"
)

// relations are what the BPF iterator told of namespaces: what ioctl_nsfs(2) would, without opening each of thousands.
type relations map[nodeKey]taskiter.Relation

// add takes what a process told. Where two tell different things, a namespace ended and another got its number: then
// nothing is known of it (Inode is 0).
func (r relations) add(n taskiter.Relation) {
	key := nodeKey{n.Type, n.Inode}
	if before, ok := r[key]; ok && before != n {
		n = taskiter.Relation{}
	}
	r[key] = n
}

// tell fills in what is known of the namespaces that processes are in.
func (g *grapher) tell() {
	for key, r := range g.s.relations {
		n := g.nodes[key]
		if n == nil || n.leader == nil || r.Inode == 0 {
			continue
		}
		n.asked, n.told = true, true
		n.ns.ID, n.ns.MntID = r.ID, r.MntID
		n.ns.Parent, n.ns.OwnerUserNS, n.ns.OwnerUID = r.Parent, r.OwnerUserNS, r.OwnerUID
	}
}

// withoutFiles says that no namespace file is mounted in the mount namespace with that id: the BPF iterator came across
// it, and then across no such mount in it.
func (g *grapher) withoutFiles(inode nsinspect.Inode, id uint64) bool {
	n, m := g.nodes[nodeKey{nsinspect.Mnt, inode}], &g.s.mounted
	return n != nil && n.told && n.ns.MntID == id && id != 0 && m.Known && !m.In[inode] && g.s.lacks&featStatmount == 0
}

// askAbove asks the namespaces that were told but not asked, where what they told of is not known: it has no process,
// and only they lead to it.
func (g *grapher) askAbove(ctx context.Context) {
	known := func(t nsinspect.Type, inode nsinspect.Inode) bool {
		above := g.nodes[nodeKey{t, inode}]
		return inode == 0 || above != nil && above.asked
	}
	for _, n := range g.sorted() {
		if ctx.Err() != nil {
			return
		}
		if !n.told || known(nsinspect.User, n.ns.OwnerUserNS) && known(n.ns.Type, n.ns.Parent) {
			continue
		}
		if f := g.open(ctx, n); f != nil {
			g.questions(n, f)
			f.close()
		}
	}
}

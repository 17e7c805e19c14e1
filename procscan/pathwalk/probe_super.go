package pathwalk

import (
	"fmt"
	"strconv"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
)

// superOwner is the user namespace that owns a superblock.
type superOwner struct {
	ns      nsinspect.Inode
	assumed bool
}

// superOwner is the user namespace that owns a superblock. No interface shows it. File systems that only the initial user
// namespace may mount are its own; of the others it is the one that owns the outermost mount namespace which has the
// superblock now: the number of a superblock that is gone is given to the next one.
func (p *probe) superOwner(t *taskNow, mount uint64, dev, fsType string) superOwner {
	initial := p.snap.Observer.UserNS
	switch fsType {
	case "tmpfs", "ramfs", "overlay", "fuse", "fuseblk", "proc", "sysfs", "mqueue", "cgroup", "cgroup2", "devpts", "bpf", "binfmt_misc":
	default:
		if !isFUSE(fsType) {
			return superOwner{ns: initial}
		}
	}
	if o, ok := p.superOwners[mount]; ok {
		return o
	}
	o := superOwner{ns: t.Owner, assumed: t.Owner != initial}
	switch {
	case t.MntNS == p.snap.Observer.MntNS || p.observerHas(dev):
		o = superOwner{ns: initial}
	case t.Owner != initial:
		for i := range p.snap.MountTables {
			table := &p.snap.MountTables[i]
			if n := p.snap.Namespace(table.MntNS); n != nil && access.IsAncestor(p.host.UserNS, n.OwnerUserNS, o.ns) && p.hasNow(table, dev) {
				o = superOwner{ns: n.OwnerUserNS, assumed: n.OwnerUserNS != initial}
			}
		}
	}
	p.superOwners[mount] = o
	return o
}

// observerHas reports whether a superblock is among the observer's mounts now.
func (p *probe) observerHas(dev string) bool {
	if n, err := p.shown(dev); err == nil {
		return n > 0
	}
	mounts := p.snap.Mounts(p.snap.Observer.MountTable)
	return mounts != nil && hasDev(mounts.Mounts, dev)
}

// shown is how many mounts the observer has of a superblock now.
func (p *probe) shown(dev string) (int, error) {
	now, err := p.ownMounts()
	if err != nil {
		return 0, err
	}
	if p.devs == nil {
		p.devs = make(map[string]int, len(now))
		for i := range now {
			p.devs[now[i].Dev]++
		}
	}
	return p.devs[dev], nil
}

// ownMounts are the observer's mounts now.
func (p *probe) ownMounts() ([]nsinspect.Mount, error) {
	if p.watch == nil {
		return nil, fmt.Errorf("%s/self/mountinfo cannot be read", p.proc)
	}
	mounts, fresh, err := p.watch.Mounts()
	if fresh {
		p.devs = nil
	}
	return mounts, err
}

// hasNow reports whether a mount table of the snapshot has a superblock now.
func (p *probe) hasNow(t *nsinspect.MountTable, dev string) bool {
	h, err := procscan.Hold(p.proc, strconv.Itoa(t.PID))
	if err != nil {
		return hasDev(t.Mounts, dev)
	}
	defer h.Close()
	if ns, err := h.NS(nsinspect.Mnt); err == nil && ns == t.MntNS {
		if now, err := h.Mounts(); err == nil {
			return hasDev(now, dev)
		}
	}
	return hasDev(t.Mounts, dev)
}

func hasDev(mounts []nsinspect.Mount, dev string) bool {
	for i := range mounts {
		if mounts[i].Dev == dev {
			return true
		}
	}
	return false
}

package pathwalk

import (
	"slices"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// mayBeLocked are the flags of a mount that it may have from a mount namespace of a more privileged user namespace: the
// copy that such a namespace starts with, and binds of it, have those locked (lock_mnt_tree() in fs/namespace.c). No
// interface shows it, so each flag counts that a mount of the same files has there too, or one at the same place, whose
// root may have been renamed since.
func (p *probe) mayBeLocked(t *taskNow, m *access.Mount, root string) []string {
	if t.Owner == p.snap.Observer.UserNS || !m.ReadOnly && !m.NoExec && !m.NoDev {
		return nil
	}
	var flags []string
	for _, table := range p.tablesAbove(t.Owner) {
		for k := range table.Mounts {
			from := &table.Mounts[k]
			if from.Dev != m.Super.Dev || !isBelow(root, from.Root) && from.Point != m.Point {
				continue
			}
			for flag, set := range map[string]bool{"ro": m.ReadOnly, "noexec": m.NoExec, "nodev": m.NoDev} {
				if set && slices.Contains(from.Options, flag) && !slices.Contains(flags, flag) {
					flags = append(flags, flag)
				}
			}
		}
	}
	slices.Sort(flags)
	return flags
}

// tablesAbove are the mount tables of namespaces that a user namespace above ns owns.
func (p *probe) tablesAbove(ns nsinspect.Inode) []*nsinspect.MountTable {
	tables, known := p.above[ns]
	if known {
		return tables
	}
	for i := range p.snap.MountTables {
		table := &p.snap.MountTables[i]
		if n := p.snap.Namespace(table.MntNS); n != nil && access.IsAncestor(p.host.UserNS, n.OwnerUserNS, ns) {
			tables = append(tables, table)
		}
	}
	p.above[ns] = tables
	return tables
}

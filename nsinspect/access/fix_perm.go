package access

import (
	"fmt"
	"slices"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/shell"
)

// The kinds of changes to the permissions of one file.
const (
	kindACL   kind = "acl"
	kindMode  kind = "mode"
	kindGroup kind = "group"
	kindOwner kind = "owner"
)

// wants are sets of permissions, the smallest first: none at all where a new owner or group is enough.
var wants = [...]uint32{0, 1, 4, 2, 5, 3, 6, 7}

// permissionChanges give more permission on the file that refuses: the smallest set that gets past it.
func permissionChanges(p problem) []change {
	n := p.node
	if n == nil || p.v.Errno != "EACCES" && p.v.Rule != RuleProtectedHardlinks || n.Type == Symlink || toChange(p.s, n).path == "" {
		return nil
	}
	offers := []func(*problem, uint32) (change, bool){aclUser, classBits}
	for _, group := range firstFew(append([]idmap.Kernel{p.s.Cred.GID.FS}, p.s.Cred.Groups...)) {
		offers = append(offers, func(p *problem, perm uint32) (change, bool) { return ownGroup(p, group, perm) })
	}
	var list []change
	for _, offer := range offers {
		for _, perm := range wants {
			if c, ok := offer(&p, perm); ok && p.gets(c) {
				list = append(list, c)
				break
			}
		}
	}
	return list
}

// firstFew are the groups that a fix may be about: some subjects are in hundreds.
func firstFew(groups []idmap.Kernel) []idmap.Kernel { return groups[:min(len(groups), 4)] }

// aclUser is an ACL entry for the subject's own id.
func aclUser(p *problem, perm uint32) (change, bool) {
	n, at, who := p.node, toChange(p.s, p.node), p.s.Cred.UID.FS
	id, ok := at.written(p.w.Host, n.Mount, idmap.UID, who)
	if at.same && namesUnmapped(n.ACL) {
		return change{}, false // setfacl(1) cannot write such an entry back
	}
	if !ok || perm == 0 || n.NoACL || n.ACLMissing != "" || p.s.isOwner(n) || noACLs(n) {
		return change{}, false
	}
	entry := p.s.granted(n) | perm
	spec := fmt.Sprintf("u:%s:%s", id, permLetters(entry))
	opens := fmt.Sprintf("%s may %s %s", p.s.called(p.w.Host, idmap.UID, who), verbs(n, entry), shell.Arguments(n.Path))
	mask := entry | n.Mode>>3&7
	if n.ACL != nil {
		// setfacl would compute a mask that has every entry count in full.
		spec += ",m::" + permLetters(mask)
		if mask != n.Mode>>3&7 {
			opens += ", and the mask no longer holds other entries below " + permLetters(mask)
		}
	}
	return change{
		kind: kindACL, rank: rankUser, title: fmt.Sprintf("let %s %s %s", p.s.called(p.w.Host, idmap.UID, who), verbs(n, perm), shell.Arguments(at.path)),
		commands: []string{shell.Command("setfacl", "-m", spec, "--", at.path)}, opens: opens, deeds: []deed{aclOf(n, who)},
		apply: func(_ *Subject, w *Walk) {
			disk := n.Mount.IDs(w.Host, idmap.UID).OnDisk(who)
			eachAlias(w, n, func(x *Node) {
				setEntry(x, ACLUser, x.Mount.IDs(w.Host, idmap.UID).SeenAs(disk), entry)
				setEntry(x, ACLMask, 0, mask)
				x.Mode = x.Mode&^0o070 | mask<<3
			})
		},
	}, true
}

// namesUnmapped reports whether an ACL has an entry of an id that the mount does not map.
func namesUnmapped(a *ACL) bool {
	return a != nil && slices.ContainsFunc(a.Entries, func(e ACLEntry) bool { return (e.Tag == ACLUser || e.Tag == ACLGroup) && !e.ID.Mapped() })
}

// noACLs reports whether a file system is known to store none.
func noACLs(n *Node) bool {
	if n.Mount == nil || n.Mount.Super == nil {
		return false
	}
	switch n.Mount.Super.FSType {
	case "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "vfat", "exfat", "msdos", "iso9660", "ramfs", "hugetlbfs":
		return true
	}
	return false
}

// setEntry sets one entry of an ACL, which it makes from the mode when there is none.
func setEntry(n *Node, tag ACLTag, id idmap.Kernel, perm uint32) {
	if n.ACL == nil {
		n.ACL = &ACL{Entries: []ACLEntry{
			{Tag: ACLUserObj, Perm: n.Mode >> 6 & 7}, {Tag: ACLGroupObj, Perm: n.Mode >> 3 & 7}, {Tag: ACLOther, Perm: n.Mode & 7},
		}}
	}
	order := []ACLTag{ACLUserObj, ACLUser, ACLGroupObj, ACLGroup, ACLMask, ACLOther}
	for i := range n.ACL.Entries {
		e := &n.ACL.Entries[i]
		if e.Tag == tag && (e.ID == id || tag != ACLUser && tag != ACLGroup) {
			e.Perm = perm
			return
		}
		if slices.Index(order, e.Tag) > slices.Index(order, tag) {
			n.ACL.Entries = slices.Insert(n.ACL.Entries, i, ACLEntry{Tag: tag, ID: id, Perm: perm})
			return
		}
	}
}

// classBits is more permission for the class that the subject is in: the owner, the group or an ACL's entry for one of
// the subject's groups, or everyone else, who are never allowed to write.
func classBits(p *problem, perm uint32) (change, bool) {
	n, at := p.node, toChange(p.s, p.node)
	if perm == 0 {
		return change{}, false
	}
	c := change{kind: kindMode}
	set := func(x *Node) { x.Mode |= perm }
	spec, who := "", ""
	switch {
	case p.s.isOwner(n):
		spec, who, c.rank = "u+", "its owner", rankSelf
		set = func(x *Node) {
			x.Mode |= perm << 6
			if x.ACL != nil {
				setEntry(x, ACLUserObj, 0, x.Mode>>6&7)
			}
		}
	case p.v.Rule == RuleACLMask && at.same && namesUnmapped(n.ACL):
		return change{}, false
	case p.v.Rule == RuleACLMask:
		mask := n.Mode>>3&7 | perm
		c.commands, c.deeds = []string{shell.Command("setfacl", "-m", "m::"+permLetters(mask), "--", at.path)}, []deed{aclOf(n)}
		who, c.rank = "every user and group in its ACL, up to "+permLetters(mask)+",", rankGroup
		set = func(x *Node) {
			setEntry(x, ACLMask, 0, mask)
			x.Mode |= perm << 3
		}
	case p.v.Rule == RuleACLUser:
		return change{}, false // aclUser changes that entry
	case p.s.inGroup(n.GID.Seen) && n.ACL == nil:
		spec, who, c.rank = "g+", "every member of "+p.s.called(p.w.Host, idmap.GID, n.GID.Seen), rankGroup
		set = func(x *Node) { x.Mode |= perm << 3 }
	case p.v.Rule == RuleACLGroup:
		return aclGroup(p, perm)
	case perm&2 != 0:
		return change{}, false // never writable for everyone
	default:
		spec, who, c.rank = "o+", "everyone on the host and in every container", rankOther
		set = func(x *Node) {
			x.Mode |= perm
			if x.ACL != nil {
				setEntry(x, ACLOther, 0, x.Mode&7)
			}
		}
	}
	if spec != "" {
		c.commands, c.deeds = []string{shell.Command("chmod", spec+permLetters(perm), "--", at.path)}, []deed{chmodOf(n)}
	}
	c.title = fmt.Sprintf("let %s %s %s", who, verbs(n, perm), shell.Arguments(at.path))
	c.opens = fmt.Sprintf("%s may %s %s", who, verbs(n, perm), shell.Arguments(n.Path))
	c.apply = func(_ *Subject, w *Walk) { eachAlias(w, n, set) }
	return c, true
}

// aclGroup is more permission for the group entry that the subject matches.
func aclGroup(p *problem, perm uint32) (change, bool) {
	n, at := p.node, toChange(p.s, p.node)
	if n.ACL == nil || at.same && namesUnmapped(n.ACL) {
		return change{}, false
	}
	for _, e := range n.ACL.Entries {
		group := e.ID
		if e.Tag == ACLGroupObj {
			group = n.GID.Seen
		}
		if e.Tag != ACLGroup && e.Tag != ACLGroupObj || !p.s.inGroup(group) {
			continue
		}
		entry, mask := e.Perm|perm, n.Mode>>3&7|perm
		spec := "g::" + permLetters(entry)
		if e.Tag == ACLGroup {
			id, ok := at.written(p.w.Host, n.Mount, idmap.GID, group)
			if !ok {
				continue
			}
			spec = fmt.Sprintf("g:%s:%s", id, permLetters(entry))
		}
		who := "every member of " + p.s.called(p.w.Host, idmap.GID, group)
		return change{
			kind: kindMode, rank: rankGroup, title: fmt.Sprintf("let %s %s %s", who, verbs(n, perm), shell.Arguments(at.path)),
			commands: []string{shell.Command("setfacl", "-m", spec+",m::"+permLetters(mask), "--", at.path)}, deeds: []deed{aclOf(n)},
			opens: fmt.Sprintf("%s may %s %s", who, verbs(n, entry), shell.Arguments(n.Path)),
			apply: func(_ *Subject, w *Walk) {
				eachAlias(w, n, func(x *Node) {
					setEntry(x, e.Tag, e.ID, entry)
					setEntry(x, ACLMask, 0, mask)
					x.Mode = x.Mode&^0o070 | mask<<3
				})
			},
		}, true
	}
	return change{}, false
}

// ownGroup gives the file to one of the subject's groups, with permissions for that group. Never a directory on the way:
// others use it too.
func ownGroup(p *problem, group idmap.Kernel, perm uint32) (change, bool) {
	n, at := p.node, toChange(p.s, p.node)
	id, ok := at.written(p.w.Host, n.Mount, idmap.GID, group)
	if !ok || n.ACL != nil || p.s.isOwner(n) || p.s.inGroup(n.GID.Seen) || !atEnd(p.w, n) {
		return change{}, false
	}
	more := (perm | p.s.granted(n)) &^ (n.Mode >> 3 & 7)
	add := ""
	if more != 0 {
		add = "g+" + permLetters(more)
	}
	commands := p.owning(at, n, idmap.UnmappedKernel, id, add)
	who, may := p.s.called(p.w.Host, idmap.GID, group), verbs(n, n.Mode>>3&7|more)
	return change{
		kind: kindGroup, rank: rankGroup, title: fmt.Sprintf("give %s to %s and let its members %s it", shell.Arguments(at.path), who, may),
		commands: commands, deeds: []deed{chownOf(n, idmap.UnmappedKernel, group)},
		opens: fmt.Sprintf("every member of %s may %s %s; those of its present group no longer may as such", who, may, shell.Arguments(n.Path)),
		apply: func(_ *Subject, w *Walk) {
			setOwner(w, n, idmap.UnmappedKernel, group)
			eachAlias(w, n, func(x *Node) { x.Mode |= more << 3 })
		},
	}, true
}

// atEnd reports whether n is what a path names or the directory that it is in, and not the root.
func atEnd(w *Walk, n *Node) bool {
	for ; w != nil; w = w.New {
		if len(w.Steps) == 0 || n.Path == "/" || n.Host == "/" {
			continue
		}
		l := &w.Steps[len(w.Steps)-1]
		for _, end := range []*Node{l.Dir, l.Found, l.End} {
			if end != nil && len(w.Rest) == 0 && sameFile(end, n) {
				return true
			}
		}
	}
	return false
}

// setOwner changes the ids of a file as its mount shows them, unmapped keeps one. Set-id bits go, as chown(2) has it.
func setOwner(w *Walk, n *Node, uid, gid idmap.Kernel) {
	udisk, gdisk := n.Mount.IDs(w.Host, idmap.UID).OnDisk(uid), n.Mount.IDs(w.Host, idmap.GID).OnDisk(gid)
	eachAlias(w, n, func(x *Node) {
		if uid.Mapped() {
			x.UID = ID{OnDisk: udisk, Seen: x.Mount.IDs(w.Host, idmap.UID).SeenAs(udisk), Known: true}
		}
		if gid.Mapped() {
			x.GID = ID{OnDisk: gdisk, Seen: x.Mount.IDs(w.Host, idmap.GID).SeenAs(gdisk), Known: true}
		}
		if x.Type != Directory {
			x.Mode &^= 0o6000
			x.Caps = nil
			x.Xattrs = slices.DeleteFunc(slices.Clone(x.Xattrs), func(name string) bool { return name == "security.capability" })
		}
	})
}

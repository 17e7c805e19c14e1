package access

import (
	"fmt"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/shell"
)

// The kinds of changes to what a file is.
const (
	kindFlag   kind = "flag"
	kindSysctl kind = "sysctl"
)

// ownerChanges give the file to the subject: what the check was about, or the file that the path names.
func ownerChanges(p problem) []change {
	var list []change
	nodes := []*Node{p.node}
	for w := p.w; w != nil; w = w.New {
		if len(w.Steps) > 0 {
			nodes = append(nodes, w.Steps[len(w.Steps)-1].Found)
		}
	}
	for i, n := range nodes {
		if n == nil || i > 0 && p.node != nil && sameFile(n, p.node) || !atEnd(p.w, n) {
			continue
		}
		if c, ok := smallestChown(&p, n); ok {
			list = append(list, c)
		}
	}
	return list
}

// smallestChown is the least change of ownership that gets past the denial: of the uid before uid and gid, and with as
// little more permission for the owner as is needed.
func smallestChown(p *problem, n *Node) (change, bool) {
	for _, whole := range []bool{false, true} {
		for _, perm := range wants {
			if c, ok := chown(p, n, whole, perm); ok && p.gets(c) {
				return c, true
			}
		}
	}
	return change{}, false
}

// chown gives a file to the subject's uid, or wholly to its uid and gid, and its owner the permissions perm and those that
// the subject has already.
func chown(p *problem, n *Node, whole bool, perm uint32) (change, bool) {
	at, cred, h := toChange(p.s, n), p.s.Cred, p.w.Host
	uid, ok := at.written(h, n.Mount, idmap.UID, cred.UID.FS)
	if !ok || at.path == "" || p.s.isOwner(n) && (!whole || p.s.inside(h, idmap.GID, n.GID.Seen).Mapped()) {
		return change{}, false
	}
	writtenGID, gid := idmap.UnmappedKernel, idmap.UnmappedKernel
	who := p.s.called(h, idmap.UID, cred.UID.FS)
	if whole {
		id, ok := at.written(h, n.Mount, idmap.GID, cred.GID.FS)
		if !ok {
			return change{}, false
		}
		writtenGID, gid = id, cred.GID.FS
		who += " and " + p.s.called(h, idmap.GID, gid)
	}
	var more uint32
	if n.Type != Symlink {
		more = (perm | p.s.granted(n)) &^ (n.Mode >> 6 & 7)
	}
	add := ""
	if more != 0 {
		add = "u+" + permLetters(more)
	}
	commands := p.owning(at, n, uid, writtenGID, add)
	was := p.s.called(h, idmap.UID, n.UID.Seen)
	if !n.UID.Seen.Mapped() {
		was = "its present owner"
	}
	return change{
		kind: kindOwner, rank: rankOwner, title: fmt.Sprintf("give %s to %s", shell.Arguments(at.path), who), commands: commands, deeds: []deed{chownOf(n, cred.UID.FS, gid)},
		opens: fmt.Sprintf("%s owns %s and may change its permissions; %s no longer owns it", who, shell.Arguments(n.Path), was),
		apply: func(_ *Subject, w *Walk) {
			setOwner(w, n, cred.UID.FS, gid)
			eachAlias(w, n, func(x *Node) { x.Mode |= more << 6 })
		},
	}, true
}

// flagChanges take a flag off a file: immutable, append-only, the sticky bit of its directory.
func flagChanges(p problem) []change {
	n := p.node
	var list []change
	chattr := func(n *Node, letter, word string, clear func(*Node)) {
		if at := toFlag(p.s, n); at.path != "" {
			list = append(list, change{
				kind: kindFlag, rank: rankFlag, title: fmt.Sprintf("let %s be changed: it is %s", shell.Arguments(at.path), word),
				commands: []string{shell.Command("chattr", "-"+letter, "--", at.path)},
				opens:    "whoever has permission may change " + shell.Arguments(n.Path),
				apply:    func(_ *Subject, w *Walk) { eachAlias(w, n, clear) },
			})
		}
	}
	switch p.v.Rule {
	case RuleImmutable, RuleAppend:
		eachNode(p.w, func(n *Node) {
			if n.Mount == nil || !atEnd(p.w, n) {
				return
			}
			if n.Immutable == Yes {
				chattr(n, "i", "immutable", func(x *Node) { x.Immutable = No })
			}
			if n.Append == Yes {
				chattr(n, "a", "append-only", func(x *Node) { x.Append = No })
			}
		})
	case RuleSticky, RuleProtectedRegular, RuleProtectedFifos:
		for w := p.w; w != nil; w = w.New {
			if len(w.Steps) == 0 {
				continue
			}
			dir := w.Steps[len(w.Steps)-1].Dir
			if at := toChange(p.s, dir); dir.Mode&0o1000 != 0 && at.path != "" && atEnd(p.w, dir) {
				list = append(list, change{
					kind: kindFlag, rank: rankOther, title: fmt.Sprintf("take the sticky bit off %s", shell.Arguments(at.path)),
					commands: []string{shell.Command("chmod", "-t", "--", at.path)}, deeds: []deed{chmodOf(dir)},
					opens: "everyone who may write to " + shell.Arguments(dir.Path) + " may delete and rename what others have there",
					apply: func(_ *Subject, w *Walk) { eachAlias(w, dir, func(x *Node) { x.Mode &^= 0o1000 }) },
				})
			}
		}
	case RuleSUIDKill:
		if at := toChange(p.s, n); at.path != "" {
			list = append(list, change{
				kind: kindFlag, rank: rankSelf, title: fmt.Sprintf("take the set-id bits off %s", shell.Arguments(at.path)),
				commands: []string{shell.Command("chmod", "u-s,g-s", "--", at.path)}, deeds: []deed{chmodOf(n)}, opens: "nothing: whoever runs it no longer gets its owner's or group's id",
				apply: func(_ *Subject, w *Walk) { eachAlias(w, n, func(x *Node) { x.Mode &^= 0o6000 }) },
			})
		}
	}
	kept := list[:0]
	for _, c := range list {
		if p.gets(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

// sysctlChanges lift a restriction of the whole host.
func sysctlChanges(p problem) []change {
	name, opens := "", ""
	var set func(*Host)
	switch p.v.Rule {
	case RuleProtectedRegular:
		name, opens, set = "fs.protected_regular", "open with O_CREAT files that others left for them in directories such as /tmp", func(h *Host) { h.ProtectedRegular = 0 }
	case RuleProtectedFifos:
		name, opens, set = "fs.protected_fifos", "open with O_CREAT fifos that others left for them in directories such as /tmp", func(h *Host) { h.ProtectedFifos = 0 }
	case RuleProtectedSymlinks:
		name, opens, set = "fs.protected_symlinks", "follow symbolic links that others left for them in directories such as /tmp", func(h *Host) { h.ProtectedSymlinks = 0 }
	case RuleProtectedHardlinks:
		name, opens, set = "fs.protected_hardlinks", "make hard links to files that they may not even read", func(h *Host) { h.ProtectedHardlinks = 0 }
	default:
		return nil
	}
	return []change{{
		kind: kindSysctl, rank: rankHost, title: "turn " + name + " off for the whole host, until it is booted anew", commands: []string{shell.Command("sysctl", "-w", name+"=0")},
		opens: "this changes the host and not only the container: all programs of the host and of every container may " + opens, apply: func(_ *Subject, w *Walk) {
			for ; w != nil; w = w.New {
				set(w.Host)
			}
		},
	}}
}

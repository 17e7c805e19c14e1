package access

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/shell"
)

// The kinds of changes to a mount.
const (
	kindMount kind = "mount"
	kindIdmap kind = "idmap"
)

// mountChanges change a flag of the mount that refuses, or of its file system.
func mountChanges(p problem) []change {
	n := p.node
	if n == nil || n.Mount == nil {
		return nil
	}
	m := *n.Mount
	var word, opens string
	var set func(*Mount)
	switch p.v.Rule {
	case RuleROMount:
		word, opens, set = "writable", "write", func(m *Mount) { m.ReadOnly = false }
	case RuleNoExec:
		word, opens, set = "allow programs", "run programs", func(m *Mount) { m.NoExec = false }
	case RuleNoDev:
		word, opens, set = "allow devices", "use devices, also those that a container made or was given,", func(m *Mount) { m.NoDev = false }
	case RuleNoSymfollow:
		word, opens, set = "follow symbolic links", "follow symbolic links", func(m *Mount) { m.NoSymfollow = false }
	case RuleROSuper:
		return superChanges(p, n)
	default:
		return nil
	}
	set(&m)
	apply := func(_ *Subject, w *Walk) {
		eachNode(w, func(x *Node) {
			if x.Mount != nil && x.Mount.ID == m.ID && x.Mount.Point == m.Point {
				set(x.Mount)
			}
		})
	}
	var list []change
	if p.s.PID != 0 {
		list = append(list, change{
			kind: kindMount, rank: rankFlag, title: fmt.Sprintf("make the mount on %s %s", shell.Arguments(m.Point), word),
			commands: []string{shell.Command("mount", "-N", strconv.Itoa(p.s.PID), "-o", "remount,bind,"+mountFlags(&m), "--", m.Point)},
			opens:    fmt.Sprintf("whoever has permission in this mount namespace may %s below %s, until it is mounted anew", opens, shell.Arguments(m.Point)), apply: apply,
		})
	}
	if v := p.s.volume(n.Mount); v != nil && p.v.Rule == RuleROMount {
		if commands := volumeCommands(p.s, v, ""); commands != nil {
			list = append(list, change{
				kind: kindMount, rank: rankFlag, title: fmt.Sprintf("make the container with %s writable (no :ro)", shell.Arguments(m.Point)), restart: true,
				commands: commands, opens: fmt.Sprintf("the container may write below %s where it has permission", shell.Arguments(v.Source)), apply: apply,
			})
		}
	}
	return list
}

// mountFlags are all flags of a mount as mount(8) takes them: a remount resets those that it does not name.
func mountFlags(m *Mount) string {
	flags := "rw"
	if m.ReadOnly {
		flags = "ro"
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{m.NoSUID, "nosuid"}, {m.NoDev, "nodev"}, {m.NoExec, "noexec"}, {m.NoSymfollow, "nosymfollow"}} {
		if f.set {
			flags += "," + f.name
		}
	}
	return flags
}

// superChanges make a whole file system writable.
func superChanges(p problem, n *Node) []change {
	if p.s.PID == 0 || n.Mount.Super == nil || n.Overlay != nil && !n.Overlay.Writable {
		return nil
	}
	return []change{{
		kind: kindMount, rank: rankSuper, title: fmt.Sprintf("make the file system on %s writable", shell.Arguments(n.Mount.Point)),
		commands: []string{shell.Command("mount", "-N", strconv.Itoa(p.s.PID), "-o", "remount,rw", "--", n.Mount.Point)},
		opens:    "whoever has permission may write to this file system, wherever it is mounted writable",
		apply: func(_ *Subject, w *Walk) {
			eachNode(w, func(x *Node) {
				if x.Mount != nil && x.Mount.Super != nil && x.Mount.Super.Dev == n.Mount.Super.Dev {
					x.Mount.Super.ReadOnly = false
				}
			})
		},
	}}
}

// volumeCommands make a container anew with a volume that has an option ("" none). A command of an engine has "..."
// where the options of the container as it was made go. nil: it is not known how the engine is told.
func volumeCommands(s *Subject, v *nsinspect.EngineMount, option string) []string {
	spec := v.Source + ":" + v.Destination
	if v.Type == "volume" && v.Name != "" {
		spec = v.Name + ":" + v.Destination
	}
	if option != "" {
		spec += ":" + option
	}
	switch s.engine() {
	case "docker", "podman":
		if option == "" || s.engine() == "podman" {
			return []string{shell.Command(s.engine(), "run", "-v", spec, "...", s.Container.Image)}
		}
	case "nsview":
		return []string{shell.Command("nsview", "run", "--bind", spec, "...")}
	case "nspawn", "systemd-nspawn":
		return []string{shell.Command("systemd-nspawn", "--bind="+spec, "...")}
	}
	return nil
}

// takesIDMaps are file systems whose mounts can have an id map (FS_ALLOW_IDMAP).
func takesIDMaps(m *Mount) bool {
	return m.Super != nil && slices.Contains([]string{"ext4", "ext2", "ext3", "btrfs", "xfs", "f2fs", "tmpfs", "erofs", "squashfs", "vfat", "zfs", "bcachefs", "ceph"}, m.Super.FSType)
}

// idmapChanges give the mount that the file is on an id map: the container's own where it has none, a wider one where it
// has one that leaves an id out. Only who may do anything on the file system may map its ids: the host's root.
func idmapChanges(p problem) []change {
	n, ns := p.node, userNS(p.s, p.w.Host)
	if n == nil || n.Mount == nil || ns == nil || ns.Initial || n.Mount.Point == "/" || !takesIDMaps(n.Mount) || n.Overlay != nil {
		return nil
	}
	if t := n.Mount.IDs(p.w.Host, idmap.UID); n.Mount.Idmapped || !t.Superblock.Equal(idmap.Identity()) {
		return nil
	}
	host := p.w.Host
	uids, gids := idmap.MountMapOf(ns.UID), idmap.MountMapOf(ns.GID)
	c := change{
		kind: kindIdmap, rank: rankMap, title: fmt.Sprintf("mount %s with the container's id map", shell.Arguments(n.Mount.Point)), restart: true,
		opens: fmt.Sprintf("the container has the files below %s that belong to the same numbers on the host as its own, root's files too if its map has 0", shell.Arguments(n.Mount.Point)),
		apply: func(_ *Subject, w *Walk) {
			eachNode(w, func(x *Node) {
				if x.Mount != nil && x.Mount.ID == n.Mount.ID {
					remapped(host, x, uids, gids)
				}
			})
			eachNode(w, func(x *Node) {
				if x.Mount != nil && x.Mount.ID == n.Mount.ID {
					x.Mount.Idmapped, x.Mount.MapKnown, x.Mount.UIDMap, x.Mount.GIDMap = true, true, uids, gids
				}
			})
		},
	}
	var source string
	point := n.Mount.Point
	v := p.s.volume(n.Mount)
	if v != nil {
		source = v.Source
		c.commands = volumeCommands(p.s, v, "idmap")
	} else if at := placeOf(p.s, n); at.path != "" && !at.same {
		// The path of the mount's root on the host is that of the file less what is below the mount point.
		below := strings.TrimPrefix(n.Path, point)
		source = strings.TrimSuffix(at.path, below)
		if !strings.HasSuffix(at.path, below) {
			return nil
		}
	} else {
		return nil
	}
	if c.commands == nil {
		stage := source + ".idmapped"
		maker := "mkdir"
		if n.Type != Directory && n.Path == point {
			maker = "touch"
		}
		c.commands = []string{
			shell.Command(maker, "--", stage),
			shell.Command("mount", "-o", "bind,X-mount.idmap="+mountOption(uids, gids), "--", source, stage),
		}
		c.title = fmt.Sprintf("mount %s with the container's id map on %s, and give the container that instead", shell.Arguments(source), shell.Arguments(stage))
	}
	return []change{c}
}

// mountOption is a pair of mount maps as mount(8) takes them.
func mountOption(uids, gids idmap.MountMap) string {
	var words []string
	for _, e := range uids {
		words = append(words, "u:"+e.String())
	}
	for _, e := range gids {
		words = append(words, "g:"+e.String())
	}
	return strings.Join(words, " ")
}

// remapped has a node show the ids that it would through a mount with these maps. Its mount still has the old ones.
func remapped(h *Host, x *Node, uids, gids idmap.MountMap) {
	u, g := x.Mount.IDs(h, idmap.UID), x.Mount.IDs(h, idmap.GID)
	newU, newG := u, g
	newU.Idmapped, newU.Map, newG.Idmapped, newG.Map = true, uids, true, gids
	x.UID.Seen, x.GID.Seen = newU.SeenAs(x.UID.OnDisk), newG.SeenAs(x.GID.OnDisk)
	for _, acl := range []*ACL{x.ACL, x.DefaultACL} {
		if acl == nil {
			continue
		}
		for i := range acl.Entries {
			switch e := &acl.Entries[i]; e.Tag {
			case ACLUser:
				e.ID = newU.SeenAs(u.OnDisk(e.ID))
			case ACLGroup:
				e.ID = newG.SeenAs(g.OnDisk(e.ID))
			}
		}
	}
}

package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/shell"
)

// source is the path on the host that a volume of the subject shows, and the volume as its engine was told of it. false
// when the mount is no volume: what an engine mounts by itself, the root file system, or a mount that the host has at the
// same place.
func (p *problem) source(n *Node) (path string, configured bool, ok bool) {
	if v := p.s.volume(n.Mount); v != nil {
		return v.Source, true, v.Source != ""
	}
	if e := p.s.engine(); e != "" && e != "nsview" || n.Mount.Point == "/" {
		return "", false, false
	}
	// The path of the mount's root on the host is that of the file less what is below the mount point.
	below := strings.TrimPrefix(n.Path, n.Mount.Point)
	at := placeOf(p.s, n)
	if at.path == "" || at.same || at.path == n.Path || !strings.HasSuffix(at.path, below) {
		return "", false, false
	}
	return strings.TrimSuffix(at.path, below), false, true
}

// idmapChanges give the volume that the file is on an id map: the container's own where it has none, a wider one where
// it has one that leaves an id out. Only who may do anything on the file system may map its ids: the host's root.
func idmapChanges(p problem) []change {
	n, ns := p.node, userNS(p.s, p.w.Host)
	if n == nil || n.Mount == nil || !p.v.Rule.aboutOwners() || ns == nil || ns.Initial || !takesIDMaps(n.Mount) || n.Overlay != nil {
		return nil
	}
	if m := n.Mount; m.Super.UserNS != 0 && p.w.Host.UserNS[m.Super.UserNS] != nil && !p.w.Host.UserNS[m.Super.UserNS].Initial {
		return nil
	}
	source, configured, ok := p.source(n)
	if !ok || p.s.engine() == "podman" && ns.Owner != 0 {
		return nil // a rootless engine may not map ids of the host's file systems
	}
	c := change{kind: kindIdmap, rank: rankMap, restart: true}
	uids, gids := idmap.MountMapOf(ns.UID), idmap.MountMapOf(ns.GID)
	point := shell.Arguments(n.Mount.Point)
	c.title = fmt.Sprintf("mount %s with the container's id map", point)
	c.opens = fmt.Sprintf("the container has the files below %s that belong to the same numbers on the host as its own, root's files too if its map has 0", point)
	option := "idmap"
	if n.Mount.Idmapped {
		if !n.Mount.MapKnown {
			return nil
		}
		uids, gids, ok = widened(p.s, n)
		if !ok {
			return nil
		}
		c.title = fmt.Sprintf("mount %s with an id map that has its owner and group too", point)
		c.opens = fmt.Sprintf("the container has the files below %s that belong to uid %s or gid %s on disk", point, n.UID.OnDisk, n.GID.OnDisk)
		option = "idmap=uids=" + dashed(uids) + ";gids=" + dashed(gids)
	}
	c.apply = remapMount(p.w.Host, n.Mount.ID, uids, gids)
	switch e := p.s.engine(); {
	case configured:
		c.how = p.s.volumeHow(p.s.volume(n.Mount), option)
		if c.how != "" && !n.Mount.Idmapped && p.s.engine() == "podman" && p.s.Container.Runtime != "crun" {
			c.how += ", with --runtime crun: runc before 1.2 ignores idmap without a word"
		}
	case !n.Mount.Idmapped && e == "nsview":
		c.how = "have it mounted with --bind " + shell.Arguments(source+":"+n.Mount.Point+":idmap") + " by its nsview run"
	}
	if c.how == "" {
		stage := source + ".idmapped"
		maker := "mkdir"
		if n.Type != Directory && n.Path == n.Mount.Point {
			maker = "touch"
		}
		words := []string{"--bind"}
		for _, e := range uids {
			words = append(words, "--map-users", e.String())
		}
		for _, e := range gids {
			words = append(words, "--map-groups", e.String())
		}
		c.commands = []string{shell.Command(maker, "--", stage), shell.Command("mount", append(words, "--", source, stage)...)}
		c.how = fmt.Sprintf("with mount(8) of util-linux 2.39 or later; then make the container anew with %s in place of %s", shell.Arguments(stage), shell.Arguments(source))
	}
	return []change{c}
}

// remapMount gives a mount other maps, and the files on it the ids that it shows then.
func remapMount(h *Host, id int, uids, gids idmap.MountMap) func(*Subject, *Walk) {
	return func(_ *Subject, w *Walk) {
		on := func(x *Node) bool { return x.Mount != nil && x.Mount.ID == id }
		eachNode(w, func(x *Node) {
			if on(x) {
				remapped(h, x, uids, gids)
			}
		})
		eachNode(w, func(x *Node) {
			if on(x) {
				x.Mount.Idmapped, x.Mount.MapKnown, x.Mount.UIDMap, x.Mount.GIDMap = true, true, uids, gids
			}
		})
	}
}

// widened are the maps of an idmapped mount with an id more: the owner on disk is then seen as the subject. false where
// the maps have somebody else on disk for the subject.
func widened(s *Subject, n *Node) (uids, gids idmap.MountMap, ok bool) {
	uids, okU := wider(n.Mount.UIDMap, n.UID.OnDisk, s.Cred.UID.FS)
	gids, okG := wider(n.Mount.GIDMap, n.GID.OnDisk, s.Cred.GID.FS)
	return uids, gids, okU && okG && (len(uids) > len(n.Mount.UIDMap) || len(gids) > len(n.Mount.GIDMap))
}

func wider(m idmap.MountMap, disk idmap.Disk, seen idmap.Kernel) (idmap.MountMap, bool) {
	switch {
	case !disk.Mapped():
		return nil, false
	case m.SeenAs(disk).Mapped():
		return m, true
	case m.OnDisk(seen).Mapped():
		return nil, false
	}
	return append(slices.Clone(m), idmap.MountExtent{OnDisk: disk, SeenAs: seen, Count: 1}), true
}

// dashed is a map as the option idmap of podman takes it.
func dashed(m idmap.MountMap) string {
	var words []string
	for _, e := range m {
		words = append(words, fmt.Sprintf("%d-%d-%d", e.OnDisk, e.SeenAs, e.Count))
	}
	return strings.Join(words, "#")
}

// takesIDMaps are file systems whose mounts can have an id map (FS_ALLOW_IDMAP).
func takesIDMaps(m *Mount) bool {
	return m.Super != nil && slices.Contains([]string{"ext4", "ext2", "ext3", "btrfs", "xfs", "f2fs", "tmpfs", "erofs", "squashfs", "vfat", "zfs", "bcachefs", "ceph"}, m.Super.FSType)
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

package access

import (
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/shell"
)

// unshared is the user namespace in which rootless podman works, when the observer is the user whose podman runs the
// container: "podman unshare" is root there, over the files whose ids it maps. nil when a file at a place is not one of
// them, or the observer is root and needs none of this.
func (p *problem) unshared(at place, n *Node) *UserNS {
	h := p.w.Host
	ns := userNS(p.s, h)
	if h == nil || h.UID == 0 || !h.InitialNS || ns == nil || ns.Owner != h.UID || p.s.engine() != "podman" || at.same {
		return nil
	}
	for range maxNesting {
		up := h.UserNS[ns.Parent]
		if up == nil {
			return nil
		}
		if up.Initial {
			uid, gid := ns.UID.ToInside(idmap.Kernel(n.UID.OnDisk)), ns.GID.ToInside(idmap.Kernel(n.GID.OnDisk))
			if ns.Owner != h.UID || !n.UID.OnDisk.Mapped() || !n.GID.OnDisk.Mapped() || !uid.Mapped() || !gid.Mapped() {
				return nil
			}
			return ns
		}
		ns = up
	}
	return nil
}

// maxNesting is how deep user namespaces nest (kernel/user_namespace.c).
const maxNesting = 33

// owning are the commands that give a file at a place other ids, unmapped keeps one, and then add permissions to its mode.
// An ordinary user who runs the container gets those of podman: chown(1) and chgrp(1) alone refuse.
func (p *problem) owning(at place, n *Node, uid, gid idmap.Kernel, more string) []string {
	var words []string
	u, g := uid.String(), gid.String()
	if ns := p.unshared(at, n); ns != nil {
		in, inGroup := ns.UID.ToInside(uid), ns.GID.ToInside(gid)
		if (!uid.Mapped() || in.Mapped()) && (!gid.Mapped() || inGroup.Mapped()) {
			words = []string{"podman", "unshare"}
			u, g = in.String(), inGroup.String()
		}
	}
	program, owner := "chown", u
	switch {
	case !uid.Mapped():
		program, owner = "chgrp", g
	case gid.Mapped():
		owner = u + ":" + g
	}
	command := func(args ...string) string {
		args = append(append([]string{}, words...), args...)
		return shell.Command(args[0], args[1:]...)
	}
	commands := []string{command(program, "-h", "--", owner, at.path)}
	if more != "" {
		commands = append(commands, command("chmod", more, "--", at.path))
	}
	return commands
}

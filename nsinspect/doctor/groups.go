package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// groupsUnmapped finds processes whose supplementary groups have no number in their own user namespace, where setgroups(2)
// is denied: they keep them as long as they do not change their groups, which they can never take back.
func (j *judge) groupsUnmapped(i int) {
	c := j.container(i)
	maps, init := j.s.Maps(c.IDMaps), j.s.Process(c.InitPID)
	if maps == nil || init == nil || maps.Setgroups != "deny" || init.Namespaces.User == j.s.Observer.UserNS {
		return
	}
	var lost []string
	for _, g := range init.Cred.Groups {
		if g.Mapped() && !maps.GID.ToInside(g).Mapped() {
			lost = append(lost, j.group(g))
		}
	}
	if len(lost) == 0 {
		return
	}
	j.add(Finding{
		ID: GroupsLost, Severity: Info, Target: j.viewers[i],
		Evidence: fmt.Sprintf("setgroups is deny, and the groups %s of %s %d have no id inside", strings.Join(lost, ", "), init.Comm, init.PID),
		Meaning:  "the groups still count for access to files, id(1) shows them as nobody, and no program inside can give them to another process",
	})
}

// groupsDropped finds volumes that belong to a group which the user who started the container is in, and the container is
// not: inside a user namespace the groups of the user do not count unless they were kept.
func (j *judge) groupsDropped(i int) {
	c := j.container(i)
	init := j.s.Process(c.InitPID)
	if init == nil || init.Namespaces.User == j.s.Observer.UserNS {
		return
	}
	ns := j.s.Namespace(init.Namespaces.User)
	if ns == nil || !ns.OwnerUID.Mapped() || ns.OwnerUID == 0 {
		return
	}
	held := j.groupsOfUser(ns.OwnerUID)
	for _, a := range j.answersOf(i, true) {
		node := a.Walk.Reached()
		if node == nil || !groupAdds(node) || !node.GID.Known || !slices.Contains(held, node.GID.Seen) || inGroup(a.Subject, node.GID.Seen) {
			continue
		}
		j.add(Finding{
			ID: GroupsLost, Severity: Warning, Target: j.viewers[i], Path: a.Path,
			Evidence: fmt.Sprintf("it belongs to group %s, which user %s is in and %s is not", j.group(node.GID.Seen), j.user(ns.OwnerUID), j.who(a.Subject)),
			Meaning:  "what the user may do with it as a member of the group, the container may not: its processes have only the groups that their engine gave them",
			Fixes:    keepGroups(c),
		})
		return
	}
}

// groupAdds reports whether members of a file's group may do what others may not. With an ACL the bits of the group in the
// mode are its mask and not the group's own.
func groupAdds(n *access.Node) bool {
	if n.ACL == nil {
		return n.Mode>>3&^n.Mode&7 != 0
	}
	return n.Mode&0o070 != 0
}

// keepGroups is how an engine leaves a container the groups of its user.
func keepGroups(c *nsinspect.Container) []access.Fix {
	if c.Engine != "podman" {
		return nil
	}
	return []access.Fix{{
		Title: "start the container with the groups of the user", Commands: []string{}, How: "add to the options of the podman run that made it: --group-add keep-groups",
		Restart: true, Opens: "all groups of the user to the container's processes (runtime crun)",
	}}
}

// groupsOfUser are the groups of the processes of a user in the observer's user namespace.
func (j *judge) groupsOfUser(uid idmap.Kernel) []idmap.Kernel {
	var held []idmap.Kernel
	for i := range j.s.Processes {
		p := &j.s.Processes[i]
		if p.Namespaces.User != j.s.Observer.UserNS || p.Container >= 0 || p.Cred.UID.Effective != uid {
			continue
		}
		for _, g := range append([]idmap.Kernel{p.Cred.GID.Effective}, p.Cred.Groups...) {
			if g.Mapped() && !slices.Contains(held, g) {
				held = append(held, g)
			}
		}
	}
	return held
}

func inGroup(s *access.Subject, g idmap.Kernel) bool {
	return g.Mapped() && (s.Cred.GID.FS == g || slices.Contains(s.Cred.Groups, g))
}

// user is an id of the observer's side with its name.
func (j *judge) user(id idmap.Kernel) string { return nameAndID(j.s.HostUser(id), id.String()) }

func (j *judge) group(id idmap.Kernel) string { return nameAndID(j.s.HostGroup(id), id.String()) }

func nameAndID(name, id string) string {
	if name == "" {
		return id
	}
	return name + " (" + id + ")"
}

package access

import (
	"fmt"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/shell"
)

// The kinds of changes to who asks.
const (
	kindMember kind = "member"
	kindUser   kind = "user"
	kindCap    kind = "cap"
	kindMap    kind = "map"
)

// memberChanges have the subject join the file's group, or the group of a volume be one of the subject's.
func memberChanges(p problem) []change {
	n := p.node
	if n == nil || p.v.Errno != "EACCES" || !n.GID.Seen.Mapped() || p.s.isOwner(n) {
		return nil
	}
	var list []change
	for _, offer := range []func(*problem) (change, bool){groupAdd, keepGroups, fsGroup} {
		if c, ok := offer(&p); ok && p.gets(c) {
			list = append(list, c)
		}
	}
	return list
}

// groupAdd starts the subject with the file's group, which is never root's.
func groupAdd(p *problem) (change, bool) {
	gid := p.node.GID.Seen
	in := p.s.inside(p.w.Host, idmap.GID, gid)
	if !in.Mapped() || gid == 0 || in == 0 || p.s.inGroup(gid) {
		return change{}, false
	}
	groups := []string{in.String()}
	for _, g := range p.s.Cred.Groups {
		if in := p.s.inside(p.w.Host, idmap.GID, g); in.Mapped() {
			groups = append(groups, in.String())
		}
	}
	who, all := p.s.called(p.w.Host, idmap.GID, gid), strings.Join(groups, ",")
	how := p.s.how(anew{
		run: "--group-add " + in.String(), compose: `group_add: ["` + in.String() + `"]`, pod: "supplementalGroups: [" + in.String() + "]",
		nsview: "--groups " + all, process: "have it started by setpriv --groups " + all,
	})
	return change{
		kind: kindMember, rank: rankMember, title: "start it as a member of " + who, how: how, restart: true,
		opens: "it may do what members of " + who + " may, everywhere",
		apply: func(s *Subject, _ *Walk) { s.Cred.Groups = append(s.Cred.Groups, gid) },
	}, how != ""
}

// keepGroups has rootless podman leave a container the groups of the user who starts it, mapped inside or not. Which
// those are is not among the facts.
func keepGroups(p *problem) (change, bool) {
	gid, ns := p.node.GID.Seen, userNS(p.s, p.w.Host)
	if p.s.engine() != "podman" || ns == nil || ns.Owner == 0 || gid == 0 || p.s.inGroup(gid) || p.s.inside(p.w.Host, idmap.GID, gid).Mapped() {
		return change{}, false
	}
	how := p.s.how(anew{podman: "--group-add keep-groups (with the runtime crun)"})
	return change{
		kind: kindMember, rank: rankMember, title: fmt.Sprintf("start it with the groups of uid %s, if that is a member of gid %s", ns.Owner, gid), how: how, restart: true, doubt: true,
		opens: fmt.Sprintf("it may do what all groups of uid %s may, everywhere", ns.Owner),
		apply: func(s *Subject, _ *Walk) { s.Cred.Groups = append(s.Cred.Groups, gid) },
	}, how != ""
}

// fsGroup has the kubelet give a volume that it made itself to a group of the pod, with the permissions that it gives
// such a group. It leaves hostPath volumes as they are.
func fsGroup(p *problem) (change, bool) {
	n := p.node
	v := p.s.volume(n.Mount)
	in := p.s.inside(p.w.Host, idmap.GID, p.s.Cred.GID.FS)
	if p.s.engine() != "kubernetes" || v == nil || !strings.Contains(v.Source, "/volumes/kubernetes.io~") || !in.Mapped() || n.ACL != nil {
		return change{}, false
	}
	gid, id := p.s.Cred.GID.FS, n.Mount.ID
	how := p.s.how(anew{pod: "fsGroup: " + in.String()})
	return change{
		kind: kindGroup, rank: rankMap, title: fmt.Sprintf("have the kubelet give the volume at %s to group %s", shell.Arguments(v.Destination), in), how: how, restart: true,
		opens: fmt.Sprintf("every process with gid %s may read and write all of the volume", gid),
		apply: func(_ *Subject, w *Walk) {
			eachNode(w, func(x *Node) {
				if x.Mount == nil || x.Mount.ID != id {
					return
				}
				setOwner(w, x, idmap.UnmappedKernel, gid)
				x.Mode |= 0o060
				if x.Type == Directory {
					x.Mode |= 0o2010
				}
			})
		},
	}, how != ""
}

// userChanges start the subject as the file's owner, never as root.
func userChanges(p problem) []change {
	var list []change
	nodes := []*Node{p.node}
	if len(p.w.Steps) > 0 {
		nodes = append(nodes, p.w.Steps[len(p.w.Steps)-1].Found)
	}
	ns := userNS(p.s, p.w.Host)
	for _, n := range nodes {
		if n == nil || !n.UID.Seen.Mapped() || n.UID.Seen == p.s.Cred.UID.FS || n.UID.Seen == 0 || ns == nil {
			continue
		}
		uid, gid := n.UID.Seen, n.GID.Seen
		in, inGroup := p.s.inside(p.w.Host, idmap.UID, uid), p.s.inside(p.w.Host, idmap.GID, gid)
		if gid == 0 || !inGroup.Mapped() {
			gid = p.s.Cred.GID.FS
			inGroup = p.s.inside(p.w.Host, idmap.GID, gid)
		}
		if in.Mapped() && in != 0 && inGroup.Mapped() {
			user := in.String() + ":" + inGroup.String()
			c := change{
				kind: kindUser, rank: rankAs, title: "start it as " + p.s.called(p.w.Host, idmap.UID, uid), restart: true,
				how: p.s.how(anew{
					run: "--user " + user, compose: `user: "` + user + `"`, pod: fmt.Sprintf("runAsUser: %s, runAsGroup: %s", in, inGroup),
					nsview: fmt.Sprintf("--uid %s --gid %s", in, inGroup), process: fmt.Sprintf("have it started by setpriv --reuid %s --regid %s --clear-groups", in, inGroup),
				}),
				opens: "it may do what " + p.s.called(p.w.Host, idmap.UID, uid) + " may, everywhere, and no longer what it may as it is",
				apply: func(s *Subject, _ *Walk) { becomes(s, uid, gid) },
			}
			if c.how != "" && p.gets(c) {
				list = append(list, c)
			}
		}
		for _, offer := range []func(*problem, *UserNS, *Node) (change, bool){keepID, chownVolume} {
			if c, ok := offer(&p, ns, n); ok && p.gets(c) {
				list = append(list, c)
			}
		}
	}
	return list
}

// becomes has the subject be another user, who is not root of its user namespace: without capabilities and other groups.
func becomes(s *Subject, uid, gid idmap.Kernel) {
	c := &s.Cred
	c.UID.Real, c.UID.Effective, c.UID.Saved, c.UID.FS = uid, uid, uid, uid
	c.GID.Real, c.GID.Effective, c.GID.Saved, c.GID.FS = gid, gid, gid, gid
	c.Groups, c.CapEff, c.CapPrm, c.CapInh, c.CapAmb = nil, 0, 0, 0, 0
}

// keepID has rootless podman map the user who started it, whose file it is, to the subject's own id inside.
func keepID(p *problem, ns *UserNS, n *Node) (change, bool) {
	owner, h := n.UID.Seen, p.w.Host
	in, inGroup := p.s.inside(h, idmap.UID, p.s.Cred.UID.FS), p.s.inside(h, idmap.GID, p.s.Cred.GID.FS)
	if p.s.engine() != "podman" || ns.Owner == 0 || owner != ns.Owner || !in.Mapped() || !inGroup.Mapped() || in == 0 {
		return change{}, false
	}
	group := ns.GID.ToOutside(0) // rootless: the user's own group
	option := "--userns=keep-id"
	if idmap.Kernel(in) != owner || idmap.Kernel(inGroup) != group {
		option += fmt.Sprintf(":uid=%s,gid=%s", in, inGroup)
	}
	return change{
		kind: kindUser, rank: rankAs, title: fmt.Sprintf("map uid %s, who started podman, to %s inside", owner, in), restart: true,
		how:   p.s.how(anew{podman: option, compose: `userns_mode: "` + strings.TrimPrefix(option, "--userns=") + `"`}),
		opens: fmt.Sprintf("it may do with files what uid %s may, wherever a volume shows them", owner),
		apply: func(s *Subject, w *Walk) {
			to := *ns
			to.UID, to.GID = keptID(ns.UID, in), keptID(ns.GID, inGroup)
			for ; w != nil; w = w.New {
				w.Host.UserNS[ns.Inode] = &to
			}
			becomes(s, owner, group)
		},
	}, true
}

// chownVolume has podman give a whole volume to the subject before it starts it. Rootless, it may do that with files whose
// ids are mapped.
func chownVolume(p *problem, ns *UserNS, n *Node) (change, bool) {
	v := p.s.volume(n.Mount)
	if ns.Owner != 0 && (!ns.UID.ToInside(n.UID.Seen).Mapped() || !ns.GID.ToInside(n.GID.Seen).Mapped()) {
		return change{}, false
	}
	if p.s.engine() != "podman" || v == nil || n.Mount.ReadOnly || n.Mount.Idmapped {
		return change{}, false
	}
	uid, gid, id := p.s.Cred.UID.FS, p.s.Cred.GID.FS, n.Mount.ID
	return change{
		kind: kindOwner, rank: rankMap, title: fmt.Sprintf("have podman give all of the volume at %s to %s", shell.Arguments(v.Destination), p.s.called(p.w.Host, idmap.UID, uid)), restart: true,
		how:   p.s.volumeHow(v, "U"),
		opens: fmt.Sprintf("every file below %s changes its owner on the host too, and its present owners lose it", shell.Arguments(v.Source)),
		apply: func(_ *Subject, w *Walk) {
			eachNode(w, func(x *Node) {
				if x.Mount != nil && x.Mount.ID == id {
					setOwner(w, x, uid, gid)
				}
			})
		},
	}, true
}

// keptID is a rootless map (0 the user, above that its subordinate ids) turned so that id is the user.
func keptID(m idmap.Map, id idmap.Inside) idmap.Map {
	user := m.ToOutside(0)
	first := m.ToOutside(1)
	var count uint32
	for _, e := range m {
		if e.Outside == first {
			count = e.Count
		}
	}
	kept := idmap.Map{{Inside: id, Outside: user, Count: 1}}
	if id > 0 && uint32(id) <= count {
		kept = append(kept, idmap.Extent{Inside: 0, Outside: first, Count: uint32(id)})
		if rest := count - uint32(id); rest > 0 {
			kept = append(kept, idmap.Extent{Inside: id + 1, Outside: first + idmap.Kernel(id), Count: rest})
		}
	}
	return kept
}

// capability is a capability that a fix may give.
type capability struct {
	name  string // without CAP_
	bit   uint
	opens string
}

// capChanges give root of a container a capability that it was started without. Others would lose it at the first exec.
func capChanges(p problem) []change {
	in := p.s.inside(p.w.Host, idmap.UID, p.s.Cred.UID.Effective)
	if in != 0 {
		return nil
	}
	var list []change
	for _, c := range []capability{
		{"CHOWN", 0, "give away any file"},
		{"DAC_READ_SEARCH", 2, "read any file"},
		{"FOWNER", 3, "change the permissions of any file"},
		{"DAC_OVERRIDE", 1, "read and write any file"},
		{"SETFCAP", 31, "give capabilities to any program file"},
		{"MKNOD", 27, "make devices, which reach the hardware"},
	} {
		have := uint64(1) << c.bit
		if p.s.Cred.CapEff&have != 0 {
			continue
		}
		add := change{
			kind: kindCap, rank: rankCap, title: "start it with CAP_" + c.name, restart: true,
			how: p.s.how(anew{
				run: "--cap-add " + c.name, compose: `cap_add: ["` + c.name + `"]`, pod: `capabilities: {add: ["` + c.name + `"]}, for the container`,
				nsview: "CAP_" + c.name + " in --cap-keep, or leave it out of --cap-drop", process: "have it started without CAP_" + c.name + " taken from its bounding set",
			}),
			opens: "it may " + c.opens + " whose ids are mapped in its user namespace",
			apply: func(s *Subject, _ *Walk) {
				s.Cred.CapEff |= have
				s.Cred.CapPrm |= have
				s.Cred.CapBnd |= have
			},
		}
		if c.name == "DAC_OVERRIDE" && len(list) > 0 && list[len(list)-1].title == "start it with CAP_DAC_READ_SEARCH" {
			continue // the smaller one is enough
		}
		if add.how != "" && p.gets(add) {
			list = append(list, add)
		}
	}
	return list
}

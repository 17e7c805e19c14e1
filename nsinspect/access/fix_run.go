package access

import (
	"fmt"
	"slices"
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

// anew are the commands that start the subject with options of its engine; "..." stands for what it had before. For
// Kubernetes they are comments, since a pod is edited, and setpriv's for a process that no engine started. nil: it is
// not known how.
func (s *Subject) anew(options []string, pod, setpriv string) []string {
	switch e := s.engine(); e {
	case "docker", "podman":
		if options == nil {
			return nil
		}
		words := append([]string{"run"}, options...)
		return []string{shell.Command(e, append(words, "...", s.Container.Image)...)}
	case "kubernetes":
		if pod == "" {
			return nil
		}
		return []string{"# spec.containers[].securityContext or spec.securityContext of pod " + shell.Arguments(s.Container.Pod.Namespace+"/"+s.Container.Pod.Name) + ": {" + pod + "}"}
	case "":
		if setpriv == "" {
			return nil
		}
		return []string{"setpriv " + setpriv + " -- ..."}
	}
	return nil
}

// memberChanges have the subject join the file's group.
func memberChanges(p problem) []change {
	n := p.node
	if n == nil || p.v.Errno != "EACCES" || !n.GID.Seen.Mapped() || p.s.inGroup(n.GID.Seen) || p.s.isOwner(n) || n.GID.Seen == 0 {
		return nil
	}
	in := p.s.inside(p.w.Host, idmap.GID, n.GID.Seen)
	if !in.Mapped() {
		return nil
	}
	groups := []string{in.String()}
	for _, g := range p.s.Cred.Groups {
		if in := p.s.inside(p.w.Host, idmap.GID, g); in.Mapped() {
			groups = append(groups, in.String())
		}
	}
	gid := n.GID.Seen
	commands := p.s.anew([]string{"--group-add", in.String()}, "supplementalGroups: ["+in.String()+"]", "--groups "+strings.Join(groups, ","))
	c := change{
		kind: kindMember, rank: rankMember, title: "start it as a member of " + p.s.called(p.w.Host, idmap.GID, gid), commands: commands, restart: true,
		opens: "it may do what members of " + p.s.called(p.w.Host, idmap.GID, gid) + " may, everywhere",
		apply: func(s *Subject, _ *Walk) { s.Cred.Groups = append(s.Cred.Groups, gid) },
	}
	if commands == nil || !p.gets(c) {
		return nil
	}
	return []change{c}
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
				commands: p.s.anew([]string{"--user", user}, fmt.Sprintf("runAsUser: %s, runAsGroup: %s", in, inGroup), fmt.Sprintf("--reuid %s --regid %s --clear-groups", in, inGroup)),
				opens:    "it may do what " + p.s.called(p.w.Host, idmap.UID, uid) + " may, everywhere, and no longer what it may as it is",
				apply:    func(s *Subject, _ *Walk) { becomes(s, uid, gid) },
			}
			if c.commands != nil && p.gets(c) {
				list = append(list, c)
			}
		}
		if c, ok := keepID(&p, ns, n); ok && p.gets(c) {
			list = append(list, c)
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
	return change{
		kind: kindUser, rank: rankAs, title: fmt.Sprintf("map uid %s, who started podman, to %s inside", owner, in), restart: true,
		commands: []string{shell.Command("podman", "run", fmt.Sprintf("--userns=keep-id:uid=%s,gid=%s", in, inGroup), "...", p.s.Container.Image)},
		opens:    fmt.Sprintf("it may do with files what uid %s may, wherever a volume shows them", owner),
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
			commands: p.s.anew([]string{"--cap-add", c.name}, `capabilities: {add: ["`+c.name+`"]}`, "--inh-caps "+lower("+"+c.name)+" --ambient-caps "+lower("+"+c.name)),
			opens:    "it may " + c.opens + " whose ids are mapped in its user namespace",
			apply: func(s *Subject, _ *Walk) {
				s.Cred.CapEff |= have
				s.Cred.CapPrm |= have
				s.Cred.CapBnd |= have
			},
		}
		if c.name == "DAC_OVERRIDE" && len(list) > 0 && list[len(list)-1].title == "start it with CAP_DAC_READ_SEARCH" {
			continue // the smaller one is enough
		}
		if add.commands != nil && p.gets(add) {
			list = append(list, add)
		}
	}
	return list
}

func lower(s string) string { return strings.ToLower(s) }

// mapChanges map an id that the subject's user namespace lacks: that of an argument of chown, or of the file's owner.
func mapChanges(p problem) []change {
	ns := userNS(p.s, p.w.Host)
	if p.v.Rule != RuleChownUnmappedCaller || ns == nil || ns.Initial {
		return nil
	}
	to := *ns
	var words []string
	var ranges []string
	for _, m := range []struct {
		k    idmap.Kind
		id   idmap.Inside
		m    *idmap.Map
		flag string
	}{{idmap.UID, p.op.UID, &to.UID, "--add-subuids"}, {idmap.GID, p.op.GID, &to.GID, "--add-subgids"}} {
		if !m.id.Mapped() || m.m.Covers(m.id) {
			continue
		}
		e, ok := further(*m.m, m.id)
		if !ok {
			return nil
		}
		*m.m = append(slices.Clone(*m.m), e)
		words = append(words, m.flag, fmt.Sprintf("%d-%d", e.Outside, uint64(e.Outside)+uint64(e.Count)-1))
		ranges = append(ranges, fmt.Sprintf("%ss %s", m.k, e))
	}
	if len(words) == 0 {
		return nil
	}
	c := change{
		kind: kindMap, rank: rankMap, title: "map " + strings.Join(ranges, " and ") + " too", restart: true,
		opens: "its user namespace has these ids; nobody else may have them (see /etc/subuid, /etc/subgid and real users)",
		apply: func(_ *Subject, w *Walk) {
			for ; w != nil; w = w.New {
				w.Host.UserNS[ns.Inode] = &to
			}
		},
	}
	name := ""
	if p.w.Host.Names != nil {
		name = p.w.Host.Names.Users[idmap.Inside(ns.Owner)]
	}
	switch e := p.s.engine(); {
	case e == "nsview" || e == "":
		words = nil
		for _, m := range []struct {
			flag      string
			was, then idmap.Map
		}{{"--map-uid", ns.UID, to.UID}, {"--map-gid", ns.GID, to.GID}} {
			if len(m.then) > len(m.was) {
				words = append(words, m.flag, m.then[len(m.then)-1].String())
			}
		}
		c.commands = []string{"nsview run " + shell.Arguments(words...) + " ... -- ..."}
	case ns.Owner != 0 && name != "":
		c.commands = []string{shell.Command("usermod", append(words, "--", name)...)}
		if e == "podman" {
			c.commands = append(c.commands, "runuser -u "+shell.Arguments(name)+" -- podman system migrate")
		}
	default:
		return nil
	}
	return []change{c}
}

// further is an extent that takes a map on to an id, from outside ids that the map does not have.
func further(m idmap.Map, id idmap.Inside) (idmap.Extent, bool) {
	first, outside := uint64(0), uint64(100000)
	for _, e := range m {
		first = max(first, uint64(e.Inside)+uint64(e.Count))
		outside = max(outside, uint64(e.Outside)+uint64(e.Count))
	}
	if uint64(id) < first {
		first = uint64(id) // a hole: this id alone
	}
	count := uint64(id) - first + 1
	if outside+count > 1<<32-2 {
		return idmap.Extent{}, false
	}
	return idmap.Extent{Inside: idmap.Inside(first), Outside: idmap.Kernel(outside), Count: uint32(count)}, true
}

package access

import (
	"maps"
	"slices"

	"github.com/nsview/nsview/idmap"
)

// maxReadings bounds how many missing facts are tried in turn.
const maxReadings = 4

// unsure ends the decision for want of facts about files, which may turn out not to matter: [judge.settleDoubt] tries what
// they can be.
func (j *judge) unsure(rule Rule, missing string, files ...*Node) bool {
	j.doubts = files
	return j.unknown(files[0].Path, rule, missing)
}

// settleDoubt decides again on everything that a missing fact can be. Where all readings agree, that is the answer; nil
// where it hinges on the fact.
func (j *judge) settleDoubt(depth int) *judge {
	i := slices.IndexFunc(j.doubts, func(n *Node) bool { return !n.UID.Known || !n.GID.Known || n.ACLMissing != "" })
	if i < 0 || depth == maxReadings {
		return nil
	}
	var agreed *judge
	for _, read := range j.readings(j.doubts[i]) {
		c := newCopier()
		w := c.walk(j.w)
		file := c.nodes[j.doubts[i]]
		if file == nil {
			return nil // of a layer of an overlay that is none of the walk's
		}
		read(file)
		k := run(j.without, j.s, w, j.op)
		if k.v.Verdict == Unknown {
			if k = k.settleDoubt(depth + 1); k == nil {
				return nil
			}
		}
		switch {
		case k.v.Verdict == Unknown || agreed != nil && (k.v.Verdict != agreed.v.Verdict || k.v.Errno != agreed.v.Errno):
			return nil
		case agreed == nil:
			agreed = k
		}
	}
	return agreed
}

// readings are what the first missing fact of a file can be, as changes to it. The likeliest is the first: it is what is
// reported when all come to the same.
func (j *judge) readings(n *Node) []func(*Node) {
	var list []func(*Node)
	switch {
	case !n.UID.Known:
		for _, id := range j.idReadings(n, idmap.UID) {
			list = append(list, func(n *Node) { n.UID = ID{OnDisk: idmap.UnmappedDisk, Seen: id, Known: true} })
		}
	case !n.GID.Known:
		for _, id := range j.idReadings(n, idmap.GID) {
			list = append(list, func(n *Node) { n.GID = ID{OnDisk: idmap.UnmappedDisk, Seen: id, Known: true} })
		}
	default:
		for _, perm := range []int{-1, 7, 0} {
			list = append(list, func(n *Node) { n.ACLMissing, n.ACL, n.DefaultACL = "", j.aclReading(n, perm), j.aclReading(n, perm) })
		}
	}
	return list
}

// aclReading is an ACL that gives the subject as much or as little as the mode leaves possible: an entry of its own with
// perm. -1 is no ACL.
func (j *judge) aclReading(n *Node, perm int) *ACL {
	if perm < 0 {
		return nil
	}
	return &ACL{Entries: []ACLEntry{
		{Tag: ACLUserObj, Perm: n.Mode >> 6 & 7},
		{Tag: ACLUser, ID: j.fsuid, Perm: uint32(perm)},
		{Tag: ACLGroupObj, Perm: n.Mode >> 3 & 7},
		{Tag: ACLMask, Perm: n.Mode >> 3 & 7},
		{Tag: ACLOther, Perm: n.Mode & 7},
	}}
}

// overflowID is what stat(2) shows for an id that has no mapping, unless the administrator changed it.
const overflowID = 65534

// idReadings are ids that make a difference: somebody else's, inside the subject's user namespace and outside it, one that
// is not mapped, the subject's own, those of the other files and of the operation.
func (j *judge) idReadings(n *Node, kind idmap.Kind) []idmap.Kernel {
	seen, own, set := n.UID, j.fsuid, j.op.UID
	if kind == idmap.GID {
		seen, own, set = n.GID, j.fsgid, j.op.GID
	}
	if j.host.InitialNS && seen.Seen == overflowID && n.Busy != Yes {
		return []idmap.Kernel{overflowID, idmap.UnmappedKernel} // it shows, or it stands for none
	}
	taken := []idmap.Kernel{own}
	var groups []idmap.Kernel
	if kind == idmap.GID {
		groups = j.s.Cred.Groups
		taken = append(taken, j.kindsOf(groups)...)
	}
	eachNode(j.w, func(x *Node) {
		id := x.UID
		if kind == idmap.GID {
			id = x.GID
		}
		if id.Known && id.Seen.Mapped() && len(taken) < 64 {
			taken = append(taken, id.Seen)
		}
	})
	if set.Mapped() {
		taken = append(taken, j.ns.outside(kind, set))
	}
	others := []idmap.Kernel{}
	free := func(id idmap.Kernel) bool {
		return id.Mapped() && !slices.Contains(taken, id) && !slices.Contains(groups, id)
	}
	if j.ns.Initial {
		others = appendFree(others, 1<<32-2, free)
	} else {
		if m := j.ns.Map(kind); len(m) > 0 {
			others = appendFree(others, m[0].Outside+idmap.Kernel(m[0].Count)-1, free)
		}
		others = appendFree(others, 1<<32-2, func(id idmap.Kernel) bool { return free(id) && !j.ns.maps(kind, id) })
	}
	others = append(others, idmap.UnmappedKernel)
	for _, id := range taken {
		if id.Mapped() && !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	return others
}

// kindsOf are those of the subject's groups that stand for all, of which there may be 65536: one for each set of user
// namespaces that have an id for it. In every other check one is as good as another.
func (j *judge) kindsOf(groups []idmap.Kernel) []idmap.Kernel {
	var kinds []idmap.Kernel
	spaces := slices.Collect(maps.Values(j.host.UserNS))
	had := make(map[string]bool)
	mapped := make([]byte, len(spaces))
	for _, id := range groups {
		if !id.Mapped() {
			continue // of which nobody is a member
		}
		for i, ns := range spaces {
			mapped[i] = 0
			if ns.maps(idmap.GID, id) {
				mapped[i] = 1
			}
		}
		if !had[string(mapped)] {
			had[string(mapped)] = true
			kinds = append(kinds, id)
		}
	}
	return kinds
}

// appendFree appends the first id from one downwards that nobody has.
func appendFree(list []idmap.Kernel, from idmap.Kernel, free func(idmap.Kernel) bool) []idmap.Kernel {
	for id := from; id > 0 && from-id < 128; id-- {
		if free(id) {
			return append(list, id)
		}
	}
	return list
}

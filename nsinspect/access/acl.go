package access

import "strconv"

// acl is posix_acl_permission() (fs/posix_acl.c) for a subject that is not the owner: the rule, and the permissions that
// it comes to. Entries of groups are not summed: the first that has all that is wanted is final, also when the mask then
// refuses. An unmapped id matches nobody.
func (j *judge) acl(a *ACL, n *Node, want uint32) (Rule, uint32, string) {
	mask, masked := uint32(7), false
	for _, e := range a.Entries {
		if e.Tag == ACLMask {
			mask, masked = e.Perm, true
		}
	}
	detail := func(e ACLEntry, id string) string {
		s := permText(want) + " wanted: ACL entry " + string(e.Tag) + id + " " + permText(e.Perm)
		if masked {
			s += ", mask " + permText(mask)
		}
		return s
	}
	final := func(rule Rule, e ACLEntry, id string) (Rule, uint32, string) {
		if want&^e.Perm == 0 && want&^mask != 0 {
			rule = RuleACLMask
		}
		return rule, e.Perm & mask, detail(e, id)
	}
	found := false
	var first ACLEntry
	for _, e := range a.Entries {
		switch e.Tag {
		case ACLUser:
			if e.ID.Mapped() && e.ID == j.fsuid {
				return final(RuleACLUser, e, " "+e.ID.String())
			}
		case ACLGroupObj, ACLGroup:
			id := e.ID
			if e.Tag == ACLGroupObj {
				id = n.GID.Seen
			}
			if !j.inGroup(id) {
				continue
			}
			if !found {
				found, first = true, e
			}
			if want&^e.Perm == 0 {
				return final(RuleACLGroup, e, " "+strconv.FormatUint(uint64(id), 10))
			}
		case ACLOther:
			if found {
				return RuleACLGroup, first.Perm & mask, detail(first, "")
			}
			return RuleACLOther, e.Perm, permText(want) + " wanted: ACL entry other " + permText(e.Perm)
		}
	}
	return RuleACLOther, 0, "an ACL without an entry for others"
}

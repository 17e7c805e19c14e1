package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// need is the permission that was refused and on what, "" when it is not a permission that is missing.
func (e *explainer) need() string {
	if !e.permission() {
		return ""
	}
	if e.way {
		return "x (search) on " + e.what() + " on the way to " + quoted(e.pathOf())
	}
	letters := e.letters()
	if letters == "" {
		return ""
	}
	return letters + " on " + e.what()
}

// permission reports whether the rule is one of permission bits, ACL entries, or capabilities that stand in for them.
func (e *explainer) permission() bool {
	return e.v.Rule.aboutPermission() && (e.v.Errno == "EACCES" || e.v.Errno == "")
}

// pathOf is the path on whose way the component is.
func (e *explainer) pathOf() string {
	on := func(w *Walk) bool {
		return e.is(w.Start) || slices.ContainsFunc(w.Steps, func(l Lookup) bool { return e.is(l.Dir) })
	}
	if e.w.New != nil && !on(e.w) && on(e.w.New) {
		return e.w.New.Path
	}
	return e.v.Path
}

// letters is what the operation wants of the component.
func (e *explainer) letters() string {
	if e.parent {
		switch e.op.Op {
		case OpCreate, OpOpencreat, OpMkdir, OpMkfifo, OpMknod, OpWhiteout, OpSymlink, OpUnlink, OpRmdir, OpRename, OpNoreplace, OpExchange, OpLink:
			return "w and x"
		}
	}
	switch e.op.Op {
	case OpRead, OpNoatime, OpGetxattr:
		return "r"
	case OpExec, OpChdir:
		return "x"
	case OpRdwr:
		return "r and w"
	case OpAccess, OpEaccess:
		return strings.Join(strings.Split(strings.ReplaceAll(permText(e.op.Mode), "-", ""), ""), " and ")
	case OpRename, OpNoreplace, OpExchange:
		return "w (its .. changes)"
	case OpLink:
		return "r and w"
	case OpWrite, OpAppend, OpOpentrunc, OpOpencreat, OpTruncate, OpTouch, OpSetxattr, OpConnect:
		return "w"
	}
	return ""
}

// class is what the mode gives one class of users.
func (e *explainer) class(name string, shift int) string {
	return fmt.Sprintf("the mode %04o gives %s %s", e.node.Mode, name, permText(e.node.Mode>>shift&7))
}

// permReason is why the bits or the ACL refuse.
func (e *explainer) permReason() string {
	if e.node == nil {
		return "which refuses it"
	}
	root := e.rootWithout()
	switch e.v.Rule {
	case RuleModeOwner:
		return "which it owns, but " + e.class("the owner", 6) + root
	case RuleModeGroup:
		return fmt.Sprintf("%s: it is in that group, and %s%s", e.owners(), e.class("the group", 3), root)
	case RuleModeOther:
		return e.owners() + ": " + e.class("others", 0) + root
	case RuleACLUser:
		return e.owner() + ": its ACL has for this user " + e.aclEntry(ACLUser) + root
	case RuleACLGroup:
		return e.owner() + ": no ACL entry of a group that it is in gives enough" + root
	case RuleACLMask:
		return e.owner() + ": its ACL would let it, but the mask leaves " + e.aclEntry(ACLMask) + root
	case RuleACLOther:
		return e.owner() + ": no ACL entry names it, and others have " + e.aclEntry(ACLOther) + root
	}
	return ""
}

// rootWithout is for who is root and wonders.
func (e *explainer) rootWithout() string {
	uid := e.inside("uid", e.s.Cred.UID.FS)
	switch {
	case uid != 0 || e.v.Verdict != Deny:
		return ""
	case e.s.Cred.CapEff>>capDACOverride&1 == 0:
		return "; it is root without CAP_DAC_OVERRIDE, which counts as anybody"
	case e.node != nil && e.node.Type == Regular && e.op.Op == OpExec && e.node.Mode&0o111 == 0:
		return "; root too needs at least one x bit"
	}
	return ""
}

// aclEntry is the permissions of the entry that matters, of a mask or a user.
func (e *explainer) aclEntry(tag ACLTag) string {
	if e.node.ACL == nil {
		return "too little"
	}
	for _, entry := range e.node.ACL.Entries {
		if entry.Tag == tag && (tag != ACLUser || entry.ID == e.s.Cred.UID.FS) {
			return permText(entry.Perm)
		}
	}
	return "too little"
}

// because is what allowed it, "" when there is nothing to say.
func (e *explainer) because() string {
	if name, ok := strings.CutPrefix(string(e.v.Rule), string(RuleCap)); ok {
		return "it has " + name + " over " + e.what()
	}
	if e.node == nil {
		return ""
	}
	switch e.v.Rule {
	case RuleModeOwner:
		return "it owns " + e.what() + ", and " + e.class("the owner", 6)
	case RuleModeGroup:
		return "it is in the group of " + e.what() + ", and " + e.class("the group", 3)
	case RuleModeOther:
		return "on " + e.what() + " " + e.class("others", 0)
	case RuleACLUser:
		return "the ACL of " + e.what() + " has for this user " + e.aclEntry(ACLUser)
	case RuleACLGroup:
		return "the ACL of " + e.what() + " lets a group that it is in"
	case RuleACLMask:
		return "the ACL of " + e.what() + " lets it, also through its mask"
	case RuleACLOther:
		return "the ACL of " + e.what() + " gives others " + e.aclEntry(ACLOther)
	case RuleNotOwner:
		return "it owns " + e.what()
	}
	return ""
}

// uncounted is why capabilities that it holds do not count for a file.
func (e *explainer) uncounted() string {
	if e.node == nil {
		return "its capabilities do not count there"
	}
	const but = ": so its capabilities do not count for it"
	switch {
	case !e.reaches("uid", e.node.UID):
		return e.owner() + but
	case !e.reaches("gid", e.node.GID):
		return "whose group is " + e.face("gid", e.node) + but
	}
	return e.owners() + but
}

// unmappedOwner is the file whose owner or group the mount has no number for.
func (e *explainer) unmappedOwner() string {
	if e.node == nil {
		return "its owner or group has no id in the mount"
	}
	kind := "uid"
	if e.node.UID.Seen.Mapped() {
		kind = "gid"
	}
	return e.what() + " belongs to " + e.face(kind, e.node) + ": nobody may change such a file through this mount, root included"
}

// ownership is for what only an owner may do.
func (e *explainer) ownership() string {
	const so = "this needs ownership or CAP_FOWNER over it, write permission does not help"
	if e.node == nil {
		return so
	}
	return e.what() + " is " + e.owner() + ": " + so
}

// chownRefused is for chown by one who is not privileged over the file.
func (e *explainer) chownRefused() string {
	const so = "this needs CAP_CHOWN over it; an owner may only give a file to a group that it is in"
	if e.node == nil {
		return so
	}
	return e.what() + " is " + e.owners() + ": " + so
}

// newOwner is who a file that it makes would belong to.
func (e *explainer) newOwner() string {
	where := "the file system"
	ids := e.identity("uid", e.s.Cred.UID.FS) + " and " + e.identity("gid", e.s.Cred.GID.FS)
	m := e.mount()
	if m == nil {
		return "a new file would belong to " + ids + ", which " + where + " cannot store"
	}
	where += " at " + quoted(m.Point)
	if m.Idmapped {
		where = "the idmapped mount at " + quoted(m.Point)
		if m.MapKnown {
			where += fmt.Sprintf(" (it has the uids %s and the gids %s)", seenRanges(m.UIDMap), seenRanges(m.GIDMap))
		}
	} else if m.Super != nil && e.w.Host != nil {
		if ns := e.w.Host.UserNS[m.Super.UserNS]; ns != nil && !ns.Initial {
			where += fmt.Sprintf(", which was mounted in a user namespace with the uids %s,", outsideRanges(ns.UID))
		}
	}
	return "a new file would belong to " + ids + ", which " + where + " cannot store"
}

// callerUnmapped is the id of chown that the subject's user namespace does not have.
func (e *explainer) callerUnmapped() string {
	for _, x := range []struct {
		kind string
		id   idmap.Inside
	}{{"uid", e.op.UID}, {"gid", e.op.GID}} {
		m := e.mapOf(x.kind)
		if x.id.Mapped() && !m.Covers(x.id) {
			return fmt.Sprintf("%s %s does not exist in %s (it has %s)", x.kind, x.id, e.side(), insideRanges(m))
		}
	}
	return "the new id does not exist in " + e.side()
}

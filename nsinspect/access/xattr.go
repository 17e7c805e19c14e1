package access

import (
	"slices"
	"strings"
)

// The attributes that are ACLs (is_posix_acl_xattr() in include/linux/posix_acl_xattr.h).
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// xattr is setxattr(2) and getxattr(2) (xattr_permission() in fs/xattr.c). getacl reads system.posix_acl_access.
func (j *judge) xattr() {
	at, ok := j.reach(j.w)
	if !ok {
		return
	}
	n, name, set := at.node, j.op.Name, j.op.Op == OpSetxattr
	if j.op.Op == OpGetACL {
		name = aclAccess
	}
	if set && !j.wantWrite(n) {
		return
	}
	if set && name == "security.capability" && !j.setFileCaps(n) {
		return
	}
	if name == aclAccess || name == aclDefault {
		j.aclXattr(n, name, set)
		return
	}
	if set && (!j.flags(n) || !j.needMapped(n, "EPERM")) {
		return
	}
	if j.xattrClass(n, name, set) && set {
		j.changed(n)
	}
}

// xattrClass is xattr_permission() for the namespace of a name, then what the file system does with it.
func (j *judge) xattrClass(n *Node, name string, set bool) bool {
	want := uint32(wantR)
	if set {
		want = wantW
	}
	class, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		class = ""
	}
	switch class {
	case "user":
		if n.Type != Regular && n.Type != Directory {
			if set {
				return j.deny(n, RuleXattr, "EPERM", "only files and directories have user attributes")
			}
			return j.deny(n, RuleXattr, "ENODATA", "only files and directories have user attributes")
		}
		if set && n.Type == Directory && n.Mode&0o1000 != 0 && !j.needOwner(n) {
			return false
		}
		if !j.permission(n, want) {
			return false
		}
	case "trusted":
		mounter := j.mounter(n.Overlay)
		switch {
		case j.initCap(capSysAdmin) && (mounter == nil || mounter.ns.Initial):
		case j.initCap(capSysAdmin) && set:
			// ovl_xattr_set() sets it in the upper layer as the mounter, after the copy-up.
			return j.changed(n) && j.deny(n, RuleInitCap, "EPERM", "trusted attributes need CAP_SYS_ADMIN of the initial user namespace, which whoever mounted the overlay has not")
		case j.initCap(capSysAdmin):
			return j.deny(n, RuleInitCap, "ENODATA", "trusted attributes are hidden from whoever mounted the overlay")
		case set:
			return j.deny(n, RuleInitCap, "EPERM", "trusted attributes need CAP_SYS_ADMIN of the initial user namespace")
		default:
			return j.deny(n, RuleInitCap, "ENODATA", "trusted attributes are hidden without CAP_SYS_ADMIN of the initial user namespace")
		}
	case "security":
		if set && name != "security.capability" && !j.superCap(n, capSysAdmin) {
			return j.deny(n, RuleCap+"CAP_SYS_ADMIN", "EPERM", "security attributes need CAP_SYS_ADMIN over the file system")
		}
	case "system":
	default:
		if !j.permission(n, want) {
			return false
		}
	}
	if set && n.Overlay != nil && (rest == "" || n.NoXattr || !slices.Contains([]string{"user", "trusted", "security"}, class)) && !j.changed(n) {
		return false // an overlay takes any name: what its upper layer makes of it comes after the copy-up
	}
	switch {
	case ownClass(n.Mount.Super.FSType, class):
		return j.unknown(n.Path, RuleXattr, "what "+n.Mount.Super.FSType+" makes of the attribute "+name)
	case n.NoXattr, class == "user" && set && n.Mount.Super.FSType == "sysfs", !slices.Contains([]string{"user", "trusted", "security"}, class):
		return j.deny(n, RuleXattr, "EOPNOTSUPP", "the file system has no attributes of such names")
	case rest == "" && (class == "user" || class == "trusted" || class == "security"):
		return j.deny(n, RuleXattr, "EINVAL", "the name ends where it should begin")
	}
	j.askServer(n)
	return set || j.present(n, name) && (name != "security.capability" || j.fileCapsShown(n))
}

// ownClass reports whether a file system has attributes of its own kind (the xattr handlers in fs/*/).
func ownClass(fs, class string) bool {
	switch class {
	case "gnu": // of the Hurd
		return fs == "ext2" || fs == "ext3" || fs == "ext4"
	case "osx":
		return fs == "hfsplus"
	case "btrfs":
		return fs == class
	}
	return false
}

// present refuses to read what is not there.
func (j *judge) present(n *Node, name string) bool {
	switch {
	case n.XattrsMissing != "":
		return j.unknown(n.Path, RuleXattr, "the attributes of "+n.Path+": "+n.XattrsMissing)
	case !slices.Contains(n.Xattrs, name):
		return j.deny(n, RuleXattr, "ENODATA", "it has no such attribute")
	}
	return true
}

// aclXattr is vfs_get_acl(), and vfs_set_acl() with set_posix_acl() (fs/posix_acl.c).
func (j *judge) aclXattr(n *Node, name string, set bool) {
	j.askServer(n)
	if !set {
		switch {
		case n.NoACL || n.Type == Symlink:
			j.deny(n, RuleNoACL, "EOPNOTSUPP", "the file system has no ACLs")
		case n.ACLMissing != "":
			j.unsure(RuleXattr, "the ACL of "+n.Path+": "+n.ACLMissing, n)
		case name == aclAccess && n.ACL == nil:
			j.deny(n, RuleXattr, "ENODATA", "it has no ACL beyond its mode")
		case name == aclDefault && n.DefaultACL == nil:
			j.deny(n, RuleXattr, "ENODATA", "it has no default ACL")
		}
		return
	}
	switch {
	case !j.flags(n) || !j.needMapped(n, "EPERM"):
	case n.NoACL || n.Type == Symlink:
		j.deny(n, RuleNoACL, "EOPNOTSUPP", "the file system has no ACLs")
	case name == aclDefault && n.Type != Directory:
		j.deny(n, RuleXattr, "EACCES", "only directories have a default ACL")
	case j.needOwner(n):
		j.changed(n)
	}
}

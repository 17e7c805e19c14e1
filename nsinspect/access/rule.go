package access

import "strings"

// Rule names a check. Names are stable: scripts compare them.
type Rule string

// The checks.
const (
	RuleNone                Rule = ""
	RuleWalkX               Rule = "walk-x" // only as the kind of a Step: the deciding Rule is that of the mode, ACL or capability
	RuleNotFound            Rule = "not-found"
	RuleNotDir              Rule = "not-dir"
	RuleIsDir               Rule = "is-dir"
	RuleExists              Rule = "exists"
	RuleNotEmpty            Rule = "not-empty"
	RuleBusy                Rule = "busy"
	RuleInvalid             Rule = "invalid"
	RuleNameTooLong         Rule = "name-too-long"
	RuleSymlinkLoop         Rule = "symlink-loop"
	RuleNoSymfollow         Rule = "nosymfollow"
	RuleProtectedSymlinks   Rule = "protected-symlinks"
	RuleProtectedRegular    Rule = "protected-regular"
	RuleProtectedFifos      Rule = "protected-fifos"
	RuleProtectedHardlinks  Rule = "protected-hardlinks"
	RuleModeOwner           Rule = "mode-owner"
	RuleModeGroup           Rule = "mode-group"
	RuleModeOther           Rule = "mode-other"
	RuleACLUser             Rule = "acl-user"
	RuleACLGroup            Rule = "acl-group"
	RuleACLMask             Rule = "acl-mask"
	RuleACLOther            Rule = "acl-other"
	RuleCap                 Rule = "cap:"               // followed by the capability's name: "cap:CAP_DAC_OVERRIDE"
	RuleCapUnmappedInode    Rule = "cap-unmapped-inode" // held, but the inode's ids are not mapped in the target's user namespace
	RuleIdmapUnmapped       Rule = "idmap-unmapped-owner"
	RuleFsidUnmapped        Rule = "fsid-unmapped"
	RuleROMount             Rule = "ro-mount"
	RuleROSuper             Rule = "ro-superblock"
	RuleNoExec              Rule = "noexec"
	RuleNoDev               Rule = "nodev"
	RuleSBNoDev             Rule = "sb-nodev"
	RuleImmutable           Rule = "immutable"
	RuleAppend              Rule = "append"
	RuleSticky              Rule = "sticky"
	RuleNotOwner            Rule = "not-owner"
	RuleChownUnmappedCaller Rule = "chown-unmapped-caller"
	RuleChownUnmappedFS     Rule = "chown-unmapped-fs"
	RuleSUIDKill            Rule = "suid-kill"
	RuleXDev                Rule = "exdev"
	RuleInitCap             Rule = "init-cap" // needs a capability of the initial user namespace
	RuleFileCaps            Rule = "file-caps"
	RuleFormat              Rule = "exec-format"
	RuleNoACL               Rule = "no-acl-support"
	RuleXattr               Rule = "xattr"
	RuleOverlayMounter      Rule = "overlay-mounter" // who mounted the overlay is refused by the layer
	RuleOverlayCopyUp       Rule = "overlay-copy-up"
	RuleNoPeer              Rule = "no-peer" // a socket or a device that nothing answers
	RuleFUSE                Rule = "fuse-owner"
	RuleSysctl              Rule = "sysctl"   // the settings below /proc/sys have a permission check of their own
	RuleFSLacks             Rule = "fs-lacks" // the file system has no such operation, for nobody
	RulePtrace              Rule = "ptrace"   // a magic link of another process
	RuleLSM                 Rule = "lsm-unknown"
	RuleFS                  Rule = "fs-unknown" // the file system decides by itself
)

// aboutWhatIsThere reports whether a rule is about the kind of file or its absence, not about permission.
func (r Rule) aboutWhatIsThere() bool {
	switch r {
	case RuleNotFound, RuleNotDir, RuleIsDir, RuleExists, RuleInvalid, RuleNameTooLong, RuleSymlinkLoop, RuleFormat, RuleNoPeer, RuleBusy, RuleFSLacks:
		return true
	}
	return false
}

// aboutPermission reports whether a rule is about permission bits, ACL entries, or capabilities that would stand in for
// them.
func (r Rule) aboutPermission() bool {
	switch r {
	case RuleModeOwner, RuleModeGroup, RuleModeOther, RuleACLUser, RuleACLGroup, RuleACLMask, RuleACLOther, RuleCapUnmappedInode:
		return true
	}
	return false
}

// aboutOwners reports whether a rule is about who owns a file, so that other ids of the file may change the verdict.
func (r Rule) aboutOwners() bool {
	switch r {
	case RuleIdmapUnmapped, RuleFsidUnmapped, RuleNotOwner, RuleSticky, RuleProtectedHardlinks, RuleProtectedRegular, RuleProtectedSymlinks, RuleChownUnmappedFS:
		return true
	}
	return r.aboutPermission() || strings.HasPrefix(string(r), string(RuleCap))
}

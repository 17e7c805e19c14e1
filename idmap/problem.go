package idmap

// Rule names what a map that is to be written breaks. The names are stable.
type Rule string

// The rules, in the order in which the kernel asks (map_write() and new_idmap_permitted() in kernel/user_namespace.c),
// and those of newuidmap(1) and newgidmap(1) first.
const (
	// newuidmap and newgidmap, before they ask the kernel.
	RuleNewidmapMissing Rule = "newidmap-missing"      // not installed
	RuleNewidmapGroup   Rule = "newidmap-login-group"  // the caller's group is not its login group
	RuleNotGranted      Rule = "not-granted"           // outside ids that /etc/subuid or /etc/subgid does not give
	RuleNoNewPrivs      Rule = "no-new-privs"          // no_new_privs takes newuidmap's set-id bit or capabilities
	RuleNewidmapPrivs   Rule = "newidmap-unprivileged" // neither set-id nor file capabilities

	// The writer.
	RuleElsewhere      Rule = "writer-elsewhere"   // the writer is neither in the namespace nor in its parent
	RuleOverPage       Rule = "over-page"          // the text does not fit into a page
	RuleAlreadyWritten Rule = "already-written"    // a map can be written once
	RuleNoSysAdmin     Rule = "no-cap-sys-admin"   // no CAP_SYS_ADMIN over the namespace
	RuleInvalidID      Rule = "invalid-id"         // 4294967295 is not an id
	RuleZeroCount      Rule = "zero-count"         // an extent of no ids
	RuleWrap           Rule = "wrap"               // an extent that runs over 4294967294
	RuleOverlapInside  Rule = "overlap-inside"     // an inside id twice
	RuleOverlapOutside Rule = "overlap-outside"    // an outside id twice
	RuleTooMany        Rule = "too-many-extents"   // more than MaxExtents
	RuleEmpty          Rule = "empty"              // no extent at all
	RuleParentRoot     Rule = "root-needs-setfcap" // outside 0 without CAP_SETFCAP in the parent (Linux 5.12)

	// A writer without CAP_SETUID (CAP_SETGID for gid_map) in the parent may map one id, its own.
	RuleSeveralExtents Rule = "unprivileged-extents" // more than one extent
	RuleSeveralIDs     Rule = "unprivileged-count"   // more than one id
	RuleNotOwnID       Rule = "unprivileged-id"      // another id than its own
	RuleNotOwner       Rule = "unprivileged-owner"   // a namespace that another user made
	RuleSetgroups      Rule = "setgroups-not-denied" // gid_map, while /proc/PID/setgroups says allow (Linux 3.19)

	// The parent.
	RuleOutsideUnmapped Rule = "outside-not-mapped"     // outside ids that the parent does not have
	RuleCrossesParent   Rule = "crosses-parent-extents" // outside ids of several of the parent's extents
)

// Problem is one reason why a map would not be accepted.
type Problem struct {
	Rule Rule `json:"rule"`

	// Errno is what write(2) answers because of it: "EINVAL" or "EPERM". It is "" where newuidmap refuses by itself and
	// the kernel is not asked.
	Errno string `json:"errno"`

	Detail   string   `json:"detail"`             // what is wrong, one clause
	Accepted string   `json:"accepted,omitempty"` // what would be accepted instead, "" when that is obvious
	Extents  []Extent `json:"extents,omitempty"`  // the extents it is about; none when it is about the whole map
}

// Error is the detail, so that a Problem can be returned as an error.
func (p Problem) Error() string { return p.Detail }

const (
	einval = "EINVAL"
	eperm  = "EPERM"
)

// Package access says whether the kernel would allow one operation on one path to one process, which check decides, and
// why. It is pure: [Decide] judges facts that package procscan/pathwalk gathered, so that every verdict can be tested,
// stored, and decided again on changed facts, which is how a fix is proven.
//
// The procedure is that of Linux 6.18 (fs/namei.c, fs/open.c, fs/attr.c, fs/xattr.c, fs/posix_acl.c, fs/exec.c,
// security/commoncap.c, fs/overlayfs), with what older kernels do otherwise in one table ([Kernel]). One file holds one
// rule or the operations of one system call.
//
// All ids are on the observer's side. They are the kernel's own only when the observer is in the initial user namespace:
// elsewhere an id that has no mapping there is not known, and an answer that depends on it is unknown.
package access

import "github.com/nsview/nsview/nsinspect"

// Answer is the outcome of a question.
type Answer string

// The three outcomes. Wrong is worse than unknown, and unknown is worse than right.
const (
	Allow   Answer = "allow"
	Deny    Answer = "deny"
	Unknown Answer = "unknown"
)

// Errno is the symbolic name of an error number, "" for success (errno(3)).
type Errno string

// Verdict is the answer to one question. It is what nsview access -o json prints.
type Verdict struct {
	ID          string   `json:"id,omitempty"` // of a batch request
	Target      string   `json:"target"`
	Op          string   `json:"op"`
	Args        []string `json:"args,omitempty"`
	Path        string   `json:"path"`
	Verdict     Answer   `json:"verdict"`
	Errno       Errno    `json:"errno"`     // what the system call fails with, "" on allow
	Rule        Rule     `json:"rule"`      // the check that decided; on allow the one that let it pass last
	Component   string   `json:"component"` // the path, in the target's root, of what that check was about
	Explanation string   `json:"explanation"`
	Steps       []Step   `json:"steps"` // every check that was made, in the kernel's order; the last one decided
	Fixes       []Fix    `json:"fixes"`
	Assumptions []string `json:"assumptions"` // facts that no interface shows and that could still deny

	// Missing is, for unknown, the fact that the answer hinges on, and for a denial without fixes what lies behind it and
	// could not be seen ([Unseen]).
	Missing string `json:"missing,omitempty"`
	// HostPath is Component as the observer reaches it, "" when it has no path there.
	HostPath string `json:"host_path,omitempty"`
}

// Step is one check.
type Step struct {
	Component string `json:"component"` // path in the target's root
	Rule      Rule   `json:"rule"`
	Result    Answer `json:"result"`
	Errno     Errno  `json:"errno,omitempty"`
	Detail    string `json:"detail"` // what was compared with what: "search (x): mode 0750, other bits ---"
}

// Fix is one way to have the operation allowed.
type Fix struct {
	Title    string   `json:"title"`
	Commands []string `json:"commands"`          // for a shell of the observer, quoted; several are run one after the other
	How      string   `json:"how,omitempty"`     // what to change where no command can: options of an engine, fields of a pod
	Proven   bool     `json:"proven"`            // deciding again on the facts as they are after it gives allow
	Restart  bool     `json:"restart,omitempty"` // the container has to be made anew for it, or the process started anew that is in none
	Opens    string   `json:"opens"`             // what it opens to whom, besides what was asked
}

// Subject is who asks: credentials in a user namespace, and what is needed to name them.
type Subject struct {
	Target string                `json:"target"` // as it was asked for, or as nsview names it
	PID    int                   `json:"pid"`    // 0 when it is not running
	Cred   nsinspect.Credentials `json:"cred"`
	UserNS nsinspect.Inode       `json:"user_ns"` // in Walk.Host.UserNS
	MntNS  nsinspect.Inode       `json:"mnt_ns"`
	// StartTime tells the process of that PID from another that has it later (clock ticks after boot); 0 unknown.
	StartTime uint64 `json:"start_time,omitempty"`

	// Names are the users and groups that its own root file system names, nil when unknown; Container is the container
	// that it is in, nil for a process of the host.
	Names     *nsinspect.NameTable `json:"-"`
	Container *nsinspect.Container `json:"-"`

	// Assumptions are facts about it that could not be seen: "not running", securebits, ...
	Assumptions []string `json:"assumptions,omitempty"`
}

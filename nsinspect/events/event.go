// Package events is the model of what processes do to namespaces: one Event a system call, exec or exit, and the questions
// that a list of them answers: whom to follow, who came from whom, which containers started and how. It does no I/O:
// package procscan/trace reads the events.
package events

import (
	"slices"
	"time"

	"github.com/nsview/nsview/nsinspect"
)

// Type is a group of events, as --type names it.
type Type string

// The types of events.
const (
	Clone   Type = "clone"   // clone, clone3, fork and vfork: a process starts, or could not
	Unshare Type = "unshare" // new namespaces for the caller itself
	Setns   Type = "setns"   // existing namespaces for the caller
	Exec    Type = "exec"    // execve, execveat
	Name    Type = "prctl"   // PR_SET_NAME
	Map     Type = "map"     // a write to uid_map, gid_map, projid_map or setgroups in /proc/PID
	Mount   Type = "mount"   // mount, move_mount, mount_setattr, umount, pivot_root, chroot and the like
	Cred    Type = "cred"    // setuid, setgid, setgroups and their relatives
	Exit    Type = "exit"    // the last thread of a process ends
)

// Types lists every type, in the order of the help text.
func Types() []Type { return []Type{Clone, Unshare, Setns, Exec, Name, Map, Mount, Cred, Exit} }

// Event is one thing that a process did, or could not do. PIDs and ids without "inside" are the observer's.
type Event struct {
	Time      time.Time `json:"time"`
	PID       int       `json:"pid"`        // of the process
	TID       int       `json:"tid"`        // of the thread
	InsidePID int       `json:"inside_pid"` // its PID in its own PID namespace
	PPID      int       `json:"ppid"`
	Comm      string    `json:"comm"` // of the thread when it made the call; after an exec its new one
	Type      Type      `json:"type"`
	Name      string    `json:"event"` // the system call; "exec" and "exit" for what is more than one, "map_write" for a write to an id map; "namespaces", "map" and "ids" where only their change was seen
	Flags     []string  `json:"flags"` // by name; what has no name is one hexadecimal number
	Args      Args      `json:"args"`
	Result    int64     `json:"result"` // what the call returned: on success of a clone the child's PID, -1 on failure
	Errno     string    `json:"errno"`  // "" on success

	Before     nsinspect.NamespaceSet `json:"before"`
	Namespaces nsinspect.NamespaceSet `json:"namespaces"` // after; of a clone the child's

	UID nsinspect.IDs `json:"uid"` // after, on the observer's side
	GID nsinspect.IDs `json:"gid"`

	Caps   uint64  `json:"-"`                // effective capabilities after it
	Denial *Denial `json:"denial,omitempty"` // of a Denied
}

// Args is what an event was called with and what is known of its outcome. Only what belongs to the event is set.
type Args struct {
	// clone
	Child       int `json:"child_pid,omitempty"`
	ChildInside int `json:"child_inside_pid,omitempty"`
	ChildParent int `json:"child_ppid,omitempty"` // another than the event's PID with CLONE_PARENT

	// exec, chroot, and the calls that take one path
	Path string   `json:"path,omitempty"`
	New  string   `json:"new,omitempty"` // the second path of a rename or a link
	Argv []string `json:"argv,omitempty"`

	Name string `json:"name,omitempty"` // prctl: the new name

	// A write to an id map. File is its name below /proc/PID, Target that PID.
	File     string          `json:"file,omitempty"`
	Content  string          `json:"content,omitempty"`
	Target   int             `json:"target,omitempty"`
	TargetNS nsinspect.Inode `json:"target_user_ns,omitempty"` // whose map it is
	ParentNS nsinspect.Inode `json:"parent_user_ns,omitempty"`

	// setns. Whose is a TARGET.
	FD    *int            `json:"fd,omitempty"`
	NS    nsinspect.Inode `json:"ns,omitempty"`
	Whose string          `json:"whose,omitempty"`

	// mounts
	Source string `json:"source,omitempty"`
	Point  string `json:"point,omitempty"`
	FSType string `json:"fstype,omitempty"`

	PointPath string `json:"point_path,omitempty"` // where Point leads, when it is /proc/self/fd/N
	Options   string `json:"options,omitempty"`

	IDs []int64 `json:"ids,omitempty"` // what a setuid or the like asked for, inside ids; -1 keeps one

	// exit
	Status *int   `json:"status,omitempty"`
	Signal string `json:"signal,omitempty"`

	Reason    string `json:"reason,omitempty"`    // why it failed
	Truncated bool   `json:"truncated,omitempty"` // a string was longer than what is kept
	Late      bool   `json:"read_late,omitempty"` // strings were read when the call returned, since their memory was not there at its entry: another thread may have changed them
	Unread    bool   `json:"unread,omitempty"`    // what the call was given by pointers, such as paths, is not known: the source does not tell
}

// Failed reports whether the call was refused.
func (e *Event) Failed() bool { return e.Errno != "" }

// Born reports whether the event is the birth of a process.
func (e *Event) Born() bool { return e.Type == Clone && e.Args.Child != 0 }

// New are the kinds of namespaces that differ after the event. What a task's children get counts for the kind itself: it is
// what unshare(CLONE_NEWPID) and unshare(CLONE_NEWTIME) change.
func (e *Event) New() []nsinspect.Type {
	var kinds []nsinspect.Type
	for _, kind := range nsinspect.Types() {
		before, after := e.Before.Of(kind), e.Namespaces.Of(kind)
		if before != 0 && after != 0 && before != after || forChildren(&e.Before, kind) != forChildren(&e.Namespaces, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Entered is a namespace that a setns led to, or was to lead to; 0 where it is not known. A descriptor of a process (a pidfd)
// stands for several: it is the first that the caller was not in.
func (e *Event) Entered() nsinspect.Inode {
	if e.Type != Setns || e.Args.NS != 0 {
		return e.Args.NS
	}
	kinds := e.New()
	if len(kinds) == 0 {
		return 0
	}
	return e.after(kinds[0])
}

// forChildren is where the next child will be, of the kinds where that is asked apart.
func forChildren(s *nsinspect.NamespaceSet, kind nsinspect.Type) nsinspect.Inode {
	switch kind {
	case nsinspect.PID:
		return s.PIDForChildren
	case nsinspect.Time:
		return s.TimeForChildren
	}
	return s.Of(kind)
}

// after is the namespace of that kind that the event led to.
func (e *Event) after(kind nsinspect.Type) nsinspect.Inode {
	if e.Before.Of(kind) != e.Namespaces.Of(kind) {
		return e.Namespaces.Of(kind)
	}
	return forChildren(&e.Namespaces, kind)
}

// First reports whether the event is the birth of the first process of a new PID namespace: its PID 1.
func (e *Event) First() bool {
	return e.Born() && e.Args.ChildInside == 1 && e.Before.PID != e.Namespaces.PID
}

// Plain reports whether a birth has nothing to do with namespaces: the child is where its parent is.
func (e *Event) Plain() bool { return e.Born() && e.Before == e.Namespaces }

// makes reports whether the call made a namespace of that kind: a child may also be in one that was made before for it.
func (e *Event) makes(kind nsinspect.Type) bool { return slices.Contains(e.Flags, newFlag(kind)) }

// bornInto reports whether the event is a birth in a PID namespace that may have been there before: its maker had entered it by
// setns(2), and the child is not known to be its PID 1.
func (e *Event) bornInto(kind nsinspect.Type) bool {
	return kind == nsinspect.PID && e.Born() && !e.makes(kind) && !e.First()
}

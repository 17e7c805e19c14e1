package nsinspect

import (
	"strconv"

	"github.com/nsview/nsview/idmap"
)

// Type is a kind of namespace, spelled as in /proc/PID/ns (namespaces(7)).
type Type string

// The eight kinds of namespaces.
const (
	User   Type = "user"
	PID    Type = "pid"
	Mnt    Type = "mnt"
	Net    Type = "net"
	UTS    Type = "uts"
	IPC    Type = "ipc"
	Cgroup Type = "cgroup"
	Time   Type = "time"
)

// Types lists every kind, in the order in which nsview prints them.
func Types() []Type { return []Type{User, PID, Mnt, Net, UTS, IPC, Cgroup, Time} }

// Inode is the inode number of a namespace, which names it on this host as long as it lives. 0 is unknown and null in
// JSON: the namespace exists, the observer could not read which it is.
type Inode uint64

// MarshalJSON writes the number, or null when it is unknown.
func (i Inode) MarshalJSON() ([]byte, error) {
	if i == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendUint(nil, uint64(i), 10), nil
}

// String is the decimal number, or "?" when it is unknown.
func (i Inode) String() string {
	if i == 0 {
		return "?"
	}
	return strconv.FormatUint(uint64(i), 10)
}

// NamespaceSet is the namespaces of one task: its links in /proc/PID/ns. A field is 0 when it could not be read or the
// kernel has no such namespace.
type NamespaceSet struct {
	User            Inode `json:"user"`
	PID             Inode `json:"pid"`
	PIDForChildren  Inode `json:"pid_for_children"` // where the next child goes: differs after unshare(CLONE_NEWPID)
	Mnt             Inode `json:"mnt"`
	Net             Inode `json:"net"`
	UTS             Inode `json:"uts"`
	IPC             Inode `json:"ipc"`
	Cgroup          Inode `json:"cgroup"`
	Time            Inode `json:"time"`
	TimeForChildren Inode `json:"time_for_children"`
}

// Of is the task's namespace of kind t, 0 when unknown.
func (s *NamespaceSet) Of(t Type) Inode {
	if field := s.field(t); field != nil {
		return *field
	}
	return 0
}

// field is where the set keeps its namespace of kind t, nil for no kind.
func (s *NamespaceSet) field(t Type) *Inode {
	switch t {
	case User:
		return &s.User
	case PID:
		return &s.PID
	case Mnt:
		return &s.Mnt
	case Net:
		return &s.Net
	case UTS:
		return &s.UTS
	case IPC:
		return &s.IPC
	case Cgroup:
		return &s.Cgroup
	case Time:
		return &s.Time
	}
	return nil
}

// Namespace is one namespace of the host.
type Namespace struct {
	Type   Type   `json:"type"`
	Inode  Inode  `json:"inode"`
	ID     uint64 `json:"id,omitempty"` // NS_GET_ID, unique since boot (Linux 6.18)
	Parent Inode  `json:"parent"`       // user and PID namespaces: NS_GET_PARENT; 0 at the top and beyond the observer's view

	// OwnerUserNS is the user namespace that owns this one (NS_GET_USERNS): capabilities in it count here. For a user
	// namespace it is the parent.
	OwnerUserNS Inode `json:"owner_user_ns"`

	// OwnerUID is, for a user namespace, its creator's effective uid (NS_GET_OWNER_UID), on the observer's side;
	// unmapped (null) for other kinds, and when it could not be read (then a Gap says so).
	OwnerUID idmap.Kernel `json:"owner_uid"`

	Processes int   `json:"processes"` // tasks of the snapshot that are in it
	Leader    int   `json:"leader"`    // host PID of the process that stands for it: PID 1 inside, else the oldest; 0 without processes
	Pins      []Pin `json:"pins"`      // what else keeps it alive

	// Container is the container that the leader is in, nil for the host's own.
	Container *ContainerRef `json:"container"`

	// MntID is, for a mount namespace, its id for statmount(2) (NS_GET_MNTNS_ID, Linux 6.11); 0 when unknown.
	MntID uint64 `json:"mnt_id,omitempty"`

	// IDMaps is, for a user namespace, the index of its maps in Snapshot.IDMaps, -1 when unknown and for other kinds.
	IDMaps int `json:"id_maps"`
}

// PinKind says what holds a namespace besides a process in it.
type PinKind string

// The kinds of pins.
const (
	PinBindMount   PinKind = "bind_mount"   // an nsfs file bind-mounted at Path in mount namespace MntNS
	PinFD          PinKind = "fd"           // file descriptor FD of PID refers to it
	PinChild       PinKind = "child"        // it is the parent of namespace Inode
	PinOwned       PinKind = "owned"        // it owns namespace Inode
	PinForChildren PinKind = "for_children" // PID's children will be in it (pid_for_children, time_for_children)
	PinThread      PinKind = "thread"       // thread TID of PID alone is in it
	PinSocket      PinKind = "socket"       // net: socket FD of PID belongs to it
)

// Pin is one reason, other than a process in it, why a namespace lives.
type Pin struct {
	Kind  PinKind `json:"kind"`
	Path  string  `json:"path,omitempty"`
	MntNS Inode   `json:"mnt_ns,omitempty"`
	PID   int     `json:"pid,omitempty"`
	TID   int     `json:"tid,omitempty"`
	FD    *int    `json:"fd,omitempty"`
	Inode Inode   `json:"inode,omitempty"`
	Type  Type    `json:"type,omitempty"` // of Inode, for PinOwned
}

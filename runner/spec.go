package runner

import (
	"slices"
	"time"

	"github.com/nsview/nsview/idmap"
)

// Namespace is a kind of namespace, spelled as in /proc/PID/ns (namespaces(7)).
type Namespace string

// The eight kinds of namespaces.
const (
	User   Namespace = "user"
	PID    Namespace = "pid"
	Mount  Namespace = "mnt"
	Net    Namespace = "net"
	UTS    Namespace = "uts"
	IPC    Namespace = "ipc"
	Cgroup Namespace = "cgroup"
	Time   Namespace = "time"
)

// Namespaces lists every kind, in the order in which nsview prints them.
func Namespaces() []Namespace { return []Namespace{User, PID, Mount, Net, UTS, IPC, Cgroup, Time} }

// Flag is the name of the flag that makes a namespace of this kind: "mount" for mnt, else the kind.
func (n Namespace) Flag() string {
	if n == Mount {
		return "mount"
	}
	return string(n)
}

// Spec is what is wanted. The zero value of a field asks for nothing.
type Spec struct {
	New  []Namespace // made for the command
	Join []Join      // of other processes, joined

	MapUID, MapGID []idmap.Extent // outside ids are the caller's; one without the other serves for both
	MapRoot        bool           // the caller's own ids are 0 inside
	MapCurrent     bool           // the caller's own ids are the same inside (keep-id)
	MapAuto        bool           // the caller's grants of /etc/subuid and /etc/subgid fill what is free inside, from 0 on
	Setgroups      string         // "allow", "deny", or "" for what is possible

	UID, GID *idmap.Inside  // whom the command runs as; nil keeps the caller's id, or takes 0 where that is not mapped
	Groups   []idmap.Inside // supplementary groups; nil keeps them, or drops them where the ids change

	MountProc bool
	Root      string      // the new root directory, a host path
	Mounts    []MountSpec // in the order in which they are made
	Hostname  string
	Workdir   string   // inside; "" is / with Root, else the caller's
	Env       []string // NAME=VALUE, added to the caller's environment

	CapDrop, CapKeep []string
	NoNewPrivs       bool
	TimeOffsets      []TimeOffset

	Pin    string // directory in which the new namespaces are kept as files
	Name   string // what nsview calls the container
	Init   bool   // an init as PID 1 that reaps and forwards signals
	Detach bool   // the command outlives nsview
	Report bool   // look at the command from both sides when it is started

	Command []string
}

// Join is a namespace of another process that the command will be in.
type Join struct {
	Type   Namespace
	Target string // as the user named it
	Path   string // its nsfs file: /proc/PID/ns/TYPE, or a bind mount of one
	Inode  uint64 // what Path must be when it is opened: 0 takes any

	// For a user namespace: its maps, as the caller reads them.
	UIDMap, GIDMap idmap.Map
	Setgroups      string
	OwnerUID       idmap.Kernel
}

// MountSpec is one --bind or --tmpfs.
type MountSpec struct {
	Source   string // a host path; "" for a tmpfs
	Target   string // an absolute path inside
	ReadOnly bool

	// Idmap gives the mount an id map: IDExtents on disk -> seen as, where seen as is an inside id. Without extents it is
	// the container's own map.
	Idmap     bool
	IDExtents []idmap.Extent // Inside is the id on disk, Outside the inside id it is seen as
}

// Tmpfs reports whether the mount is an empty tmpfs of its own.
func (m MountSpec) Tmpfs() bool { return m.Source == "" }

// TimeOffset sets a clock of a new time namespace off against the caller's (time_namespaces(7)).
type TimeOffset struct {
	Clock  string // "monotonic" or "boottime"
	Offset time.Duration
}

func (s *Spec) has(n Namespace) bool { return slices.Contains(s.New, n) }

// imply adds the namespaces that the other fields cannot do without.
func (s *Spec) imply() {
	want := func(need bool, n Namespace) {
		if need && !s.has(n) && s.joined(n) == nil {
			s.New = append(s.New, n)
		}
	}
	want(s.mapped() || s.Setgroups != "", User)
	want(s.MountProc || s.Init, PID)
	want(s.MountProc || s.Root != "" || len(s.Mounts) > 0, Mount)
	want(s.Hostname != "", UTS)
	want(len(s.TimeOffsets) > 0, Time)
	order := Namespaces()
	slices.SortFunc(s.New, func(a, b Namespace) int { return slices.Index(order, a) - slices.Index(order, b) })
	s.New = slices.Compact(s.New)
}

func (s *Spec) mapped() bool {
	return len(s.MapUID) > 0 || len(s.MapGID) > 0 || s.MapRoot || s.MapCurrent || s.MapAuto
}

func (s *Spec) joined(n Namespace) *Join {
	for i := range s.Join {
		if s.Join[i].Type == n {
			return &s.Join[i]
		}
	}
	return nil
}

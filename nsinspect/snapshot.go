// Package nsinspect holds the model of a host (Snapshot, Process, Namespace, Mount, Container, Gap) and answers
// questions about it: the namespace graph, views across namespaces, what two processes share, who sees a file as whose.
// It does no I/O: package procscan reads the facts, this package reasons.
//
// Truth is relative to an observer: every id and PID that is not said to be inside is as the Observer sees it.
package nsinspect

import (
	"encoding/json"
	"time"

	"github.com/nsview/nsview/idmap"
)

// Schema is the version of every JSON object that nsview writes.
const Schema = "nsview/v1"

// Snapshot is what one observer could see of a host at one time. It is plain data: it serialises to JSON and back
// without loss, but for bytes of names that are not UTF-8, and every question can be asked of a stored one.
type Snapshot struct {
	Schema   string    `json:"schema"`
	Kind     string    `json:"kind"` // "Snapshot"
	Time     time.Time `json:"time"`
	Observer Observer  `json:"observer"`
	Gaps     []Gap     `json:"gaps"`

	// Partial: the scan was interrupted, and this is what it had read.
	Partial bool `json:"partial,omitempty"`

	Processes  []Process   `json:"processes"` // by PID
	Namespaces []Namespace `json:"namespaces"`

	// IDMaps are the id maps of user namespaces, each read once; Process.IDMaps and Namespace.IDMaps are indices.
	// Where the observer cannot tell which user namespace a process is in, equal maps are one entry.
	IDMaps []IDMaps `json:"id_maps"`

	// MountTables are the mounts, read once per mount namespace and root; Process.MountTable is an index.
	MountTables []MountTable `json:"mount_tables"`

	// Names are the user and group names of each root; Process.Names is an index. The observer's are Names[Observer.Names].
	Names []NameTable `json:"names"`

	Containers []Container `json:"containers"`

	// Files are the files that nsview snapshot --path and --volumes looked at.
	Files []*FileFacts `json:"files,omitempty"`

	// Doctor is what nsview snapshot --volumes stored for nsview doctor. Package nsinspect/doctor reads and checks it.
	Doctor json.RawMessage `json:"doctor,omitempty"`
}

// Observer is who looked: the process that took the snapshot.
type Observer struct {
	PID       int          `json:"pid"` // as the procfs numbers it; 0 when the procfs does not show the observer
	UID       idmap.Inside `json:"uid"` // effective, in its own user namespace
	GID       idmap.Inside `json:"gid"`
	UserNS    Inode        `json:"user_ns"`
	PIDNS     Inode        `json:"pid_ns"`
	MntNS     Inode        `json:"mnt_ns"`
	Root      string       `json:"root"`
	Caps      uint64       `json:"caps"` // effective capabilities, bit n is capability n
	Kernel    string       `json:"kernel"`
	Hostname  string       `json:"hostname,omitempty"`
	LSMs      []string     `json:"lsms"`       // nil when unknown (securityfs not mounted)
	InitialNS bool         `json:"initial_ns"` // in the initial user namespace: kernel ids are the kernel's own

	// ProcPIDNS is the PID namespace that the procfs shows, 0 when that is another than the observer's and cannot be
	// told. PIDs in the snapshot are of it.
	ProcPIDNS Inode `json:"proc_pid_ns"`

	// Boot is when the clock was 0 that start times count from, by the observer's wall clock; nil when unknown.
	Boot *time.Time `json:"boot"`

	OverflowUID uint32 `json:"overflow_uid"` // /proc/sys/kernel/overflowuid: what stands for an unmapped uid
	OverflowGID uint32 `json:"overflow_gid"`

	Namespaces NamespaceSet `json:"namespaces"`
	IDMaps     int          `json:"id_maps"`     // index of the observer's own maps, -1 when unknown
	MountTable int          `json:"mount_table"` // index of the observer's own mounts, -1 when not read
	Names      int          `json:"names"`       // index of the observer's own names, -1 when not read
}

// IDMaps is what /proc/PID/uid_map, gid_map and setgroups said.
type IDMaps struct {
	UserNS    Inode     `json:"user_ns"` // 0 when the observer cannot tell
	UID       idmap.Map `json:"uid_map"`
	GID       idmap.Map `json:"gid_map"`
	Setgroups string    `json:"setgroups"` // "allow", "deny" or "" when unknown

	// ParentUID and ParentGID are set for the observer's own user namespace only, when it is not the initial one: what
	// its files say, whose outside ids are the parent namespace's and not the observer's.
	ParentUID idmap.Map `json:"parent_uid_map,omitempty"`
	ParentGID idmap.Map `json:"parent_gid_map,omitempty"`
}

// Gap is a fact that could not be read. Nothing is dropped silently: a row is marked and a Gap says why.
type Gap struct {
	Subject string `json:"subject"`       // what it is about: "pid 1", "mount namespace 4026532", a path
	PID     int    `json:"pid,omitempty"` // the process it is about
	Fact    string `json:"fact"`          // what is missing: "ns/user", "mountinfo", "passwd"
	Error   string `json:"error"`         // why, as the kernel said: "permission denied"
	Hint    string `json:"hint"`          // what would lift it: "run as root"; "" when nothing would
}

// Container is a set of processes that an engine started together, or, with Engine "", processes in namespaces that no
// engine explains. One that is not running has no process: its facts are the engine's.
type Container struct {
	Engine string `json:"engine"` // docker, podman, nsview, ...; "" when no engine explains it
	ID     string `json:"id"`
	Name   string `json:"name"` // for Engine "": COMM/PID of its leader, of which only the PID decides
	EngineFacts

	InitPID    int          `json:"init_pid"`  // host PID of its first process, 0 when it is not running
	Processes  int          `json:"processes"` // how many of the snapshot's processes are in it
	Namespaces NamespaceSet `json:"namespaces"`
	IDMaps     int          `json:"id_maps"` // of its init process
	MountTable int          `json:"mount_table"`
	Names      int          `json:"names"`
}

// Running reports whether c has a process.
func (c *Container) Running() bool { return c.InitPID != 0 }

// ContainerRef names a container.
type ContainerRef struct {
	Engine string `json:"engine"`
	ID     string `json:"id"`
	Name   string `json:"name"`
}

// Ref names c.
func (c *Container) Ref() ContainerRef { return ContainerRef{Engine: c.Engine, ID: c.ID, Name: c.Name} }

// String is what nsview prints as a viewer, and takes as a TARGET: ENGINE:NAME, or COMM/PID without an engine.
func (r ContainerRef) String() string {
	name := r.Name
	if name == "" {
		name = r.ID
	}
	if r.Engine == "" {
		return name
	}
	return r.Engine + ":" + name
}

// NameTable is the users and groups that one root file system names. It is read from files a container controls:
// every name in it is hostile text.
type NameTable struct {
	MntNS  Inode                   `json:"mnt_ns"`
	Root   string                  `json:"root"`
	Users  map[idmap.Inside]string `json:"users"`
	Groups map[idmap.Inside]string `json:"groups"`
}

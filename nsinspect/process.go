package nsinspect

import "github.com/nsview/nsview/idmap"

// Process is one process (thread group) of the snapshot.
type Process struct {
	PID  int   `json:"pid"`  // as the observer's procfs numbers it
	PPID int   `json:"ppid"` // 0: its parent is outside the procfs's PID namespace
	PIDs []int `json:"pids"` // outermost first, as NSpid; the last is the PID in its own PID namespace

	Comm      string   `json:"comm"`
	Args      []string `json:"args,omitempty"` // nil when not asked for, or a kernel thread
	State     string   `json:"state"`          // one letter, as in proc_pid_stat(5)
	StartTime uint64   `json:"start_time"`     // clock ticks after boot: with PID it names a process for good
	Kthread   bool     `json:"kthread,omitempty"`

	Cred       Credentials  `json:"cred"`
	Namespaces NamespaceSet `json:"namespaces"`
	Cgroup     string       `json:"cgroup,omitempty"` // the path in the unified hierarchy, or of the systemd or first v1 one
	Root       string       `json:"root,omitempty"`   // link text of /proc/PID/root; "" when unreadable or not asked for

	IDMaps     int `json:"id_maps"`     // index in Snapshot.IDMaps, -1 unknown
	MountTable int `json:"mount_table"` // index in Snapshot.MountTables, -1 unknown or not asked for
	Names      int `json:"names"`       // index in Snapshot.Names, -1 unknown or not asked for
	Container  int `json:"container"`   // index in Snapshot.Containers, -1 for the host's own

	Threads []Thread `json:"threads,omitempty"` // only when asked for
}

// Thread is a task of a process whose namespaces or credentials differ from its leader's.
type Thread struct {
	TID        int          `json:"tid"`
	PIDs       []int        `json:"pids"`
	Comm       string       `json:"comm"`
	Cred       Credentials  `json:"cred"`
	Namespaces NamespaceSet `json:"namespaces"`
}

// Credentials are what the kernel checks (credentials(7)), ids on the observer's side. An id that has no mapping in
// the observer's user namespace is unmapped.
type Credentials struct {
	UID        IDs            `json:"uid"`
	GID        IDs            `json:"gid"`
	Groups     []idmap.Kernel `json:"groups"` // supplementary
	CapInh     uint64         `json:"cap_inh"`
	CapPrm     uint64         `json:"cap_prm"`
	CapEff     uint64         `json:"cap_eff"` // counts in its own user namespace and those below, nowhere else
	CapBnd     uint64         `json:"cap_bnd"`
	CapAmb     uint64         `json:"cap_amb"`
	NoNewPrivs bool           `json:"no_new_privs"`
	Seccomp    int            `json:"seccomp"` // 0 off, 1 strict, 2 filter
	Umask      uint32         `json:"umask"`
}

// IDs are the four user or group ids of a task.
type IDs struct {
	Real      idmap.Kernel `json:"real"`
	Effective idmap.Kernel `json:"effective"`
	Saved     idmap.Kernel `json:"saved"`
	FS        idmap.Kernel `json:"fs"` // what file access is checked with
}

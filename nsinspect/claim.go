package nsinspect

import "github.com/nsview/nsview/idmap"

// Claim is what package procscan/engine found out about one container. Group turns claims into containers: of several
// claims about one process the first is taken.
type Claim struct {
	Engine    string
	ID        string
	Name      string
	InitPID   int    // its first process; 0 when it is not running
	StartTime uint64 // of that process: a claim about a PID that was reused since is not believed
	EngineFacts
}

// EngineFacts is what the records of an engine say about a container. Whatever they do not tell is its zero value.
type EngineFacts struct {
	State    string `json:"state"`               // as the engine calls it: running, paused, exited, created, ...; "running" where only the kernel tells
	ExitCode *int   `json:"exit_code,omitempty"` // of the last run
	Image    string `json:"image"`
	Runtime  string `json:"runtime,omitempty"` // runc, crun, ...
	Bundle   string `json:"bundle,omitempty"`  // directory of config.json, a path on the host

	Labels map[string]string `json:"labels,omitempty"`
	Pod    *Pod              `json:"pod,omitempty"` // the pod it is in

	User string `json:"user,omitempty"` // whom it was configured to run as, as it was written: USER, UID, UID:GID

	// UIDMap and GIDMap are the id maps that the engine gives it, with ids of the observer's side outside. Files have the
	// ids of the user namespace that the engine runs in; where it is not known how those map to the observer's, or
	// whether the container gets a user namespace at all, they are empty.
	UIDMap idmap.Map `json:"configured_uid_map,omitempty"`
	GIDMap idmap.Map `json:"configured_gid_map,omitempty"`

	Mounts []EngineMount `json:"mounts,omitempty"` // that it was configured with
	Chain  []ChainLink   `json:"chain,omitempty"`  // the engine's own processes, from the daemon down to the container's parent

	// Start is how it would be started, of a container that is not running and whose engine keeps that.
	Start *StartFacts `json:"start,omitempty"`

	// Evidence says what the claim rests on: "state", "api", "cgroup" or "process". docs/engines.md ranks them.
	Evidence string `json:"evidence,omitempty"`
}

// StartFacts are what an engine starts a container with, besides its user, its maps and its mounts.
type StartFacts struct {
	// Rootfs is the directory of the topmost layer of its root file system as the overlay drivers of docker and podman keep
	// it, with the directory "diff" and the file "lower", or that of the driver vfs, whose parent is called "dir": a path on
	// the host. "" where that is not known.
	Rootfs   string   `json:"rootfs"`
	ReadOnly bool     `json:"read_only"`        // the root file system
	Dir      string   `json:"dir"`              // the working directory
	Caps     []string `json:"caps"`             // the bounding set: CAP_CHOWN, or ALL and what is not in it: -CAP_CHOWN
	Ambient  []string `json:"ambient"`          // capabilities that another user than root gets too
	Groups   []string `json:"groups,omitempty"` // supplementary ones that were asked for, names or numbers
}

// Pod is a group of containers that share namespaces.
type Pod struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"` // Kubernetes
	UID       string `json:"uid,omitempty"`       // Kubernetes
}

// EngineMount is a mount that an engine was asked to make in a container.
type EngineMount struct {
	Type        string   `json:"type"`           // bind, volume, tmpfs, ...
	Name        string   `json:"name,omitempty"` // of the volume
	Source      string   `json:"source"`         // a path on the host; for a volume with a device, that device
	Destination string   `json:"destination"`    // a path in the container
	Options     []string `json:"options,omitempty"`
	ReadOnly    bool     `json:"read_only"`
}

// ChainLink is a process of an engine.
type ChainLink struct {
	PID  int    `json:"pid"`
	Comm string `json:"comm"`
	Role string `json:"role"` // daemon, containerd, shim, monitor, supervisor, ...
}

// Labels under which engines keep the names of others.
const (
	labelComposeProject = "com.docker.compose.project"
	labelComposeService = "com.docker.compose.service"
	labelPodmanProject  = "io.podman.compose.project"
	labelPodmanService  = "io.podman.compose.service"
)

// Project is the compose project that the container belongs to, "" without one.
func (f *EngineFacts) Project() string { return f.label(labelComposeProject, labelPodmanProject) }

// Service is the compose service that the container runs, "" without one.
func (f *EngineFacts) Service() string { return f.label(labelComposeService, labelPodmanService) }

func (f *EngineFacts) label(names ...string) string {
	for _, name := range names {
		if v := f.Labels[name]; v != "" {
			return v
		}
	}
	return ""
}

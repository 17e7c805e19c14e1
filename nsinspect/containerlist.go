package nsinspect

import (
	"slices"

	"github.com/nsview/nsview/idmap"
)

// ContainerList is the answer of nsview containers.
type ContainerList struct {
	Report
	Containers []ContainerRow `json:"containers"`
}

// ContainerRow is one container.
type ContainerRow struct {
	Engine string `json:"engine"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Viewer string `json:"viewer"` // the container as a TARGET
	EngineFacts
	Project    string       `json:"project,omitempty"` // compose project, from the labels
	Service    string       `json:"service,omitempty"` // compose service, from the labels
	InitPID    int          `json:"init_pid"`          // 0 when it is not running
	Processes  int          `json:"processes"`
	Namespaces NamespaceSet `json:"namespaces"` // of the init process
	UIDMap     idmap.Map    `json:"uid_map"`
	GIDMap     idmap.Map    `json:"gid_map"`
	Volumes    []Volume     `json:"volumes"`
}

// Volume is a directory or file of a file system of the host that is mounted into a container.
type Volume struct {
	Point    string `json:"point"`  // where, in the container
	Source   string `json:"source"` // the path on the host, "" when the host has no mount that shows it
	Dev      string `json:"dev"`
	Root     string `json:"root"` // the directory in that file system
	ReadOnly bool   `json:"read_only"`
	Idmapped bool   `json:"idmapped"`
}

// ContainerList lists the containers, or those that the targets are or are in. What is not running is listed when all
// or a target asks for it.
func (s *Snapshot) ContainerList(targets []Target, all bool) *ContainerList {
	list := &ContainerList{Report: s.Report("ContainerList"), Containers: []ContainerRow{}}
	viewers := s.Viewers()
	for i := range s.Containers {
		c := &s.Containers[i]
		if targets == nil && !all && !c.Running() || targets != nil && !slices.ContainsFunc(targets, func(t Target) bool { return s.inContainer(&t, i) }) {
			continue
		}
		row := ContainerRow{
			Engine: c.Engine, ID: c.ID, Name: c.Name, Viewer: viewers[i], EngineFacts: c.EngineFacts,
			Project: c.Project(), Service: c.Service(), InitPID: c.InitPID, Processes: c.Processes, Namespaces: c.Namespaces, Volumes: s.Volumes(c),
		}
		if maps := s.Maps(c.IDMaps); maps != nil {
			row.UIDMap, row.GIDMap = maps.UID, maps.GID
		}
		list.Containers = append(list.Containers, row)
	}
	return list
}

// inContainer reports whether t is the container with that index, its process is in it, or its namespace is.
func (s *Snapshot) inContainer(t *Target, container int) bool {
	c := &s.Containers[container]
	switch {
	case t.Container != nil:
		return t.Container == c
	case t.Namespace != 0:
		return c.Namespaces.Of(t.Type) == t.Namespace
	}
	return !t.Host && t.Process != nil && t.Process.Container == container
}

// Volumes are the mounts of c that show a file system which the observer has mounted too, and not at the same place:
// what was bound into the container. It needs the fact Mounts.
func (s *Snapshot) Volumes(c *Container) []Volume {
	volumes := []Volume{}
	inside, outside := s.Mounts(c.MountTable), s.Mounts(s.Observer.MountTable)
	if inside == nil || outside == nil || inside == outside {
		return volumes
	}
	byDev := make(map[string][]*Mount)
	for i := range outside.Mounts {
		byDev[outside.Mounts[i].Dev] = append(byDev[outside.Mounts[i].Dev], &outside.Mounts[i])
	}
	for i := range inside.Mounts {
		m := &inside.Mounts[i]
		candidates := byDev[m.Dev]
		if m.Point == "/" || keepsNoFiles(m.FSType) || len(candidates) == 0 || slices.ContainsFunc(candidates, func(h *Mount) bool { return h.Point == m.Point && h.Root == m.Root }) {
			continue
		}
		volumes = append(volumes, Volume{
			Point: m.Point, Source: hostPath(candidates, m.Root), Dev: m.Dev, Root: m.Root,
			ReadOnly: slices.Contains(m.Options, "ro") || slices.Contains(m.SuperOpts, "ro"), Idmapped: m.Idmapped,
		})
	}
	return volumes
}

// keepsNoFiles lists the file systems that show the kernel's state, of which engines mount parts.
func keepsNoFiles(fsType string) bool {
	switch fsType {
	case "proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "bpf", "pstore", "nsfs":
		return true
	}
	return false
}

// hostPath is where a directory of a file system is seen through one of its mounts, by the one that shows least else.
func hostPath(mounts []*Mount, dir string) string {
	path, depth := "", -1
	for _, m := range mounts {
		if rest, ok := below(dir, m.Root); ok && len(m.Root) > depth {
			path, depth = joinPath(m.Point, rest), len(m.Root)
		}
	}
	return path
}

// below is the part of path under dir, "" for dir itself.
func below(path, dir string) (string, bool) {
	switch {
	case path == dir:
		return "", true
	case dir == "/":
		return path[min(1, len(path)):], true
	case len(path) > len(dir) && path[:len(dir)] == dir && path[len(dir)] == '/':
		return path[len(dir)+1:], true
	}
	return "", false
}

func joinPath(dir, rest string) string {
	switch {
	case rest == "":
		return dir
	case dir == "/":
		return "/" + rest
	}
	return dir + "/" + rest
}

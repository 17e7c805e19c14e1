package nsinspect

import (
	"slices"
	"strings"
)

// Volume is a directory or file of a file system of the host that is mounted into a container, or that an engine was
// asked to mount into one.
type Volume struct {
	Name     string `json:"name"`   // the engine's, "" without one
	Point    string `json:"point"`  // where, in the container
	Source   string `json:"source"` // the path on the host, "" when the host has no mount that shows it
	Dev      string `json:"dev"`    // "" when the container is not running
	Root     string `json:"root"`   // the directory in that file system
	ReadOnly bool   `json:"read_only"`
	Idmapped bool   `json:"idmapped"`

	// Views are who owns it for the host and for the container. They are there only where one container was asked for.
	Views []OwnerView `json:"views,omitempty"`
}

// Volumes are the mounts of c that show files of a file system which the observer has mounted too, and not at the same
// place: what was bound into the container. It needs the fact Mounts. Of a container that is not running they are what
// its engine would mount.
func (s *Snapshot) Volumes(c *Container) []Volume {
	volumes := []Volume{}
	if !c.Running() {
		for i := range c.Mounts {
			if m := &c.Mounts[i]; m.Source != "" {
				volumes = append(volumes, Volume{Name: m.Name, Point: m.Destination, Source: m.Source, ReadOnly: m.ReadOnly})
			}
		}
		return volumes
	}
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
		name, source := c.configured(m.Point)
		volumes = append(volumes, Volume{
			Name: name, Point: m.Point, Source: hostPath(candidates, m.Root, source), Dev: m.Dev, Root: m.Root,
			ReadOnly: slices.Contains(m.Options, "ro") || slices.Contains(m.SuperOpts, "ro"), Idmapped: m.Idmapped,
		})
	}
	return volumes
}

// configured is what the engine calls what it mounted at a path of the container, and from where it did.
func (c *Container) configured(point string) (name, source string) {
	for i := range c.Mounts {
		if m := &c.Mounts[i]; m.Destination == point {
			return m.Name, m.Source
		}
	}
	return "", ""
}

// OwnMount reports whether what is mounted at a path of c is its engine's own: nobody asked for it.
func (c *Container) OwnMount(point string) bool { return c.EngineFacts.ownMount(c.Engine, point) }

// OwnMount is [Container.OwnMount] of the container in the row.
func (c *ContainerRow) OwnMount(point string) bool { return c.EngineFacts.ownMount(c.Engine, point) }

func (f *EngineFacts) ownMount(engine, point string) bool {
	switch {
	case engine == "" || slices.ContainsFunc(f.Mounts, func(m EngineMount) bool { return m.Destination == point }):
		return false
	case strings.HasPrefix(point, "/dev/"), strings.HasPrefix(point, "/run/host/"):
		return true
	}
	return slices.Contains([]string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/localtime", "/run/.containerenv"}, point)
}

// keepsNoFiles lists the file systems that show the kernel's state, of which engines mount parts.
func keepsNoFiles(fsType string) bool {
	switch fsType {
	case "proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "bpf", "pstore", "nsfs":
		return true
	}
	return false
}

// hostPath is where a directory of a file system is seen through one of its mounts: at prefer if any mount shows it
// there, else by the mount that shows least else.
func hostPath(mounts []*Mount, dir, prefer string) string {
	path, depth := "", -1
	for _, m := range mounts {
		rest, ok := beneath(m.Root, dir)
		if !ok {
			continue
		}
		at := join(m.Point, rest)
		if at == prefer {
			return at
		}
		if len(m.Root) > depth {
			path, depth = at, len(m.Root)
		}
	}
	return path
}

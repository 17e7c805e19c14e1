package nsinspect

import "strconv"

// ownerViewer is whose view of a file is asked for: processes with one user namespace and one view of the mounts.
type ownerViewer struct {
	name   string
	host   bool
	extra  bool   // shown only where it differs from the views of the viewer named of
	of     string // for extra viewers
	pid    int
	userNS Inode
	idMaps int
	table  int
	names  int

	container *Container // that it is, or is in; nil for the host
}

// ownerViewers lists the host, every container, and then processes that see ids or files otherwise than the container
// that they belong to, or are in a chroot on the host: each kind of them once.
func (s *Snapshot) ownerViewers(q OwnerQuery) []ownerViewer {
	o := &s.Observer
	viewers := []ownerViewer{{name: hostTarget, host: true, userNS: o.UserNS, idMaps: o.IDMaps, table: o.MountTable, names: o.Names}}
	if q.Target != nil {
		switch p, c := q.Target.Process, q.Target.Container; {
		case q.Target.Host:
		case p != nil:
			viewers = append(viewers, s.processViewer(p))
		case c != nil && !c.Running():
			viewers = append(viewers, stoppedViewer(c, c.Ref().String()))
		}
		return viewers
	}
	type kind struct {
		container int
		userNS    Inode
		idMaps    int
		table     int
	}
	seen := map[kind]bool{{-1, o.UserNS, o.IDMaps, o.MountTable}: true}
	names := s.Viewers()
	for i := range s.Containers {
		c := &s.Containers[i]
		if !c.Running() {
			viewers = append(viewers, stoppedViewer(c, names[i]))
			continue
		}
		viewers = append(viewers, ownerViewer{
			name: names[i], pid: c.InitPID, userNS: c.Namespaces.User, idMaps: c.IDMaps, table: c.MountTable, names: c.Names, container: c,
		})
		seen[kind{i, c.Namespaces.User, c.IDMaps, c.MountTable}] = true
	}
	for i := range s.Processes {
		p := &s.Processes[i]
		k := kind{p.Container, p.Namespaces.User, p.IDMaps, p.MountTable}
		// Where the user namespace cannot be read the maps stand for it.
		if p.MountTable < 0 || p.Kthread || seen[k] || p.Namespaces.User == 0 && seen[kind{k.container, o.UserNS, k.idMaps, k.table}] {
			continue
		}
		seen[k] = true
		// A mount namespace alone is no viewer: system services have one, and so has whoever starts a container.
		if p.Container < 0 && s.MountTables[p.MountTable].MntNS != o.MntNS {
			continue
		}
		v := s.processViewer(p)
		v.extra, v.of = true, hostTarget
		if p.Container >= 0 {
			v.of = names[p.Container]
		}
		viewers = append(viewers, v)
	}
	return viewers
}

// processViewer is the view of p itself, by the name of its container or by its PID.
func (s *Snapshot) processViewer(p *Process) ownerViewer {
	v := ownerViewer{
		name: strconv.Itoa(p.PID), pid: p.PID, userNS: p.Namespaces.User, idMaps: p.IDMaps, table: p.MountTable, names: p.Names,
	}
	if p.Container >= 0 && p.Container < len(s.Containers) {
		v.name, v.container = s.Viewer(p.Container), &s.Containers[p.Container]
	}
	return v
}

// stoppedViewer is the view that a container which is not running would have.
func stoppedViewer(c *Container, name string) ownerViewer {
	return ownerViewer{name: name, idMaps: -1, table: -1, names: -1, container: c}
}

package nsinspect

import (
	"slices"

	"github.com/nsview/nsview/idmap"
)

// PIDIn is the PID of p as PID namespace ns numbers it. False when p is not visible there, or when the snapshot does not
// know the namespaces between p's own and ns.
//
// A process has a PID in its own PID namespace and in every one above it (pid_namespaces(7)); PIDs lists them outermost
// first, so they are matched with the parents from the innermost up.
func (s *Snapshot) PIDIn(p *Process, ns Inode) (int, bool) {
	if ns == 0 {
		return 0, false
	}
	at := p.Namespaces.PID
	for i := len(p.PIDs) - 1; i >= 0; i-- {
		if at == ns {
			return p.PIDs[i], true
		}
		if i == 0 && s.Observer.ProcPIDNS == ns {
			return p.PIDs[0], true
		}
		n := s.Namespace(at)
		if n == nil {
			at = 0
			continue
		}
		at = n.Parent
	}
	return 0, false
}

// UIDIn is what user namespace ns calls an id of the observer's side; unmapped when ns does not map it, or when the
// snapshot has no maps of ns.
func (s *Snapshot) UIDIn(id idmap.Kernel, ns Inode) idmap.Inside {
	return s.idIn(id, ns, func(m *IDMaps) idmap.Map { return m.UID })
}

// GIDIn is UIDIn for group ids.
func (s *Snapshot) GIDIn(id idmap.Kernel, ns Inode) idmap.Inside {
	return s.idIn(id, ns, func(m *IDMaps) idmap.Map { return m.GID })
}

func (s *Snapshot) idIn(id idmap.Kernel, ns Inode, half func(*IDMaps) idmap.Map) idmap.Inside {
	if ns != 0 && ns == s.Observer.UserNS {
		return idmap.Inside(id)
	}
	for i := range s.IDMaps {
		if ns != 0 && s.IDMaps[i].UserNS == ns {
			return half(&s.IDMaps[i]).ToInside(id)
		}
	}
	return idmap.UnmappedInside
}

// InsideUID is what p itself calls a user id of the observer's side: p's effective uid inside, for instance. Unmapped
// also when the maps of p are unknown.
func (s *Snapshot) InsideUID(p *Process, id idmap.Kernel) idmap.Inside {
	return s.insideID(p, id, func(m *IDMaps) idmap.Map { return m.UID })
}

// InsideGID is InsideUID for group ids.
func (s *Snapshot) InsideGID(p *Process, id idmap.Kernel) idmap.Inside {
	return s.insideID(p, id, func(m *IDMaps) idmap.Map { return m.GID })
}

func (s *Snapshot) insideID(p *Process, id idmap.Kernel, half func(*IDMaps) idmap.Map) idmap.Inside {
	if p.Namespaces.User != 0 && p.Namespaces.User == s.Observer.UserNS {
		return idmap.Inside(id)
	}
	maps := s.Maps(p.IDMaps)
	if maps == nil {
		return idmap.UnmappedInside
	}
	return half(maps).ToInside(id)
}

// otherMaps reports whether two entries of IDMaps are known and translate differently: then they are of two user
// namespaces. Equal ones may be of two all the same.
func (s *Snapshot) otherMaps(a, b int) bool {
	x, y := s.Maps(a), s.Maps(b)
	return a != b && x != nil && y != nil && !(slices.Equal(x.UID, y.UID) && slices.Equal(x.GID, y.GID))
}

// HostUser is the observer's name for a user id of its side, "" when it has none.
func (s *Snapshot) HostUser(id idmap.Kernel) string {
	return userName(s.NamesAt(s.Observer.Names), idmap.Inside(id))
}

// HostGroup is the observer's name for a group id of its side, "" when it has none.
func (s *Snapshot) HostGroup(id idmap.Kernel) string {
	return groupName(s.NamesAt(s.Observer.Names), idmap.Inside(id))
}

func userName(t *NameTable, id idmap.Inside) string {
	if t == nil || !id.Mapped() {
		return ""
	}
	return t.Users[id]
}

func groupName(t *NameTable, id idmap.Inside) string {
	if t == nil || !id.Mapped() {
		return ""
	}
	return t.Groups[id]
}

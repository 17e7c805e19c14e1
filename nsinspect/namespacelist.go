package nsinspect

import (
	"slices"

	"github.com/nsview/nsview/idmap"
)

// NamespaceList is the answer of nsview ns.
type NamespaceList struct {
	Report
	Namespaces []NamespaceRow `json:"namespaces"`
}

// NamespaceRow is one namespace with what explains it.
type NamespaceRow struct {
	Type        Type          `json:"type"`
	Inode       Inode         `json:"inode"`
	ID          uint64        `json:"id,omitempty"`
	Parent      Inode         `json:"parent"`
	OwnerUserNS Inode         `json:"owner_user_ns"`
	OwnerUID    idmap.Kernel  `json:"owner_uid"`
	Creator     string        `json:"creator"`   // the observer's name for owner_uid, "" without one
	Processes   int           `json:"processes"` // tasks in it
	Leader      *int          `json:"leader"`    // null without processes
	Command     string        `json:"command"`   // the leader's comm
	Pins        []Pin         `json:"pins"`
	Container   *ContainerRef `json:"container"`
	Viewer      string        `json:"viewer"` // the container as a TARGET, "host" for the host's own, "" without processes
}

// NamespaceQuery says which namespaces a NamespaceList has.
type NamespaceQuery struct {
	Targets []Target // those that the processes of the targets are in; nil means all
	Types   []Type   // of these kinds; nil means all
}

// NamespaceList lists namespaces by kind and inode.
func (s *Snapshot) NamespaceList(q NamespaceQuery) *NamespaceList {
	list := &NamespaceList{Report: s.Report("NamespaceList"), Namespaces: []NamespaceRow{}}
	viewers := s.Viewers()
	for _, n := range s.NamespacesOf(q) {
		list.Namespaces = append(list.Namespaces, s.namespaceRow(n, viewers))
	}
	return list
}

// NamespacesOf are the namespaces that q asks for, by kind and inode.
func (s *Snapshot) NamespacesOf(q NamespaceQuery) []*Namespace {
	in := s.namespacesOf(q.Targets)
	var found []*Namespace
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		if q.Targets != nil && !in[n.Inode] || q.Types != nil && !slices.Contains(q.Types, n.Type) {
			continue
		}
		found = append(found, n)
	}
	slices.SortStableFunc(found, compareNamespaces)
	return found
}

// namespacesOf are the inodes of the namespaces that the targets name or their processes are in.
func (s *Snapshot) namespacesOf(targets []Target) map[Inode]bool {
	in := make(map[Inode]bool)
	for i := range targets {
		t := &targets[i]
		switch {
		case t.Namespace != 0:
			in[t.Namespace] = true
		case t.Host:
			addAll(in, &s.Observer.Namespaces)
		case t.Container != nil:
			for j := range s.Processes {
				if t.Has(&s.Processes[j]) {
					addAll(in, &s.Processes[j].Namespaces)
				}
			}
		case t.Process != nil:
			addAll(in, &t.Process.Namespaces)
		}
	}
	delete(in, 0)
	return in
}

func addAll(in map[Inode]bool, set *NamespaceSet) {
	for _, t := range Types() {
		in[set.Of(t)] = true
	}
	in[set.PIDForChildren] = true
	in[set.TimeForChildren] = true
}

func (s *Snapshot) namespaceRow(n *Namespace, viewers []string) NamespaceRow {
	row := NamespaceRow{
		Type: n.Type, Inode: n.Inode, ID: n.ID, Parent: n.Parent, OwnerUserNS: n.OwnerUserNS, OwnerUID: n.OwnerUID,
		Processes: n.Processes, Pins: n.Pins, Container: n.Container,
	}
	if row.Pins == nil {
		row.Pins = []Pin{}
	}
	if n.Type == User {
		row.Creator = s.HostUser(n.OwnerUID)
	}
	p := s.Process(n.Leader)
	if p == nil {
		return row
	}
	pid := p.PID
	row.Leader, row.Command, row.Viewer = &pid, p.Comm, hostTarget
	if p.Container >= 0 {
		row.Viewer = viewers[p.Container]
	}
	return row
}

// Subset copies the namespaces that q asks for, to draw a tree of them.
func (s *Snapshot) Subset(q NamespaceQuery) []Namespace {
	var list []Namespace
	for _, n := range s.NamespacesOf(q) {
		list = append(list, *n)
	}
	return list
}

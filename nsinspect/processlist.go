package nsinspect

import (
	"iter"
	"time"

	"github.com/nsview/nsview/idmap"
)

// ProcessList is the answer of nsview ps.
type ProcessList struct {
	Report
	Processes []ProcessRow `json:"processes"`
}

// ProcessRow is one process from both sides.
type ProcessRow struct {
	PID        int           `json:"pid"`
	PPID       int           `json:"ppid"`
	PIDs       []int         `json:"pids"` // outermost first; the last is the PID in its own PID namespace
	Comm       string        `json:"comm"`
	Args       []string      `json:"args"`
	State      string        `json:"state"`
	Started    *time.Time    `json:"started"` // by the observer's clock; nil when unknown
	Age        time.Duration `json:"-"`       // of it when the snapshot was taken
	Host       HostIDs       `json:"host"`
	Inside     InsideIDs     `json:"inside"`
	Namespaces NamespaceSet  `json:"namespaces"`
	Container  *ContainerRef `json:"container"`
	Viewer     string        `json:"viewer"` // the container as a TARGET, "host" for the host's own
	Role       *EngineRole   `json:"role"`   // what it does for an engine; null for any other
}

// EngineRole is what a process of an engine does: outside of the containers that it keeps.
type EngineRole struct {
	Engine string `json:"engine"`
	Role   string `json:"role"` // daemon, containerd, shim, monitor, ...
}

// HostIDs are the effective ids of a process on the observer's side, with the observer's names.
type HostIDs struct {
	UID   idmap.Kernel `json:"uid"`
	GID   idmap.Kernel `json:"gid"`
	User  string       `json:"user"`
	Group string       `json:"group"`
}

// InsideIDs are the effective ids of a process in its own user namespace, with the names of its own root.
type InsideIDs struct {
	UID   idmap.Inside `json:"uid"`
	GID   idmap.Inside `json:"gid"`
	User  string       `json:"user"`
	Group string       `json:"group"`
}

// ProcessQuery says which processes a ProcessList has.
type ProcessQuery struct {
	Targets   []Target // those that the targets stand for; nil means those in containers
	All       bool     // every process, when there are no targets
	Ancestors bool     // also those that started them: an engine's daemon, shim, monitor
	Gone      []int    // PIDs that are left out: they ended since
}

// ProcessList lists processes from both sides, by PID.
func (s *Snapshot) ProcessList(q ProcessQuery) *ProcessList {
	rows, count := s.ProcessRows(q)
	list := &ProcessList{Report: s.Report("ProcessList"), Processes: make([]ProcessRow, 0, count)}
	for row := range rows {
		list.Processes = append(list.Processes, *row)
	}
	return list
}

// ProcessRows are the rows of a ProcessList one after the other, and how many they are: all at a time take almost as much
// memory as the snapshot. A row is valid until the next.
func (s *Snapshot) ProcessRows(q ProcessQuery) (rows iter.Seq[*ProcessRow], count int) {
	wanted := make([]bool, len(s.Processes)) // by index
	for i := range s.Processes {
		p := &s.Processes[i]
		if q.wants(p) {
			wanted[i] = true
			if q.Ancestors {
				s.addAncestors(wanted, p)
				s.addChain(wanted, p)
			}
		}
	}
	for _, pid := range q.Gone {
		if i := s.processIndex(pid); i >= 0 {
			wanted[i] = false
		}
	}
	for _, is := range wanted {
		if is {
			count++
		}
	}
	return func(yield func(*ProcessRow) bool) {
		roles, viewers := s.roles(), s.Viewers()
		refs := make([]ContainerRef, len(s.Containers))
		for i := range refs {
			refs[i] = s.Containers[i].Ref()
		}
		var (
			row   ProcessRow
			ticks uint64
		)
		for i := range s.Processes {
			p := &s.Processes[i]
			if !wanted[i] {
				continue
			}
			started := row.Started
			if started == nil || p.StartTime != ticks {
				started, ticks = s.Started(p), p.StartTime
			}
			s.fillRow(&row, p, started)
			if p.Container >= 0 && p.Container < len(refs) {
				row.Container, row.Viewer = &refs[p.Container], viewers[p.Container]
			} else {
				row.Role = roles[p.PID]
			}
			if !yield(&row) {
				return
			}
		}
	}, count
}

func (q *ProcessQuery) wants(p *Process) bool {
	if q.Targets == nil {
		return q.All || p.Container >= 0
	}
	for i := range q.Targets {
		if q.Targets[i].Has(p) {
			return true
		}
	}
	return false
}

// Has reports whether p is one of the processes that t stands for.
func (t *Target) Has(p *Process) bool {
	switch {
	case t.Host:
		return p.Container < 0
	case t.Container != nil:
		return p.Container >= 0 && t.Process != nil && p.Container == t.Process.Container
	case t.Namespace != 0:
		return p.Namespaces.Of(t.Type) == t.Namespace
	}
	return t.Process != nil && t.Process.PID == p.PID
}

func (s *Snapshot) addAncestors(wanted []bool, p *Process) {
	for up := s.processIndex(p.PPID); up >= 0 && !wanted[up]; up = s.processIndex(s.Processes[up].PPID) {
		wanted[up] = true
	}
}

// addChain adds the processes of the engine that keep p's container, and who started those: a shim's parent is not the
// daemon that it works for.
func (s *Snapshot) addChain(wanted []bool, p *Process) {
	c := s.ContainerOf(p)
	if c == nil {
		return
	}
	for _, l := range c.Chain {
		if up := s.processIndex(l.PID); up >= 0 && !wanted[up] {
			wanted[up] = true
			s.addAncestors(wanted, &s.Processes[up])
		}
	}
}

// roles says by PID what processes do for engines. One that serves several does what the first container says.
func (s *Snapshot) roles() map[int]*EngineRole {
	roles := make(map[int]*EngineRole)
	for i := range s.Containers {
		for _, l := range s.Containers[i].Chain {
			if roles[l.PID] == nil {
				roles[l.PID] = &EngineRole{Engine: s.Containers[i].Engine, Role: l.Role}
			}
		}
	}
	return roles
}

// ProcessRow is p from both sides.
func (s *Snapshot) ProcessRow(p *Process) ProcessRow {
	var row ProcessRow
	s.fillRow(&row, p, s.Started(p))
	if c := s.ContainerOf(p); c != nil {
		ref := c.Ref()
		row.Container = &ref
		row.Viewer = ref.String()
	}
	return row
}

// fillRow makes a row of p, all but its container.
func (s *Snapshot) fillRow(row *ProcessRow, p *Process, started *time.Time) {
	*row = ProcessRow{
		PID: p.PID, PPID: p.PPID, PIDs: p.PIDs, Comm: p.Comm, Args: p.Args, State: p.State, Namespaces: p.Namespaces,
		Host:    HostIDs{UID: p.Cred.UID.Effective, GID: p.Cred.GID.Effective},
		Inside:  InsideIDs{UID: s.InsideUID(p, p.Cred.UID.Effective), GID: s.InsideGID(p, p.Cred.GID.Effective)},
		Started: started, Age: s.age(started),
		Viewer: hostTarget,
	}
	if row.Args == nil {
		row.Args = []string{}
	}
	row.Host.User, row.Host.Group = s.HostUser(row.Host.UID), s.HostGroup(row.Host.GID)
	names := s.NamesAt(p.Names)
	row.Inside.User, row.Inside.Group = userName(names, row.Inside.UID), groupName(names, row.Inside.GID)
}

// Package doctor looks at whole containers and says what is wrong with them, what it means, and what would change it. It
// is pure and works in two steps: [Plan] asks (whose access to which volumes, which trees to count), the caller fetches
// with package procscan/pathwalk, and [Judge] judges. So the same code answers live and from a stored snapshot.
//
// Every kind of finding has a stable id, a file of its own here and a section in docs/findings.md.
package doctor

import (
	"cmp"
	"slices"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // something that the container is there for cannot work
	Warning Severity = "warning" // it works now and is likely to surprise
	Info    Severity = "info"    // worth knowing; also healthy hosts have these
)

// Severities are all there are, the worst first.
func Severities() []Severity { return []Severity{Error, Warning, Info} }

// rank orders severities as [Severities] does.
func (s Severity) rank() int { return slices.Index(Severities(), s) }

// ID names a kind of finding. Ids are stable: scripts compare them.
type ID string

// The kinds of findings.
const (
	Traverse     ID = "NSV-VOLUME-TRAVERSE"
	Read         ID = "NSV-VOLUME-READ"
	Write        ID = "NSV-VOLUME-WRITE"
	Files        ID = "NSV-VOLUME-FILES"
	ReadOnly     ID = "NSV-VOLUME-READONLY"
	SharedIDs    ID = "NSV-VOLUME-SHARED"
	Hides        ID = "NSV-VOLUME-HIDES"
	NameDiffers  ID = "NSV-VOLUME-NAMES"
	Unmapped     ID = "NSV-OWNER-UNMAPPED"
	DoubleShift  ID = "NSV-OWNER-DOUBLE-SHIFT"
	StaleSubID   ID = "NSV-OWNER-STALE-SUBID"
	SocketGroup  ID = "NSV-SOCKET-GROUP"
	DeviceGroup  ID = "NSV-DEVICE-GROUP"
	GroupsLost   ID = "NSV-GROUPS-LOST"
	HostRoot     ID = "NSV-HOST-ROOT"
	SubIDOverlap ID = "NSV-SUBID-OVERLAP"
	Newidmap     ID = "NSV-NEWIDMAP-RIGHTS"
)

// IDs lists every kind of finding, in the order of docs/findings.md.
func IDs() []ID {
	return []ID{
		Traverse, Read, Write, Files, ReadOnly, SharedIDs, Hides, NameDiffers, Unmapped, DoubleShift, StaleSubID, SocketGroup, DeviceGroup,
		GroupsLost, HostRoot, SubIDOverlap, Newidmap,
	}
}

// Finding is one thing that doctor found.
type Finding struct {
	ID       ID           `json:"id"`
	Severity Severity     `json:"severity"`
	Target   string       `json:"target"`   // the container as a TARGET, or "host"
	Path     string       `json:"path"`     // in the target's root, "" when it is about no path
	Evidence string       `json:"evidence"` // what was seen
	Meaning  string       `json:"meaning"`  // what follows from it
	Fixes    []access.Fix `json:"fixes"`
}

// FindingList is the answer of nsview doctor.
type FindingList struct {
	nsinspect.Report
	Containers []string  `json:"containers"` // that were looked at, as TARGETs
	Host       bool      `json:"host"`       // the host's own grants were looked at too: /etc/subuid, /etc/subgid, newuidmap, newgidmap
	Findings   []Finding `json:"findings"`   // by target, "host" first, and the worst first
}

// Worst is the severity of the worst finding, "" without any.
func (l *FindingList) Worst() Severity {
	worst := Severity("")
	for i := range l.Findings {
		if s := l.Findings[i].Severity; worst == "" || s.rank() < worst.rank() {
			worst = s
		}
	}
	return worst
}

// hostTarget is the TARGET of findings that are about no container.
const hostTarget = "host"

// sorted has the host's findings first, and of each target the worst first.
func sorted(list []Finding) []Finding {
	host := func(f *Finding) int {
		if f.Target == hostTarget {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(host(&a), host(&b)), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Severity.rank(), b.Severity.rank()),
			cmp.Compare(a.ID, b.ID), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Evidence, b.Evidence),
		)
	})
	return list
}

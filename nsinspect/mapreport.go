package nsinspect

import (
	"fmt"
	"slices"

	"github.com/nsview/nsview/idmap"
)

// MapReport is what "nsview map" answers: the id maps of a user namespace, ids translated through them, and proposed
// maps judged.
type MapReport struct {
	Report
	Target string `json:"target"`       // as it was named; "" when only proposed maps are judged
	To     string `json:"to,omitempty"` // the other side, when it is another TARGET and not the observer
	UserNS Inode  `json:"user_ns"`      // of Target, null when unknown

	// UIDMap and GIDMap are what /proc/PID/uid_map and gid_map say; with To, they go from the inside ids of Target to
	// those of To. null when they could not be read.
	UIDMap *idmap.Map `json:"uid_map"`
	GIDMap *idmap.Map `json:"gid_map"`

	OutsideOf OutsideOf `json:"outside_of"` // whose ids the outside ones are
	Setgroups string    `json:"setgroups"`  // "allow", "deny", or "" when unknown

	Translations []MapTranslation `json:"translations"`
	Checks       []MapCheck       `json:"checks"`
	Problems     []MapProblem     `json:"problems"` // of all checks

	Assumptions []string `json:"assumptions"` // "NAME is not running": the maps are those that it is configured with
}

// OutsideOf says whose ids the outside ids of a map are.
type OutsideOf string

// The sides that a map can lead to.
const (
	OutsideObserver OutsideOf = "observer" // the observer's user namespace
	OutsideParent   OutsideOf = "parent"   // Target is the observer's own user namespace: its parent
	OutsideTo       OutsideOf = "to"       // the other TARGET
)

// MapTranslation is one number, read as an id inside Target and, in Reverse, as one outside it. null is unmapped.
type MapTranslation struct {
	Inside     idmap.Inside `json:"inside"`
	Outside    idmap.Kernel `json:"outside"`     // as a uid
	OutsideGID idmap.Kernel `json:"outside_gid"` // as a gid
	Reverse    MapReverse   `json:"reverse"`
}

// MapReverse is the same number, read as an id outside.
type MapReverse struct {
	Outside   idmap.Kernel `json:"outside"`
	Inside    idmap.Inside `json:"inside"`     // as a uid
	InsideGID idmap.Inside `json:"inside_gid"` // as a gid
}

// MapsOf are the id maps of the user namespace that t is in, with that namespace: of a user namespace its own, of
// another namespace those of the process that stands for it, else of its owner. nil when they are unknown.
func (s *Snapshot) MapsOf(t Target) (*IDMaps, Inode) {
	switch {
	case t.Host:
		return s.Maps(s.Observer.IDMaps), s.Observer.UserNS
	case t.Namespace != 0 && t.Type == User:
		return s.mapsOfUserNS(t.Namespace), t.Namespace
	case t.Process != nil:
		return s.Maps(t.Process.IDMaps), t.Process.Namespaces.User
	case t.Container != nil && t.Container.Running():
		return s.Maps(t.Container.IDMaps), t.Container.Namespaces.User
	case t.Container != nil:
		return t.Container.configuredMaps(), 0
	}
	if n := s.Namespace(t.Namespace); n != nil {
		return s.mapsOfUserNS(n.OwnerUserNS), n.OwnerUserNS
	}
	return nil, 0
}

// configuredMaps are the maps that the engine gives c when it runs, nil when they are not known.
func (c *Container) configuredMaps() *IDMaps {
	if len(c.UIDMap) == 0 || len(c.GIDMap) == 0 {
		return nil
	}
	return &IDMaps{UID: c.UIDMap, GID: c.GIDMap}
}

func (s *Snapshot) mapsOfUserNS(ns Inode) *IDMaps {
	if ns == 0 {
		return nil
	}
	if ns == s.Observer.UserNS {
		return s.Maps(s.Observer.IDMaps)
	}
	for i := range s.IDMaps {
		if s.IDMaps[i].UserNS == ns {
			return &s.IDMaps[i]
		}
	}
	return nil
}

// MapReport is the report on t, which the user calls name. Nothing is translated or judged in it yet.
func (s *Snapshot) MapReport(t Target, name string) *MapReport {
	r := s.emptyMapReport(name)
	r.addGapsOf(s, t)
	var maps *IDMaps
	maps, r.UserNS = s.MapsOf(t)
	if maps == nil {
		r.mapsGap(name)
		return r
	}
	uid, gid := maps.UID, maps.GID
	if maps.ParentUID != nil || maps.ParentGID != nil {
		uid, gid, r.OutsideOf = maps.ParentUID, maps.ParentGID, OutsideParent
	}
	r.UIDMap, r.GIDMap, r.Setgroups = &uid, &gid, maps.Setgroups
	r.namelessGap(name, uid, gid)
	return r
}

// MapReportBetween is the report on how ids inside from are called inside to. The way goes over the observer's side: ids
// that have no name there cannot be followed, which is a gap.
func (s *Snapshot) MapReportBetween(from, to Target, fromName, toName string) *MapReport {
	r := s.emptyMapReport(fromName)
	r.To, r.OutsideOf = toName, OutsideTo
	r.addGapsOf(s, from)
	r.addGapsOf(s, to)
	var a *IDMaps
	a, r.UserNS = s.MapsOf(from)
	b, _ := s.MapsOf(to)
	if a == nil {
		r.mapsGap(fromName)
	}
	if b == nil {
		r.mapsGap(toName)
	}
	if a == nil || b == nil {
		return r
	}
	uid, gid := idmap.Between(a.UID, b.UID), idmap.Between(a.GID, b.GID)
	r.UIDMap, r.GIDMap, r.Setgroups = &uid, &gid, a.Setgroups
	r.namelessGap(fromName, a.UID, a.GID)
	r.namelessGap(toName, b.UID, b.GID)
	return r
}

// MapCheckReport is a report that has no target, for proposed maps alone.
func (s *Snapshot) MapCheckReport() *MapReport {
	r := s.emptyMapReport("")
	r.UIDMap, r.GIDMap = &idmap.Map{}, &idmap.Map{}
	return r
}

func (s *Snapshot) emptyMapReport(name string) *MapReport {
	r := &MapReport{
		Report: s.Report("IdMap"), Target: name, OutsideOf: OutsideObserver,
		Translations: []MapTranslation{}, Checks: []MapCheck{}, Problems: []MapProblem{}, Assumptions: []string{},
	}
	// The gaps of the whole host say nothing about this answer; those that do are added.
	r.Gaps = []Gap{}
	return r
}

// addGapsOf adds what could not be read of the process that answers for t, and what is assumed without one.
func (r *MapReport) addGapsOf(s *Snapshot, t Target) {
	if t.Container != nil && !t.Container.Running() {
		r.Assumptions = append(r.Assumptions, t.Container.Ref().String()+" is not running")
	}
	if t.Process == nil {
		return
	}
	for _, g := range s.Gaps {
		if g.PID == t.Process.PID && !slices.Contains(r.Gaps, g) {
			r.Gaps = append(r.Gaps, g)
		}
	}
}

func (r *MapReport) mapsGap(name string) {
	r.Gaps = append(r.Gaps, Gap{
		Subject: name, Fact: "uid_map and gid_map", Error: "no process in the user namespace could be read",
		Hint: "maps are read from a process in the namespace",
	})
}

// namelessGap says that ids exist inside for which the observer has no number.
func (r *MapReport) namelessGap(name string, uid, gid idmap.Map) {
	for _, half := range []struct {
		file string
		m    idmap.Map
	}{{"uid_map", uid}, {"gid_map", gid}} {
		nameless := uint64(0)
		for _, e := range half.m {
			if !e.Outside.Mapped() {
				nameless += uint64(e.Count)
			}
		}
		if nameless > 0 {
			r.Gaps = append(r.Gaps, Gap{
				Subject: name, Fact: "outside ids in " + half.file,
				Error: fmt.Sprintf("%d ids have no number in the observer's user namespace", nameless),
				Hint:  "run nsview in an outer user namespace",
			})
		}
	}
}

// Unknown reports whether maps that were asked for could not be read.
func (r *MapReport) Unknown() bool { return r.UIDMap == nil || r.GIDMap == nil }

// Translate adds what each number is on the other side, read as an id inside and as one outside.
func (r *MapReport) Translate(ids []uint32) {
	if r.Unknown() {
		return
	}
	for _, id := range ids {
		r.Translations = append(r.Translations, MapTranslation{
			Inside:     idmap.Inside(id),
			Outside:    r.UIDMap.ToOutside(idmap.Inside(id)),
			OutsideGID: r.GIDMap.ToOutside(idmap.Inside(id)),
			Reverse: MapReverse{
				Outside:   idmap.Kernel(id),
				Inside:    r.UIDMap.ToInside(idmap.Kernel(id)),
				InsideGID: r.GIDMap.ToInside(idmap.Kernel(id)),
			},
		})
	}
}

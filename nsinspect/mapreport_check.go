package nsinspect

import "github.com/nsview/nsview/idmap"

// MapCheck is the verdict on one proposed map.
type MapCheck struct {
	Kind     idmap.Kind `json:"kind"`
	Map      idmap.Map  `json:"map"`
	Accepted bool       `json:"accepted"`
	By       string     `json:"by"` // who would write it: "direct", "newuidmap" or "newgidmap"
}

// MapProblem is one reason why a proposed map would be refused.
type MapProblem struct {
	Kind idmap.Kind `json:"kind"`
	idmap.Problem
}

// Check judges a map that w is to write, by itself or, when helper is not nil, as well through newuidmap or newgidmap.
// It takes the way that works. Where neither does, the problems are those of the way that such a writer has to go: a
// writer without CAP_SETUID can write nothing but its own id by itself.
func (r *MapReport) Check(m idmap.Map, w idmap.Writer, helper *idmap.Newidmap) {
	check := MapCheck{Kind: w.Kind, Map: m, By: "direct"}
	problems := idmap.Validate(m, w)
	if len(problems) > 0 && helper != nil && !w.CapSetID {
		through := w
		through.Newidmap = helper
		other := idmap.Validate(m, through)
		if helper.Installed || len(other) == 0 {
			check.By, problems = "new"+string(w.Kind)+"map", other
		} else {
			problems = append(problems, other[0])
		}
	}
	check.Accepted = len(problems) == 0
	r.Checks = append(r.Checks, check)
	for _, p := range problems {
		r.Problems = append(r.Problems, MapProblem{Kind: w.Kind, Problem: p})
	}
}

// Refused reports whether a proposed map would not be accepted.
func (r *MapReport) Refused() bool { return len(r.Problems) > 0 }

// WriterFor is w, a writer in the observer's user namespace whose capabilities are those it has there, as it stands to
// the user namespace of t, whose maps it is to write. Its capabilities count for all user namespaces below. False when
// the snapshot does not know enough of t to judge.
func (s *Snapshot) WriterFor(t Target, w idmap.Writer) (idmap.Writer, bool) {
	maps, ns := s.MapsOf(t)
	n := s.Namespace(ns)
	if maps == nil || n == nil || s.Observer.UserNS == 0 {
		return w, false
	}
	half := func(m *IDMaps) idmap.Map {
		if w.Kind == idmap.GID {
			return m.GID
		}
		return m.UID
	}
	w.AlreadyWritten = len(half(maps)) > 0
	w.Setgroups = maps.Setgroups
	w.Owner = n.OwnerUID
	switch s.Observer.UserNS {
	case ns: // its own
		w.CapSetID = false
		return w, w.AlreadyWritten // without a map it has no ids that could be told
	case n.Parent:
		w.CapSysAdmin = w.CapSysAdmin || w.EUID == n.OwnerUID && w.EUID.Mapped()
		return w, true
	}
	w.Elsewhere = true
	parent := s.mapsOfUserNS(n.Parent)
	if parent == nil {
		return w, false
	}
	w.Parent = half(parent)
	return w, true
}

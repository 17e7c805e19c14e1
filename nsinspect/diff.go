package nsinspect

import (
	"slices"

	"github.com/nsview/nsview/idmap"
)

// Diff is the answer of nsview diff: what two targets share and where they differ.
type Diff struct {
	Report
	A          DiffSide          `json:"a"`
	B          DiffSide          `json:"b"`
	Namespaces []SharedNamespace `json:"namespaces"`
	IDs        []DiffFact        `json:"ids"`  // uid, gid (effective, on the observer's side), uid_map, gid_map
	Root       DiffFact          `json:"root"` // the root directories
	Mounts     []MountDiff       `json:"mounts"`
	Verdict    Sharing           `json:"verdict"` // shared: no difference; separate: they differ; unknown
}

// DiffSide is one of the two.
type DiffSide struct {
	Target    string        `json:"target"`
	PID       *int          `json:"pid"` // the process that was compared, null for a namespace without processes
	Comm      string        `json:"comm"`
	Container *ContainerRef `json:"container"`
}

// DiffFact is one fact of both sides.
type DiffFact struct {
	Fact    string  `json:"fact"`
	A       any     `json:"a"` // null when unknown
	B       any     `json:"b"`
	Sharing Sharing `json:"sharing"`
}

// MountDiff is a mount point at which the two see something else. A side that has no mount there is null.
type MountDiff struct {
	Point string `json:"point"`
	A     *Mount `json:"a"`
	B     *Mount `json:"b"`
}

// Diff compares the processes that answer for two targets. It needs the facts Mounts and Graph.
func (s *Snapshot) Diff(a, b Target, nameA, nameB string) *Diff {
	d := &Diff{Report: s.Report("Diff"), A: s.diffSide(&a, nameA), B: s.diffSide(&b, nameB)}
	p, q := a.Process, b.Process
	d.Namespaces = Share(sideNamespaces(&a), sideNamespaces(&b))
	if p == nil || q == nil {
		d.IDs, d.Mounts, d.Root = []DiffFact{}, []MountDiff{}, DiffFact{Fact: "root", Sharing: Unknown}
		d.Verdict = d.verdict(false)
		return d
	}
	s.tellApart(d.Namespaces, p, q)
	d.IDs = []DiffFact{
		compareIDs("uid", p.Cred.UID.Effective, q.Cred.UID.Effective),
		compareIDs("gid", p.Cred.GID.Effective, q.Cred.GID.Effective),
		s.compareMaps("uid_map", p, q, func(m *IDMaps) idmap.Map { return m.UID }),
		s.compareMaps("gid_map", p, q, func(m *IDMaps) idmap.Map { return m.GID }),
	}
	mountsKnown := s.Mounts(p.MountTable) != nil && s.Mounts(q.MountTable) != nil
	d.Root = DiffFact{Fact: "root", A: textOrNil(p.Root), B: textOrNil(q.Root), Sharing: Unknown}
	switch {
	case p.Root == "" || q.Root == "":
	case p.Root != q.Root:
		d.Root.Sharing = Separate
	case mountsKnown:
		d.Root.Sharing = sharing(s.rootMount(p) == s.rootMount(q))
	}
	d.Mounts = s.compareMounts(p, q)
	if p == q { // shared with itself, also what could not be read
		d.allShared()
		mountsKnown = true
	}
	d.Verdict = d.verdict(mountsKnown)
	return d
}

func (d *Diff) allShared() {
	for i := range d.Namespaces {
		d.Namespaces[i].Sharing = Shared
	}
	for i := range d.IDs {
		d.IDs[i].Sharing = Shared
	}
	d.Root.Sharing = Shared
}

// tellApart finds namespaces that differ although they cannot be read: other id maps are of other user namespaces, and
// another depth is of another PID namespace.
func (s *Snapshot) tellApart(rows []SharedNamespace, p, q *Process) {
	for i := range rows {
		apart := rows[i].Type == User && s.otherMaps(p.IDMaps, q.IDMaps) || rows[i].Type == PID && len(p.PIDs) != len(q.PIDs)
		if rows[i].Sharing == Unknown && apart {
			rows[i].Sharing = Separate
		}
	}
}

func (s *Snapshot) diffSide(t *Target, name string) DiffSide {
	side := DiffSide{Target: name}
	if t.Process == nil {
		return side
	}
	pid := t.Process.PID
	side.PID, side.Comm = &pid, t.Process.Comm
	if c := s.ContainerOf(t.Process); c != nil {
		ref := c.Ref()
		side.Container = &ref
	}
	return side
}

// sideNamespaces are the namespaces of a target: of a namespace without processes only itself is known.
func sideNamespaces(t *Target) *NamespaceSet {
	if t.Process != nil {
		return &t.Process.Namespaces
	}
	set := new(NamespaceSet)
	if field := set.field(t.Type); field != nil {
		*field = t.Namespace
	}
	return set
}

func sharing(same bool) Sharing {
	if same {
		return Shared
	}
	return Separate
}

func compareIDs(fact string, a, b idmap.Kernel) DiffFact {
	d := DiffFact{Fact: fact, A: a, B: b, Sharing: Unknown}
	if a.Mapped() && b.Mapped() {
		d.Sharing = sharing(a == b)
	} else if a.Mapped() != b.Mapped() {
		d.Sharing = Separate
	}
	return d
}

func (s *Snapshot) compareMaps(fact string, p, q *Process, half func(*IDMaps) idmap.Map) DiffFact {
	d := DiffFact{Fact: fact, Sharing: Unknown}
	a, b := s.Maps(p.IDMaps), s.Maps(q.IDMaps)
	if a != nil {
		d.A = half(a)
	}
	if b != nil {
		d.B = half(b)
	}
	if a != nil && b != nil {
		d.Sharing = sharing(slices.Equal(half(a), half(b)))
	}
	return d
}

func textOrNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// rootMount is what is mounted at the root of p: two roots called "/" are the same directory only when this is.
func (s *Snapshot) rootMount(p *Process) string {
	t := s.Mounts(p.MountTable)
	if t == nil {
		return ""
	}
	if m := topMounts(t)["/"]; m != nil {
		return m.Dev + m.Root
	}
	return ""
}

// compareMounts lists the mount points at which p and q see something else, in the order of their paths. Ids of mounts
// and peer groups always differ between mount namespaces, and are not compared.
func (s *Snapshot) compareMounts(p, q *Process) []MountDiff {
	diffs := []MountDiff{}
	a, b := s.Mounts(p.MountTable), s.Mounts(q.MountTable)
	if a == nil || b == nil || a == b {
		return diffs
	}
	ofA, ofB := topMounts(a), topMounts(b)
	var points []string
	for point := range ofA {
		points = append(points, point)
	}
	for point := range ofB {
		if ofA[point] == nil {
			points = append(points, point)
		}
	}
	slices.Sort(points)
	for _, point := range points {
		x, y := ofA[point], ofB[point]
		if x == nil || y == nil || !sameMount(x, y) {
			diffs = append(diffs, MountDiff{Point: point, A: x, B: y})
		}
	}
	return diffs
}

// topMounts is the mount that is seen at each mount point: the last one there covers the others.
func topMounts(t *MountTable) map[string]*Mount {
	top := make(map[string]*Mount, len(t.Mounts))
	for i := range t.Mounts {
		top[t.Mounts[i].Point] = &t.Mounts[i]
	}
	return top
}

func sameMount(x, y *Mount) bool {
	return x.Dev == y.Dev && x.Root == y.Root && x.FSType == y.FSType && x.Idmapped == y.Idmapped &&
		slices.Equal(x.Options, y.Options) && slices.Equal(x.UIDMap, y.UIDMap) && slices.Equal(x.GIDMap, y.GIDMap)
}

// verdict sums up: one difference is enough to differ, one unknown fact to not know that there is none.
func (d *Diff) verdict(mountsKnown bool) Sharing {
	verdict := Shared
	judge := func(s Sharing) {
		if s == Separate || s == Unknown && verdict == Shared {
			verdict = s
		}
	}
	for i := range d.Namespaces {
		judge(d.Namespaces[i].Sharing)
	}
	for i := range d.IDs {
		judge(d.IDs[i].Sharing)
	}
	judge(d.Root.Sharing)
	if !mountsKnown {
		judge(Unknown)
	}
	if len(d.Mounts) > 0 {
		judge(Separate)
	}
	return verdict
}

package nsinspect

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/nsview/nsview/idmap"
)

// OwnerSummary is the answer of nsview owner -R: trees summed up by owner.
type OwnerSummary struct {
	Report
	Trees []TreeOwners `json:"trees"`
}

// Amount is a number of files and the sum of their sizes. A file that has several names in a tree is as many files, and so
// is its size.
type Amount struct {
	Files uint64 `json:"files"` // of every type
	Bytes uint64 `json:"bytes"` // as stat(2) says, not what is allocated; math.MaxUint64 stands for more, too
}

// Add adds another amount.
func (a *Amount) Add(b Amount) {
	a.Files += b.Files
	sum, more := bits.Add64(a.Bytes, b.Bytes, 0)
	a.Bytes = sum | -more
}

// TreeOwners is who owns the files of one tree, and who sees how many of them.
type TreeOwners struct {
	Path string `json:"path"` // as it was asked for
	Amount
	Partial bool `json:"partial"` // the walk was interrupted: what follows is what was seen until then

	Owners  []PairOwners `json:"owners"`  // most files first
	Viewers []TreeViewer `json:"viewers"` // the host first

	Assumptions []string `json:"assumptions"`
}

// PairOwners is the files of one owner and group, and what each viewer calls the two.
type PairOwners struct {
	Host OwnerIDs `json:"host"` // on the observer's side, null when unmapped or unknown
	Amount
	Views []PairView `json:"views"`
}

// PairView is an owner pair as one viewer sees it.
type PairView struct {
	Viewer     string       `json:"viewer"`
	PID        *int         `json:"pid"`
	UserNS     Inode        `json:"user_ns"`
	UID        idmap.Inside `json:"uid"` // null when unmapped, or unknown
	GID        idmap.Inside `json:"gid"`
	User       string       `json:"user"`
	Group      string       `json:"group"`
	Amount                  // those of the pair that the viewer sees so
	Paths      []string     `json:"paths"`     // below which it sees them
	Confirmed  bool         `json:"confirmed"` // false: some follow from the mounts alone
	UnknownIDs []string     `json:"unknown_ids,omitempty"`
}

// TreeViewer is how many files of a tree one viewer sees, and of how many it does not see the owner. Of processes that
// are named by their PID only those files count that they see otherwise than the host or their container.
type TreeViewer struct {
	Viewer   string `json:"viewer"`
	PID      *int   `json:"pid"`
	UserNS   Inode  `json:"user_ns"`
	Files    uint64 `json:"files"`
	Unmapped uint64 `json:"unmapped"` // owner or group unmapped, below any of the paths
	Unknown  uint64 `json:"unknown"`  // owner or group could not be told
}

// Pair judges who owns the files of an owner pair for everyone who sees the file f: seen is the pair as f's first sighting
// shows it. It answers for all files that are seen through the same mounts as f. The ids apart are the host's by its first
// view, or of the first sighting where it has none.
func (o *OwnerViewers) Pair(f *FileFacts, seen RawIDs) (FileOwners, OwnerIDs, []Gap) {
	pair := *f
	pair.Gaps = nil
	pair.Sightings = slices.Clone(f.Sightings)
	j := o.judge(&pair)
	overlaid := false
	for i := range pair.Sightings {
		g := &pair.Sightings[i]
		g.Stat = nil
		if j.showsAlike(g, &pair.Sightings[0]) {
			g.Stat = &seen
		}
		m, first := j.mount(g), j.mount(&pair.Sightings[0])
		if m != nil && first != nil && m.Dev != first.Dev {
			g.Confirmed = false // layers of an overlay show through each other, file by file
			overlaid = true
		}
	}
	judged := o.judge(&pair)
	for i := range o.viewers {
		judged.viewer(&o.viewers[i])
	}
	if overlaid {
		judged.assume("no layer of an overlay hides what is below " + f.Path + " in another")
	}
	host := OwnerIDs{UID: idmap.UnmappedKernel, GID: idmap.UnmappedKernel}
	if len(pair.Sightings) > 0 {
		host.UID, _ = judged.seenAs(&pair.Sightings[0], &judged.uid)
		host.GID, _ = judged.seenAs(&pair.Sightings[0], &judged.gid)
	}
	for i := range judged.out.Views {
		if v := &judged.out.Views[i]; v.PID == nil { // asked inside a container: what the host calls it is meant
			host = v.Host
			break
		}
	}
	for i := range judged.gaps {
		judged.gaps[i].Subject = fmt.Sprintf("files of %d:%d in %s", seen.UID, seen.GID, judged.gaps[i].Subject)
	}
	return judged.out, host, judged.gaps
}

// showsAlike reports whether two sightings surely show the same ids: through one mount, or through plain ones of one file
// system.
func (j *ownerJudge) showsAlike(a, b *Sighting) bool {
	x, y := j.source(a), j.source(b)
	if x == nil || y == nil {
		return a == b
	}
	return x.ID == y.ID || !x.Idmapped && !y.Idmapped && x.Dev == y.Dev
}

// TreeSum adds the owner pairs of a tree up.
type TreeSum struct {
	out     TreeOwners
	pairs   map[OwnerIDs]int
	viewers map[string]int
}

// NewTreeSum begins the sum of a tree.
func NewTreeSum(path string) *TreeSum {
	return &TreeSum{
		out:   TreeOwners{Path: path, Owners: []PairOwners{}, Viewers: []TreeViewer{}, Assumptions: []string{}},
		pairs: map[OwnerIDs]int{}, viewers: map[string]int{},
	}
}

// Add counts files of one owner pair in one part of the tree, as [OwnerViewers.Pair] judged them.
func (t *TreeSum) Add(files Amount, host OwnerIDs, judged *FileOwners) {
	t.out.Amount.Add(files)
	i, ok := t.pairs[host]
	if !ok {
		i = len(t.out.Owners)
		t.pairs[host] = i
		t.out.Owners = append(t.out.Owners, PairOwners{Host: host, Views: []PairView{}})
	}
	pair := &t.out.Owners[i]
	pair.Amount.Add(files)
	counted := map[int]bool{}
	type worst struct{ unmapped, unknown bool }
	seen := map[int]worst{}
	for i := range judged.Views {
		v := &judged.Views[i]
		n := pair.view(v)
		p := &pair.Views[n]
		if !counted[n] {
			p.Amount.Add(files)
		}
		counted[n] = true
		p.Confirmed = p.Confirmed && v.Confirmed
		p.addPath(v.Path)
		who := t.viewer(v)
		w := seen[who]
		unknownUID, unknownGID := slices.Contains(v.UnknownIDs, "uid"), slices.Contains(v.UnknownIDs, "gid")
		w.unknown = w.unknown || unknownUID || unknownGID
		w.unmapped = w.unmapped || !v.UID.Mapped() && !unknownUID || !v.GID.Mapped() && !unknownGID
		seen[who] = w
	}
	for who, w := range seen {
		v := &t.out.Viewers[who]
		v.Files += files.Files
		if w.unmapped {
			v.Unmapped += files.Files
		}
		if w.unknown {
			v.Unknown += files.Files
		}
	}
	for _, text := range judged.Assumptions {
		if !slices.Contains(t.out.Assumptions, text) {
			t.out.Assumptions = append(t.out.Assumptions, text)
		}
	}
}

// view is the index of the view like v, a new one where there is none.
func (p *PairOwners) view(v *OwnerView) int {
	for i := range p.Views {
		w := &p.Views[i]
		if w.Viewer == v.Viewer && w.UserNS == v.UserNS && w.UID == v.UID && w.GID == v.GID && w.User == v.User && w.Group == v.Group &&
			slices.Equal(w.UnknownIDs, v.UnknownIDs) {
			return i
		}
	}
	p.Views = append(p.Views, PairView{
		Viewer: v.Viewer, PID: v.PID, UserNS: v.UserNS, UID: v.UID, GID: v.GID, User: v.User, Group: v.Group,
		Paths: []string{}, Confirmed: true, UnknownIDs: v.UnknownIDs,
	})
	return len(p.Views) - 1
}

// addPath adds a path, unless one that is there leads to it.
func (v *PairView) addPath(path string) {
	for _, p := range v.Paths {
		if _, ok := beneath(p, path); ok {
			return
		}
	}
	v.Paths = append(slices.DeleteFunc(v.Paths, func(p string) bool {
		_, ok := beneath(path, p)
		return ok
	}), path)
}

func (t *TreeSum) viewer(v *OwnerView) int {
	i, ok := t.viewers[v.Viewer]
	if !ok {
		i = len(t.out.Viewers)
		t.viewers[v.Viewer] = i
		t.out.Viewers = append(t.out.Viewers, TreeViewer{Viewer: v.Viewer, PID: v.PID, UserNS: v.UserNS})
	}
	return i
}

// Tree is the sum, in an order that does not depend on that of the walk.
func (t *TreeSum) Tree(partial bool) TreeOwners {
	t.out.Partial = partial
	slices.SortFunc(t.out.Owners, func(a, b PairOwners) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Host.UID, b.Host.UID), cmp.Compare(a.Host.GID, b.Host.GID))
	})
	for i := range t.out.Owners {
		views := t.out.Owners[i].Views
		for j := range views {
			slices.Sort(views[j].Paths)
		}
		slices.SortFunc(views, func(a, b PairView) int {
			return cmp.Or(byViewer(a.Viewer, b.Viewer), cmp.Compare(a.UID, b.UID), cmp.Compare(a.GID, b.GID), slices.Compare(a.Paths, b.Paths))
		})
	}
	slices.SortFunc(t.out.Viewers, func(a, b TreeViewer) int { return byViewer(a.Viewer, b.Viewer) })
	slices.Sort(t.out.Assumptions)
	return t.out
}

// byViewer has the host first.
func byViewer(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == hostTarget:
		return -1
	case b == hostTarget:
		return 1
	}
	return cmp.Compare(a, b)
}

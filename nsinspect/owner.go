package nsinspect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// OwnerQuery says for whom Owners answers.
type OwnerQuery struct {
	// Target, when set, is the one viewer beside the host.
	Target *Target
}

// OwnerViewers are those for whom one OwnerQuery asks, to be asked about many files.
type OwnerViewers struct {
	s       *Snapshot
	atlas   *Atlas
	viewers []ownerViewer
}

// OwnerViewers finds the viewers that q asks for.
func (s *Snapshot) OwnerViewers(a *Atlas, q OwnerQuery) *OwnerViewers {
	return &OwnerViewers{s: s, atlas: a, viewers: s.ownerViewers(q)}
}

// Owners judges who owns a file for everyone who sees it. The host's views come first, then those of every container,
// then those of processes in a chroot, or in a container but with a user or mount namespace of their own, where they see
// the file elsewhere or as somebody else's. Gaps are what could not be told.
func (s *Snapshot) Owners(a *Atlas, f *FileFacts, q OwnerQuery) (FileOwners, []Gap) {
	return s.OwnerViewers(a, q).File(f)
}

// File is [Snapshot.Owners] for these viewers.
func (o *OwnerViewers) File(f *FileFacts) (FileOwners, []Gap) {
	j := o.judge(f)
	for i := range o.viewers {
		j.viewer(&o.viewers[i])
	}
	return j.out, j.gaps
}

func (o *OwnerViewers) judge(f *FileFacts) *ownerJudge {
	j := &ownerJudge{s: o.s, atlas: o.atlas, f: f}
	j.out = FileOwners{
		Path: f.Path, Type: f.Type, Mode: fmt.Sprintf("%04o", f.Mode), Dev: f.Dev, Inode: f.Inode, Nlink: f.Nlink,
		Size: f.Size, Modified: f.Modified, Views: []OwnerView{}, Assumptions: []string{},
	}
	if f.Modified != nil {
		j.out.Age = o.s.Time.Sub(*f.Modified)
	}
	j.gaps = slices.Clone(f.Gaps)
	j.uid, j.gid = j.half(uidHalf()), j.half(gidHalf())
	j.out.OnDisk = DiskIDs{UID: j.uid.disk, GID: j.gid.disk}
	return j
}

// idHalf picks the user or the group half of what has both.
type idHalf struct {
	name     string
	raw      func(*RawIDs) uint32
	mount    func(*Mount) idmap.MountMap
	maps     func(*IDMaps) idmap.Map
	overflow func(*Observer) uint32
}

func uidHalf() idHalf {
	return idHalf{
		name: "uid", raw: func(r *RawIDs) uint32 { return r.UID }, mount: func(m *Mount) idmap.MountMap { return m.UIDMap },
		maps: func(m *IDMaps) idmap.Map { return m.UID }, overflow: func(o *Observer) uint32 { return o.OverflowUID },
	}
}

func gidHalf() idHalf {
	return idHalf{
		name: "gid", raw: func(r *RawIDs) uint32 { return r.GID }, mount: func(m *Mount) idmap.MountMap { return m.GIDMap },
		maps: func(m *IDMaps) idmap.Map { return m.GID }, overflow: func(o *Observer) uint32 { return o.OverflowGID },
	}
}

type ownerJudge struct {
	s        *Snapshot
	atlas    *Atlas
	f        *FileFacts
	uid, gid judgedHalf
	out      FileOwners
	gaps     []Gap
}

// judgedHalf is the uid or the gid of the file.
type judgedHalf struct {
	idHalf
	disk idmap.Disk // UnmappedDisk: no mount tells
}

func (j *ownerJudge) half(h idHalf) judgedHalf { return judgedHalf{h, j.onDisk(h)} }

// source is the mount whose ids a sighting shows: on an overlay that of the layer.
func (j *ownerJudge) source(g *Sighting) *Mount {
	if g.Layer != nil {
		return j.atlas.Mount(*g.Layer)
	}
	return j.mount(g)
}

// mount is the mount of a sighting: of another table when the path went through a magic link.
func (j *ownerJudge) mount(g *Sighting) *Mount {
	_, m := j.atlas.Find(g.Mount, g.Table)
	return m
}

// onDisk is what the file system stores, by the first mount that shows it beyond doubt.
func (j *ownerJudge) onDisk(h idHalf) idmap.Disk {
	if !j.s.Observer.InitialNS {
		return idmap.UnmappedDisk // what the observer sees went through its own map
	}
	for i := range j.f.Sightings {
		g := &j.f.Sightings[i]
		m := j.source(g)
		if g.Stat == nil || m == nil || g.Layer == nil && m.FSType == "overlay" || m.Idmapped && !m.MapKnown {
			continue
		}
		seen := h.raw(g.Stat)
		if m.Idmapped && seen == h.overflow(&j.s.Observer) {
			continue // an id, or the lack of one
		}
		if disk := j.through(m, h).OnDisk(idmap.Kernel(seen)); disk.Mapped() {
			return disk
		}
	}
	return idmap.UnmappedDisk
}

// through is how ids pass m.
func (j *ownerJudge) through(m *Mount, h idHalf) idmap.MountIDs {
	return idmap.MountIDs{Idmapped: m.Idmapped, Map: h.mount(m), Superblock: j.superblock(m, h)}
}

// superblock is the map of the user namespace that owns the file system. Nothing tells which that is: a file system that
// a user namespace may mount, and that is not among the observer's mounts, is taken for its mount namespace's owner's.
func (j *ownerJudge) superblock(m *Mount, h idHalf) idmap.Map {
	o := &j.s.Observer
	if !userMountable(m.FSType) || j.atlas.inTable(o.MountTable, m.Dev) {
		return idmap.Identity()
	}
	for t := range j.s.MountTables {
		if !j.atlas.inTable(t, m.Dev) {
			continue
		}
		ns := j.s.Namespace(j.s.MountTables[t].MntNS)
		if ns == nil || ns.OwnerUserNS == 0 || ns.OwnerUserNS == o.UserNS {
			return idmap.Identity()
		}
		for i := range j.s.IDMaps {
			if j.s.IDMaps[i].UserNS == ns.OwnerUserNS {
				j.assume(fmt.Sprintf("the %s is owned by user namespace %d", m.FSType, ns.OwnerUserNS))
				return h.maps(&j.s.IDMaps[i])
			}
		}
	}
	return idmap.Identity()
}

// userMountable lists the file systems with ids that a user namespace may mount (FS_USERNS_MOUNT).
func userMountable(fsType string) bool {
	switch fsType {
	case "tmpfs", "ramfs", "overlay":
		return true
	}
	return isFUSE(fsType)
}

func isFUSE(fsType string) bool {
	return fsType == "fuse" || fsType == "fuseblk" || strings.HasPrefix(fsType, "fuse.")
}

func (a *Atlas) inTable(table int, dev string) bool {
	return table >= 0 && table < len(a.tables) && len(a.tables[table].byDev[dev]) > 0
}

func (j *ownerJudge) assume(text string) {
	if !slices.Contains(j.out.Assumptions, text) {
		j.out.Assumptions = append(j.out.Assumptions, text)
	}
}

// seenAs is the id that a sighting shows, on the observer's side. False when it cannot be told: the overflow id is an
// id or none, and only a map decides which.
func (j *ownerJudge) seenAs(g *Sighting, h *judgedHalf) (idmap.Kernel, bool) {
	o := &j.s.Observer
	if g.Stat != nil {
		if seen := h.raw(g.Stat); seen != h.overflow(o) {
			return idmap.Kernel(seen), true
		}
	}
	m := j.source(g)
	if m == nil {
		return idmap.UnmappedKernel, false
	}
	switch known := !m.Idmapped || m.MapKnown; {
	case known && h.disk.Mapped():
		return j.through(m, h.idHalf).SeenAs(h.disk), true
	case g.Stat == nil:
		return idmap.UnmappedKernel, false
	case !o.InitialNS:
		own := j.s.Maps(o.IDMaps)
		real := own == nil || h.maps(own).Covers(idmap.Inside(h.overflow(o)))
		return idmap.UnmappedKernel, !real
	case !m.Idmapped && isFUSE(m.FSType):
		// The kernel makes ids of what the daemon says by the superblock's map; other file systems hold only ids.
		may := j.superblock(m, h.idHalf).ToInside(idmap.Kernel(h.overflow(o))).Mapped()
		return idmap.UnmappedKernel, !may
	case !m.Idmapped && m.FSType != "overlay":
		return idmap.Kernel(h.overflow(o)), true
	case m.Idmapped && known && !h.mount(m).OnDisk(idmap.Kernel(h.overflow(o))).Mapped():
		return idmap.UnmappedKernel, true
	}
	return idmap.UnmappedKernel, false
}

// inside is what viewer v calls an id of the observer's side.
func (j *ownerJudge) inside(v *ownerViewer, id idmap.Kernel, h *judgedHalf) (idmap.Inside, bool) {
	o := &j.s.Observer
	if v.host || v.userNS != 0 && v.userNS == o.UserNS || v.userNS == 0 && v.idMaps >= 0 && v.idMaps == o.IDMaps {
		return idmap.Inside(id), true
	}
	maps := j.s.Maps(v.idMaps)
	if maps == nil {
		return idmap.UnmappedInside, false
	}
	if !id.Mapped() {
		return idmap.UnmappedInside, true
	}
	return h.maps(maps).ToInside(id), true
}

// viewer adds the views of v.
func (j *ownerJudge) viewer(v *ownerViewer) {
	if v.container != nil && !v.container.Running() {
		j.stopped(v)
		return
	}
	var views []OwnerView
	for i := range j.f.Sightings {
		if g := &j.f.Sightings[i]; g.Table == v.table && v.table >= 0 {
			views = append(views, j.view(v, g, g.Path))
		}
	}
	if v.host && len(views) == 0 && j.f.PID != 0 {
		views = j.throughProc(v)
	}
	if v.extra && j.alike(v, views) {
		return
	}
	j.out.Views = append(j.out.Views, views...)
}

// throughProc is the host's view of a file that only a container has mounted: the host sees it below /proc/PID/root.
func (j *ownerJudge) throughProc(v *ownerViewer) []OwnerView {
	for i := range j.f.Sightings {
		g := &j.f.Sightings[i]
		if g.Path == j.f.Resolved && g.Confirmed {
			return []OwnerView{j.view(v, g, "/proc/"+strconv.Itoa(j.f.PID)+"/root"+g.Path)}
		}
	}
	return nil
}

// alike reports whether an extra viewer sees the file just as those it belongs to do.
func (j *ownerJudge) alike(v *ownerViewer, views []OwnerView) bool {
	for i := range views {
		same := func(w OwnerView) bool {
			n := &views[i]
			return w.Viewer == v.of && w.Path == n.Path && w.UID == n.UID && w.GID == n.GID && w.User == n.User && w.Group == n.Group
		}
		if !slices.ContainsFunc(j.out.Views, same) {
			return false
		}
	}
	return true
}

func (j *ownerJudge) view(v *ownerViewer, g *Sighting, path string) OwnerView {
	out := OwnerView{Viewer: v.name, UserNS: v.userNS, Path: path, Confirmed: g.Confirmed}
	if !v.host {
		out.PID = &v.pid
	}
	var known bool
	if out.Host.UID, known = j.seenAs(g, &j.uid); known {
		out.UID, known = j.inside(v, out.Host.UID, &j.uid)
	}
	if !known {
		out.UID = idmap.UnmappedInside
		j.unknown(&out, &j.uid)
	}
	if out.Host.GID, known = j.seenAs(g, &j.gid); known {
		out.GID, known = j.inside(v, out.Host.GID, &j.gid)
	}
	if !known {
		out.GID = idmap.UnmappedInside
		j.unknown(&out, &j.gid)
	}
	names := j.s.NamesAt(v.names)
	out.User, out.Group = userName(names, out.UID), groupName(names, out.GID)
	if m := j.mount(g); m != nil {
		out.Mount = OwnerMount{
			Point: m.Point, Idmapped: m.Idmapped, FSType: m.FSType, UIDMap: m.UIDMap, GIDMap: m.GIDMap,
			ReadOnly: slices.Contains(m.Options, "ro") || slices.Contains(m.SuperOpts, "ro"),
		}
		if v.container != nil {
			out.Mount.Volume, _ = v.container.configured(m.Point)
		}
	}
	return out
}

func (j *ownerJudge) unknown(v *OwnerView, h *judgedHalf) {
	v.UnknownIDs = append(v.UnknownIDs, h.name)
	why := "the overflow id, which may be an id or stand for none, and no mount's map decides"
	switch {
	case v.Mount.Idmapped && !v.Confirmed && v.PID == nil:
		why = "the id map that the mount will have is unknown"
	case v.Host.UID.Mapped() || v.Host.GID.Mapped():
		why = "the viewer's id map is unknown"
	}
	g := Gap{Subject: fmt.Sprintf("%s as %s sees it", j.f.Path, v.Viewer), Fact: h.name, Error: why}
	if v.PID != nil {
		g.PID = *v.PID
	}
	j.gaps = append(j.gaps, g)
}

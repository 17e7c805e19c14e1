package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// refusing is an engine that refuses an operation, by its argument or its name, to a uid, and allows all else.
func refusing(uid idmap.Kernel, what string) decider {
	return func(s *access.Subject, w *access.Walk, op access.Operation) access.Verdict {
		v := access.Verdict{Verdict: access.Allow}
		if s.Cred.UID.FS == uid && (slices.Contains(op.Args, what) || string(op.Op) == what) {
			v = access.Verdict{Verdict: access.Deny, Errno: "EACCES", Rule: access.RuleModeOther, Component: w.Path}
		}
		return v
	}
}

// wantBy is want with another engine.
func wantBy(t *testing.T, f *Facts, decide decider, id ID, findings ...string) []Finding {
	t.Helper()
	list, _ := judgeBy(f, decide)
	return check(t, list, id, findings)
}

func TestVolumeAccess(t *testing.T) {
	for letters, id := range map[string]ID{"x": Traverse, "r": Read, "w": Write} {
		f := host()
		f.Snapshot.Processes[0].Cred = cred(999)
		a := answer(f, 1000, 0o750)
		found := wantBy(t, f, refusing(999, letters), id, "error docker:web /data")
		if !strings.Contains(found[0].Evidence, "mysql (uid 999 inside, 999 outside, PID 50) is refused with EACCES by mode-other at /data (mode 0750, owner 1000:1000)") {
			t.Errorf("evidence %q", found[0].Evidence)
		}
		wantBy(t, f, refusing(5, letters), id) // another may not
		a.Primary = false
		wantBy(t, f, refusing(999, letters), id, "info docker:web /data")
	}
	// What may not be searched is not also said to be unreadable.
	f := host()
	answer(f, 0, 0)
	all := func(*access.Subject, *access.Walk, access.Operation) access.Verdict {
		return access.Verdict{Verdict: access.Deny, Errno: "EACCES"}
	}
	wantBy(t, f, all, Read)
	wantBy(t, f, all, Traverse, "error docker:web /data")
	// Nothing may be written where the mount says so.
	f.Snapshot.MountTables[1].Mounts[2].Options = []string{"ro"}
	wantBy(t, f, refusing(0, "w"), Write)
	// What belongs to the host's operating system is not meant to be written.
	f = host()
	f.Snapshot.MountTables[1].Mounts[2].Root = "/etc/ssl"
	answer(f, 0, 0o755)
	wantBy(t, f, refusing(0, "w"), Write, "info docker:web /data")
}

func TestUnknownIsAGap(t *testing.T) {
	f := host()
	answer(f, 0, 0o755)
	list, gaps := judgeBy(f, func(*access.Subject, *access.Walk, access.Operation) access.Verdict {
		return access.Verdict{Verdict: access.Unknown, Missing: "the server decides"}
	})
	check(t, list, Traverse, nil)
	if len(gaps) != 1 || gaps[0].Error != "the server decides" || gaps[0].PID != 50 {
		t.Errorf("gaps %+v", gaps)
	}
}

func TestFixesAreOffered(t *testing.T) {
	f := host()
	answer(f, 1000, 0o750)
	f.Fix = func(_ *access.Subject, _ *access.Walk, op access.Operation, v access.Verdict) []access.Fix {
		return []access.Fix{{Title: string(op.Op) + " " + string(v.Errno)}}
	}
	if found := wantBy(t, f, refusing(0, "r"), Read, "error docker:web /data"); found[0].Fixes[0].Title != "eaccess EACCES" {
		t.Errorf("fixes %v", found[0].Fixes)
	}
}

// Whoever follows the fix of a volume that may not even be searched can then use it.
func TestFixIsWhole(t *testing.T) {
	for _, options := range [][]string{nil, {"ro"}} {
		f := host()
		f.Snapshot.Processes[0].Cred = cred(999)
		f.Snapshot.MountTables[1].Mounts[2].Options = options
		answer(f, 0, 0o700).Walk.Steps[0].Found.Host = "/srv/data"
		f.Fix = access.Fixes
		permission := "rwx"
		if options != nil {
			permission = "rx"
		}
		found := want(t, f, Traverse, "error docker:web /data")
		if len(found[0].Fixes) == 0 || !slices.Equal(found[0].Fixes[0].Commands, []string{"setfacl -m u:999:" + permission + " -- /srv/data"}) || !found[0].Fixes[0].Proven {
			t.Errorf("mounted %v: fixes %+v", options, found[0].Fixes)
		}
	}
}

func TestSocketAndDeviceGroup(t *testing.T) {
	for typ, c := range map[access.Type]struct {
		id     ID
		refuse string
	}{access.Socket: {SocketGroup, "w"}, access.CharDevice: {DeviceGroup, "rdwr"}} {
		f := host()
		answer(f, 0, 0o660).Walk.Steps[0].Found.Type = typ
		wantBy(t, f, refusing(0, c.refuse), c.id, "error docker:web /data")
		wantBy(t, f, refusing(1, c.refuse), c.id)
	}
}

func TestReadOnly(t *testing.T) {
	f := host()
	f.Snapshot.Processes[0].Cred = cred(999)
	answer(f, 999, 0o755)
	allow := refusing(0, "-")
	wantBy(t, f, allow, ReadOnly)
	f.Snapshot.MountTables[1].Mounts[2].Options = []string{"ro"}
	wantBy(t, f, allow, ReadOnly, "info docker:web /data")
	f.Answers = nil
	answer(f, 1000, 0o755)
	wantBy(t, f, allow, ReadOnly)
}

func TestNames(t *testing.T) {
	f := host()
	answer(f, 0, 0o755)
	allow := refusing(0, "-")
	wantBy(t, f, allow, NameDiffers) // root on both sides
	f = host()
	f.Snapshot.Names[1].Users[1000] = "ctr"
	answer(f, 1000, 0o755)
	found := wantBy(t, f, allow, NameDiffers, "info docker:web /data")
	if !strings.Contains(found[0].Evidence, "uid 1000, which the host calls khope and the container ctr") || len(found[0].Fixes) > 0 {
		t.Errorf("%+v", found[0])
	}
}

func TestGroupsDropped(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	shell := nsinspect.Process{PID: 60, Comm: "bash", State: "S", Container: -1, Namespaces: nsinspect.NamespaceSet{User: hostUser, Mnt: hostMnt}, Cred: cred(1001)}
	f.Snapshot.Processes = slices.Insert(f.Snapshot.Processes, 1, shell)
	a := answer(f, 1000, 0o770)
	a.Walk.Steps[0].Found.GID.Seen = 3000
	allow := refusing(0, "-")
	wantBy(t, f, allow, GroupsLost) // alice is not in it either
	f.Snapshot.Processes[1].Cred.Groups = []idmap.Kernel{3000}
	found := wantBy(t, f, allow, GroupsLost, "warning docker:web /data")
	if !strings.Contains(found[0].Evidence, "group media (3000), which user alice (1001) is in") {
		t.Errorf("evidence %q", found[0].Evidence)
	}
	a.Walk.Steps[0].Found.Mode = 0o755 // members may do what all others may
	wantBy(t, f, allow, GroupsLost)
	a.Walk.Steps[0].Found.Mode = 0o775
	wantBy(t, f, allow, GroupsLost, "warning docker:web /data")
	a.Subject.Cred.Groups = []idmap.Kernel{3000}
	wantBy(t, f, allow, GroupsLost)
}

// count adds files of an owner that the container has no id for.
func count(f *Facts, owner idmap.Kernel, disk idmap.Disk) {
	f.Counts = append(f.Counts, Count{
		Container: 0, Path: "/data", Files: 7, OnDisk: nsinspect.DiskIDs{UID: disk, GID: disk}, Host: nsinspect.OwnerIDs{UID: owner, GID: owner},
		UID: idmap.UnmappedInside, GID: idmap.UnmappedInside, Example: "/data/a",
	})
}

func TestUnmappedOwners(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	f.Counts = []Count{{Container: 0, Path: "/data", Files: 3, UID: 0, GID: 0}, {Container: 0, Path: "/data", Files: 1, UID: idmap.UnmappedInside, Unknown: true}}
	want(t, f, Unmapped) // mapped, and not known
	count(f, 1000, 1000)
	f.Counts[2].Partial = true
	found := want(t, f, Unmapped, "warning docker:web /data")
	if found[0].Evidence != "7 of 11 files (of 1000:1000), such as /data/a; the time budget ended before all were counted" {
		t.Errorf("evidence %q", found[0].Evidence)
	}
}

func TestUnmappedOwnersOfTheSystem(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	count(f, 0, 0)
	f.Snapshot.MountTables[1].Mounts[2].Root = "/usr/share"
	want(t, f, Unmapped, "info docker:web /data")
}

func TestStaleSubID(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	count(f, 300005, 300005)
	want(t, f, StaleSubID)
	other := idmap.SubID{Owner: "bob", Grant: idmap.Grant{First: 300000, Count: 65536}}
	f.SubUID = append(f.SubUID, other)
	want(t, f, StaleSubID) // bob's
	f.SubUID[1].Owner = "alice"
	want(t, f, StaleSubID, "warning docker:web /data")
	want(t, f, Unmapped)
}

// Files of an earlier range are given to the same places in the present one, and doctor has nothing to say of those.
func TestStaleSubIDFix(t *testing.T) {
	alice := func(first idmap.Kernel, count uint32) idmap.SubID {
		return idmap.SubID{Owner: "alice", Grant: idmap.Grant{First: first, Count: count}}
	}
	stale := func(grants ...idmap.SubID) *Facts {
		f := host()
		inOwnUserNS(f)
		f.SubUID = append(f.SubUID, grants...)
		f.SubGID = f.SubUID
		count(f, 300999, 300999)
		f.Counts[0].Host.GID = 100005 // which the container has
		f.Counts[0].GID = 5
		return f
	}
	fixOf := func(f *Facts) []access.Fix {
		t.Helper()
		found := want(t, f, StaleSubID, "warning docker:web /data")
		if len(found) == 0 {
			return nil
		}
		return found[0].Fixes
	}
	f := stale(alice(300000, 65536))
	fixes := fixOf(f)
	if command := "find /srv/data -xdev -uid 300999 -gid 100005 -execdir chown -h -- 100999:100005 '{}' +"; len(fixes) != 1 || !slices.Equal(fixes[0].Commands, []string{command}) || !fixes[0].Proven {
		t.Errorf("%+v", fixes)
	}
	f.Counts[0].Partial = true
	if fixes := fixOf(f); len(fixes) != 1 || fixes[0].Proven {
		t.Errorf("what was counted in part: %+v", fixes)
	}
	f.Counts[0].Host.UID, f.Counts[0].UID = 100999, 999
	want(t, f, StaleSubID)

	// What may have been another number, or is one that the container has not, is left to whoever knows.
	f = stale(alice(300000, 65536), alice(500000, 65536))
	shifted := append(shifted(), idmap.Extent{Inside: 65536, Outside: 500000, Count: 65536})
	f.Snapshot.IDMaps[1].UID = shifted
	if fixes := fixOf(f); len(fixes) > 0 {
		t.Errorf("of two ranges: %+v", fixes)
	}
	f = stale(alice(300000, 65536))
	f.Snapshot.IDMaps[1].UID = idmap.Map{{Inside: 0, Outside: 100000, Count: 500}}
	if fixes := fixOf(f); len(fixes) > 0 {
		t.Errorf("the container has no 999: %+v", fixes)
	}
	f = stale(alice(300000, 65536))
	f.Counts[0].Host.GID, f.Counts[0].GID = 70000, idmap.UnmappedInside
	if fixes := fixOf(f); len(fixes) > 0 {
		t.Errorf("a group that no range has: %+v", fixes)
	}
	// Another part of the container's own range is no earlier one.
	f = stale()
	f.SubUID[0].Grant = idmap.Grant{First: 100000, Count: 300000}
	want(t, f, StaleSubID)
}

func TestDoubleShift(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	count(f, idmap.UnmappedKernel, 100005)
	want(t, f, DoubleShift)
	m := &f.Snapshot.MountTables[1].Mounts[2]
	m.Idmapped, m.MapKnown, m.UIDMap, m.GIDMap = true, true, idmap.MountMapOf(shifted()), idmap.MountMapOf(shifted())
	want(t, f, DoubleShift, "warning docker:web /data")
	f.Counts = nil
	count(f, idmap.UnmappedKernel, 70000) // never was an id of the container
	want(t, f, DoubleShift)
	want(t, f, Unmapped, "warning docker:web /data")
}

// Of many who use a volume those are told who write to it with different ids, also when one of them does not run.
func TestSharedByMany(t *testing.T) {
	f := host()
	s := f.Snapshot
	s.MountTables[1].Mounts[2].Options = []string{"ro"} // docker:web only reads
	writable := s.MountTables[1]
	writable.Mounts = slices.Clone(writable.Mounts)
	writable.Mounts[2].Options = nil
	s.MountTables = append(s.MountTables, writable)
	for n, name := range []string{"one", "two", "three"} {
		p, c := s.Processes[0], s.Containers[0]
		p.PID, p.Container, p.Cred = 51+n, 1+n, cred(idmap.Kernel(1000+n/2))
		c.ID, c.Name, c.InitPID, c.MountTable = name, name, p.PID, len(s.MountTables)-1
		s.Processes = slices.Insert(s.Processes, 1+n, p)
		s.Containers = append(s.Containers, c)
		f.Containers = append(f.Containers, 1+n)
	}
	want(t, f, SharedIDs, "info docker:three /data")
	f.Containers = []int{0, 1, 2}
	want(t, f, SharedIDs) // they write as the same user

	stopped := &s.Containers[2]
	stopped.InitPID, stopped.MountTable = 0, -1
	stopped.Mounts = []nsinspect.EngineMount{{Type: "bind", Source: "/srv/data", Destination: "/data"}}
	stopped.UIDMap, stopped.GIDMap = idmap.Identity(), idmap.Identity()
	a := answer(f, 1000, 0o755)
	a.Container, a.Subject.PID, a.Subject.Cred = 2, 0, cred(1000)
	want(t, f, SharedIDs)
	a.Subject.Cred = cred(999)
	want(t, f, SharedIDs, "info docker:two /data")
	stopped.UIDMap, stopped.GIDMap = shifted(), shifted()
	want(t, f, SharedIDs, "warning docker:two /data")
	stopped.Mounts[0].Options = []string{"idmap"}
	want(t, f, SharedIDs)
}

func TestSharedIDs(t *testing.T) {
	f := host()
	s := f.Snapshot
	other := s.Processes[0]
	other.PID, other.Container = 55, 1
	s.Processes = slices.Insert(s.Processes, 1, other)
	second := s.Containers[0]
	second.ID, second.Name, second.InitPID = "def", "db", 55
	s.Containers = append(s.Containers, second)
	f.Containers = []int{0, 1}
	want(t, f, SharedIDs) // both are root
	s.Processes[0].Cred, s.Processes[1].Cred = cred(999), cred(1000)
	want(t, f, SharedIDs, "info docker:db /data")
	s.Containers[1].IDMaps = 1
	want(t, f, SharedIDs, "warning docker:db /data")
	s.MountTables[1].Mounts[2].Options = []string{"ro"}
	want(t, f, SharedIDs, "info docker:db /data")
	s.MountTables[1].Mounts[2].Options = nil

	// An idmapped mount shows the one what the other has without a map, if it is the container's own map that it undoes.
	shift := s.IDMaps[1].UID
	own := s.MountTables[1]
	own.Mounts = slices.Clone(own.Mounts)
	s.MountTables = append(s.MountTables, own)
	s.Containers[1].MountTable = len(s.MountTables) - 1
	m := &own.Mounts[2]
	m.Idmapped = true
	want(t, f, SharedIDs) // the map of the mount is not known
	m.MapKnown = true
	for _, e := range shift {
		m.UIDMap = append(m.UIDMap, idmap.MountExtent{OnDisk: idmap.Disk(e.Inside), SeenAs: e.Outside, Count: e.Count})
	}
	m.GIDMap = m.UIDMap
	want(t, f, SharedIDs) // the second one's 1000 has no id on disk
	s.Processes[1].Cred = cred(shift[0].Outside + 1000)
	want(t, f, SharedIDs, "info docker:db /data")
	s.Processes[1].Cred = cred(shift[0].Outside + 999)
	want(t, f, SharedIDs)
	m.UIDMap = idmap.MountMap{{OnDisk: 0, SeenAs: shift[0].Outside + 1000, Count: 10}}
	want(t, f, SharedIDs, "warning docker:db /data")
}

func TestHides(t *testing.T) {
	f := host()
	f.Hidden = []Hidden{{Container: 0, Path: "/data", Layer: "/layer/data"}}
	want(t, f, Hides)
	f.Hidden[0].Names = []string{"a", "b"}
	want(t, f, Hides, "info docker:web /data")
	f.Containers = nil // a snapshot has it of all
	want(t, f, Hides)
}

func TestPlan(t *testing.T) {
	f := host()
	s := f.Snapshot
	s.Containers[0].User = "mysql"
	same, root := s.Processes[0], s.Processes[0]
	same.PID, root.PID, root.Cred = 51, 52, cred(33)
	s.Processes = slices.Insert(s.Processes, 1, same, root)
	p := NewPlan(s, []int{0})
	var got []int
	for _, ask := range p.Subjects {
		got = append(got, ask.PID)
	}
	if !slices.Equal(got, []int{50, 50, 52}) || p.Subjects[1].User != "mysql" || !p.Subjects[1].Primary || p.Subjects[2].Primary {
		t.Errorf("subjects %+v", p.Subjects)
	}
	if paths := p.PathsOf(0); !slices.Equal(paths, []string{"/data"}) || p.Paths[0].Count {
		t.Errorf("paths %+v", p.Paths)
	}
	inOwnUserNS(f)
	if p = NewPlan(s, []int{0}); !p.Paths[0].Count {
		t.Error("what a map leaves out is not counted")
	}
}

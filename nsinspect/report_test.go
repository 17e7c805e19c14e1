package nsinspect

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// webHost has a container with ids mapped from 100000, whose app is uid 1000 inside.
func webHost() *Snapshot {
	s := host(
		onHost(5000, 1, "shim"),
		in(5336, 5000, "sleep", 4026533423, 4026533427, 4026533424, 5336, 5),
	)
	s.Observer.UID, s.Observer.Kernel = 0, "6.18.44"
	s.IDMaps = append(s.IDMaps, IDMaps{UserNS: 4026533423, UID: idmap.Map{{Outside: 100000, Count: 65536}}, GID: idmap.Map{{Outside: 100000, Count: 65536}}})
	s.Names = []NameTable{
		{Users: map[idmap.Inside]string{0: "root", 1000: "khope"}, Groups: map[idmap.Inside]string{0: "root"}},
		{Users: map[idmap.Inside]string{1000: "app"}, Groups: map[idmap.Inside]string{1000: "app"}},
	}
	s.Observer.Names = 0
	p := s.Process(5336)
	p.Args = []string{"sleep", "7001"}
	p.IDMaps, p.Names = 1, 1
	p.Cred.UID.Effective, p.Cred.GID.Effective = 101000, 101000
	Group(s, []Claim{{Engine: "docker", ID: "3f4a", Name: "web", InitPID: 5336, StartTime: 5336}})
	return s
}

// The keys and values that others rely on.
func TestProcessListJSON(t *testing.T) {
	want := `{
 "schema": "nsview/v1",
 "kind": "ProcessList",
 "observer": {
  "pid": 900,
  "uid": 0,
  "user_ns": 4026531837,
  "pid_ns": 4026531836,
  "mnt_ns": 4026531832,
  "kernel": "6.18.44"
 },
 "time": null,
 "gaps": [],
 "processes": [
  {
   "pid": 5336,
   "ppid": 5000,
   "pids": [
    5336,
    5
   ],
   "comm": "sleep",
   "args": [
    "sleep",
    "7001"
   ],
   "state": "S",
   "started": null,
   "host": {
    "uid": 101000,
    "gid": 101000,
    "user": "",
    "group": ""
   },
   "inside": {
    "uid": 1000,
    "gid": 1000,
    "user": "app",
    "group": "app"
   },
   "namespaces": {
    "user": 4026533423,
    "pid": 4026533427,
    "pid_for_children": 4026533427,
    "mnt": 4026533424,
    "net": null,
    "uts": null,
    "ipc": null,
    "cgroup": null,
    "time": null,
    "time_for_children": null
   },
   "container": {
    "engine": "docker",
    "id": "3f4a",
    "name": "web"
   },
   "viewer": "docker:web",
   "role": null
  }
 ]
}`
	if diff := cmp.Diff(want, asJSON(t, webHost().ProcessList(ProcessQuery{}))); diff != "" {
		t.Error(diff)
	}
}

func TestProcessListUnmapped(t *testing.T) {
	s := webHost()
	p := s.Process(5336)
	p.Cred.UID.Effective = 7                    // a user of the host, without a number inside
	p.Cred.GID.Effective = idmap.UnmappedKernel // no number on this side
	row := s.ProcessRow(p)
	if row.Inside.UID.Mapped() || row.Inside.User != "" || row.Host.GID.Mapped() || row.Inside.GID.Mapped() {
		t.Errorf("host %+v, inside %+v", row.Host, row.Inside)
	}
	p.Cred.UID.Effective = 165534 // 65534 inside, where that is an ordinary id
	if row := s.ProcessRow(p); row.Inside.UID != 65534 {
		t.Errorf("inside %+v", row.Inside)
	}
}

func TestProcessListSelects(t *testing.T) {
	s := webHost()
	container := &s.Containers[0]
	for _, tt := range []struct {
		name  string
		query ProcessQuery
		want  []int
	}{
		{"containers", ProcessQuery{}, []int{5336}},
		{"all", ProcessQuery{All: true}, []int{1, 900, 5000, 5336}},
		{"ancestors", ProcessQuery{Ancestors: true}, []int{1, 5000, 5336}},
		{"a PID", ProcessQuery{Targets: []Target{{Process: s.Process(5000)}}}, []int{5000}},
		{"a container", ProcessQuery{Targets: []Target{{Process: s.Process(5336), Container: container}}}, []int{5336}},
		{"the host", ProcessQuery{Targets: []Target{{Host: true}}}, []int{1, 900, 5000}},
		{"a namespace", ProcessQuery{Targets: []Target{{Namespace: hostPID, Type: PID}}}, []int{1, 900, 5000}},
		{"nothing found", ProcessQuery{Targets: []Target{}}, nil},
	} {
		var got []int
		for _, row := range s.ProcessList(tt.query).Processes {
			got = append(got, row.PID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestNamespaceListJSON(t *testing.T) {
	s := webHost()
	fd := 5
	s.Namespaces = []Namespace{
		{Type: PID, Inode: 4026533427, Parent: hostPID, OwnerUserNS: 4026533423, OwnerUID: idmap.UnmappedKernel, Processes: 1, Leader: 5336},
		{Type: User, Inode: 4026533500, Parent: 4026533423, OwnerUserNS: 4026533423, OwnerUID: 1000, Pins: []Pin{
			{Kind: PinBindMount, Path: "/run/x/user", MntNS: hostMnt}, {Kind: PinFD, PID: 77, FD: &fd}, {Kind: PinChild, Inode: 4026533501},
		}},
	}
	Group(s, []Claim{{Engine: "docker", ID: "3f4a", Name: "web", InitPID: 5336, StartTime: 5336}})
	want := `[
 {
  "type": "user",
  "inode": 4026533500,
  "parent": 4026533423,
  "owner_user_ns": 4026533423,
  "owner_uid": 1000,
  "creator": "khope",
  "processes": 0,
  "leader": null,
  "command": "",
  "pins": [
   {
    "kind": "bind_mount",
    "path": "/run/x/user",
    "mnt_ns": 4026531832
   },
   {
    "kind": "fd",
    "pid": 77,
    "fd": 5
   },
   {
    "kind": "child",
    "inode": 4026533501
   }
  ],
  "container": null,
  "viewer": ""
 },
 {
  "type": "pid",
  "inode": 4026533427,
  "parent": 4026531836,
  "owner_user_ns": 4026533423,
  "owner_uid": null,
  "creator": "",
  "processes": 1,
  "leader": 5336,
  "command": "sleep",
  "pins": [],
  "container": {
   "engine": "docker",
   "id": "3f4a",
   "name": "web"
  },
  "viewer": "docker:web"
 }
]`
	if diff := cmp.Diff(want, asJSON(t, s.NamespaceList(NamespaceQuery{}).Namespaces)); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		name  string
		query NamespaceQuery
		want  int
	}{
		{"a type", NamespaceQuery{Types: []Type{PID}}, 1},
		{"another", NamespaceQuery{Types: []Type{Net}}, 0},
		{"a process", NamespaceQuery{Targets: []Target{{Process: s.Process(5336)}}}, 1},
		{"a container", NamespaceQuery{Targets: []Target{{Process: s.Process(5336), Container: &s.Containers[0]}}}, 1},
		{"a namespace", NamespaceQuery{Targets: []Target{{Namespace: 4026533500, Type: User}}}, 1},
		{"the host", NamespaceQuery{Targets: []Target{{Host: true}}}, 0},
	} {
		if got := len(s.NamespaceList(tt.query).Namespaces); got != tt.want {
			t.Errorf("%s: %d namespaces, want %d", tt.name, got, tt.want)
		}
	}
}

func TestDiff(t *testing.T) {
	full := func(user, mnt Inode) NamespaceSet {
		return NamespaceSet{User: user, PID: 2, Mnt: mnt, Net: 4, UTS: 5, IPC: 6, Cgroup: 7, Time: 8}
	}
	two := func() (*Snapshot, *Process, *Process) {
		s := host(onHost(10, 1, "a"), onHost(20, 1, "b"))
		a, b := s.Process(10), s.Process(20)
		for _, p := range []*Process{a, b} {
			p.Namespaces, p.IDMaps, p.Root, p.MountTable = full(1, 3), 0, "/", 0
		}
		root := Mount{ID: 1, Dev: "254:0", Root: "/", Point: "/", FSType: "ext4", Options: []string{"rw"}}
		copied := root
		copied.ID, copied.Propagation = 99, []string{"master:1"}
		s.MountTables = []MountTable{{Mounts: []Mount{root}}, {Mounts: []Mount{copied}}}
		return s, a, b
	}
	tests := []struct {
		name   string
		change func(s *Snapshot, a, b *Process)
		want   Sharing
		mounts []string
	}{
		{"the same", func(*Snapshot, *Process, *Process) {}, Shared, nil},
		{"a namespace", func(_ *Snapshot, _, b *Process) { b.Namespaces.Net = 44 }, Separate, nil},
		{"a namespace that is unreadable", func(_ *Snapshot, _, b *Process) { b.Namespaces.Net = 0 }, Unknown, nil},
		{"a difference beside an unknown", func(_ *Snapshot, _, b *Process) { b.Namespaces.Net, b.Namespaces.UTS = 0, 55 }, Separate, nil},
		{"unreadable PID namespaces of another depth", func(_ *Snapshot, _, b *Process) { b.Namespaces.PID, b.PIDs = 0, []int{20, 1} }, Separate, nil},
		{"unreadable user namespaces with other maps", func(s *Snapshot, _, b *Process) {
			s.IDMaps = append(s.IDMaps, IDMaps{})
			b.Namespaces.User, b.IDMaps = 0, 1
		}, Separate, nil},
		{"the user", func(_ *Snapshot, _, b *Process) { b.Cred.UID.Effective = 5 }, Separate, nil},
		{"the map", func(s *Snapshot, _, b *Process) { s.IDMaps = append(s.IDMaps, IDMaps{}); b.IDMaps = 1 }, Separate, nil},
		{"the map is unknown", func(_ *Snapshot, _, b *Process) { b.IDMaps = -1 }, Unknown, nil},
		{"the root", func(_ *Snapshot, _, b *Process) { b.Root = "/srv" }, Separate, nil},
		{"a copy of the mounts", func(_ *Snapshot, _, b *Process) { b.MountTable = 1 }, Shared, nil},
		{"unknown mounts", func(_ *Snapshot, _, b *Process) { b.MountTable = -1 }, Unknown, nil},
		{"a mount more", func(s *Snapshot, _, b *Process) {
			b.MountTable = 1
			s.MountTables[1].Mounts = append(s.MountTables[1].Mounts, Mount{Point: "/data", Dev: "254:0", Root: "/srv/data"})
		}, Separate, []string{"/data"}},
		{"a mount option", func(s *Snapshot, _, b *Process) {
			b.MountTable = 1
			s.MountTables[1].Mounts[0].Options = []string{"ro"}
		}, Separate, []string{"/"}},
		{"a mount that is covered does not count", func(s *Snapshot, _, b *Process) {
			b.MountTable = 1
			s.MountTables[1].Mounts = append([]Mount{{Point: "/", Dev: "0:1", Root: "/"}}, s.MountTables[1].Mounts...)
		}, Shared, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, a, b := two()
			tt.change(s, a, b)
			d := s.Diff(Target{Process: a}, Target{Process: b}, "10", "20")
			if d.Verdict != tt.want {
				t.Errorf("verdict %s, want %s", d.Verdict, tt.want)
			}
			var mounts []string
			for i := range d.Mounts {
				mounts = append(mounts, d.Mounts[i].Point)
			}
			if diff := cmp.Diff(tt.mounts, mounts); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDiffOfANamespaceWithoutProcesses(t *testing.T) {
	s := webHost()
	d := s.Diff(Target{Namespace: 77, Type: Net}, Target{Process: s.Process(5336)}, "77", "5336")
	if d.A.PID != nil || d.Verdict != Separate && d.Verdict != Unknown {
		t.Errorf("%+v", d)
	}
}

func TestVolumes(t *testing.T) {
	s := webHost()
	s.MountTables = []MountTable{
		{Mounts: []Mount{
			{Point: "/", Dev: "254:0", Root: "/"},
			{Point: "/srv", Dev: "254:1", Root: "/"},
			{Point: "/srv/only", Dev: "254:1", Root: "/data"},
			{Point: "/proc", Dev: "0:21", Root: "/"},
		}},
		{Mounts: []Mount{
			{Point: "/", Dev: "0:60", Root: "/"},
			{Point: "/proc", Dev: "0:61", Root: "/"},
			{Point: "/etc/hosts", Dev: "254:0", Root: "/var/lib/docker/hosts"},
			{Point: "/data", Dev: "254:1", Root: "/data/mariadb", Options: []string{"ro"}, Idmapped: true},
			{Point: "/srv", Dev: "254:1", Root: "/"}, // as on the host
		}},
	}
	s.Observer.MountTable = 0
	s.Containers[0].MountTable = 1
	want := []Volume{
		{Point: "/etc/hosts", Source: "/var/lib/docker/hosts", Dev: "254:0", Root: "/var/lib/docker/hosts"},
		{Point: "/data", Source: "/srv/only/mariadb", Dev: "254:1", Root: "/data/mariadb", ReadOnly: true, Idmapped: true},
	}
	if diff := cmp.Diff(want, s.Volumes(&s.Containers[0])); diff != "" {
		t.Error(diff)
	}
}

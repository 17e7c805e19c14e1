package nsinspect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

// mapHost is a host seen from the initial user namespace (1): 2 and 3 are containers, 4 is made inside 3 and its map was
// not written yet, 5 has no process.
func mapHost() *Snapshot {
	s := &Snapshot{
		Schema: Schema, Kind: "Snapshot",
		IDMaps: []IDMaps{
			{UserNS: 1, UID: idmap.Identity(), GID: idmap.Identity(), Setgroups: "allow"},
			{UserNS: 2, UID: idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}, GID: idmap.Map{{Inside: 0, Outside: 200000, Count: 1000}}, Setgroups: "allow"},
			{UserNS: 3, UID: idmap.Map{{Inside: 1000, Outside: 100000, Count: 10}, {Inside: 0, Outside: 0, Count: 1}}, GID: idmap.Map{{Inside: 0, Outside: 0, Count: 1}}, Setgroups: "deny"},
			{UserNS: 4, Setgroups: "deny"},
		},
		Processes: []Process{
			{PID: 10, PIDs: []int{10}, IDMaps: 0, Namespaces: NamespaceSet{User: 1}, Container: -1, MountTable: -1, Names: -1},
			{PID: 20, PIDs: []int{20}, IDMaps: 1, Namespaces: NamespaceSet{User: 2, Net: 9}, Container: -1, MountTable: -1, Names: -1},
			{PID: 30, PIDs: []int{30}, IDMaps: 2, Namespaces: NamespaceSet{User: 3}, Container: -1, MountTable: -1, Names: -1},
			{PID: 40, PIDs: []int{40}, IDMaps: 3, Namespaces: NamespaceSet{User: 4}, Container: -1, MountTable: -1, Names: -1},
		},
		Namespaces: []Namespace{
			{Type: User, Inode: 1, OwnerUID: 0, IDMaps: 0},
			{Type: User, Inode: 2, Parent: 1, OwnerUserNS: 1, OwnerUID: 1000, IDMaps: 1},
			{Type: User, Inode: 3, Parent: 1, OwnerUserNS: 1, OwnerUID: 0, IDMaps: 2},
			{Type: User, Inode: 4, Parent: 3, OwnerUserNS: 3, OwnerUID: 0, IDMaps: 3},
			{Type: User, Inode: 5, Parent: 1, OwnerUserNS: 1, OwnerUID: 0, IDMaps: -1},
			{Type: Net, Inode: 9, OwnerUserNS: 3, OwnerUID: idmap.UnmappedKernel, IDMaps: -1},
		},
	}
	s.Observer = Observer{PID: 10, UserNS: 1, IDMaps: 0, MountTable: -1, Names: -1, Namespaces: NamespaceSet{User: 1}}
	return s
}

func (s *Snapshot) process(pid int) Target { return Target{Process: s.Process(pid)} }

func TestMapReport(t *testing.T) {
	s := mapHost()
	r := s.MapReport(s.process(20), "web")
	r.Translate([]uint32{5, 100005, 200005, 65536})
	var got struct {
		Target       string
		UIDMap       json.RawMessage `json:"uid_map"`
		OutsideOf    string          `json:"outside_of"`
		Setgroups    string
		Translations []map[string]any
		Problems     []any
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Target != "web" || string(got.UIDMap) != `[{"inside":0,"outside":100000,"count":65536}]` || got.OutsideOf != "observer" || got.Setgroups != "allow" || got.Problems == nil {
		t.Errorf("%s", text)
	}
	id := func(n float64) any { return n }
	want := []map[string]any{
		{"inside": id(5), "outside": id(100005), "outside_gid": id(200005), "reverse": map[string]any{"outside": id(5), "inside": nil, "inside_gid": nil}},
		{"inside": id(100005), "outside": nil, "outside_gid": nil, "reverse": map[string]any{"outside": id(100005), "inside": id(5), "inside_gid": nil}},
		{"inside": id(200005), "outside": nil, "outside_gid": nil, "reverse": map[string]any{"outside": id(200005), "inside": nil, "inside_gid": id(5)}},
		{"inside": id(65536), "outside": nil, "outside_gid": nil, "reverse": map[string]any{"outside": id(65536), "inside": nil, "inside_gid": nil}},
	}
	if diff := cmp.Diff(want, got.Translations); diff != "" {
		t.Errorf("translations (-want +got)\n%s", diff)
	}
}

func TestMapReportOfEveryTarget(t *testing.T) {
	s := mapHost()
	configured := idmap.Map{{Inside: 0, Outside: 300000, Count: 65536}}
	s.Containers = []Container{
		{InitPID: 99, IDMaps: 1, Namespaces: NamespaceSet{User: 2}},
		{Engine: "docker", Name: "gone", IDMaps: -1, EngineFacts: EngineFacts{UIDMap: configured, GIDMap: configured}},
		{Engine: "docker", Name: "unknown", IDMaps: -1},
	}
	tests := []struct {
		name   string
		target Target
		want   Inode
		known  bool
	}{
		{"host", Target{Host: true}, 1, true},
		{"a process", s.process(30), 3, true},
		{"a user namespace", Target{Namespace: 3, Type: User}, 3, true},
		{"the observer's user namespace", Target{Namespace: 1, Type: User}, 1, true},
		{"a network namespace with a process", Target{Namespace: 9, Type: Net, Process: s.Process(20)}, 2, true},
		{"a network namespace without: its owner", Target{Namespace: 9, Type: Net}, 3, true},
		{"a container whose init is not in the snapshot", Target{Container: &s.Containers[0]}, 2, true},
		{"a container that is not running", Target{Container: &s.Containers[1]}, 0, true},
		{"one whose configured maps are not known", Target{Container: &s.Containers[2]}, 0, false},
		{"a user namespace without processes", Target{Namespace: 5, Type: User}, 5, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := s.MapReport(test.target, test.name)
			if r.UserNS != test.want || r.Unknown() == test.known {
				t.Errorf("user namespace %v, unknown %v", r.UserNS, r.Unknown())
			}
			if c := test.target.Container; (c != nil && !c.Running()) != (len(r.Assumptions) == 1) {
				t.Errorf("assumptions %v", r.Assumptions)
			}
			if !test.known {
				r.Translate([]uint32{1})
				text, _ := json.Marshal(r)
				if len(r.Gaps) == 0 || !strings.Contains(string(text), `"uid_map":null`) || len(r.Translations) > 0 {
					t.Errorf("%s", text)
				}
			}
		})
	}
}

func TestMapReportOfTheObserversOwnNamespace(t *testing.T) {
	s := mapHost()
	s.IDMaps[0] = IDMaps{
		UserNS: 1, UID: idmap.Map{{Inside: 0, Outside: 0, Count: 1}}, GID: idmap.Map{{Inside: 0, Outside: 0, Count: 1}},
		ParentUID: idmap.Map{{Inside: 0, Outside: 1000, Count: 1}}, ParentGID: idmap.Map{{Inside: 0, Outside: 1001, Count: 1}}, Setgroups: "deny",
	}
	r := s.MapReport(Target{Host: true}, "host")
	if r.OutsideOf != OutsideParent || r.UIDMap.ToOutside(0) != 1000 || r.GIDMap.ToOutside(0) != 1001 {
		t.Errorf("%+v", r)
	}
	// The way between two targets goes over the observer's side, not its parent's.
	r = s.MapReportBetween(Target{Host: true}, s.process(30), "host", "c")
	if r.UIDMap.ToOutside(0) != 0 || r.OutsideOf != OutsideTo {
		t.Errorf("%v", r.UIDMap)
	}
}

func TestMapReportBetween(t *testing.T) {
	s := mapHost()
	s.IDMaps[2].UID = append(s.IDMaps[2].UID, idmap.Extent{Inside: 5000, Outside: idmap.UnmappedKernel, Count: 7})
	s.Gaps = []Gap{{Subject: "pid 20", PID: 20, Fact: "ns/net"}, {Subject: "pid 11", PID: 11, Fact: "ns/net"}}
	r := s.MapReportBetween(s.process(20), s.process(30), "web", "db")
	r.Translate([]uint32{5, 1005})
	want := idmap.Map{{Inside: 0, Outside: 1000, Count: 10}, {Inside: 10, Outside: idmap.UnmappedKernel, Count: 65526}}
	if diff := cmp.Diff(want, *r.UIDMap); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if x := r.Translations[0]; x.Outside != 1005 || x.OutsideGID.Mapped() || x.Reverse.Inside.Mapped() {
		t.Errorf("%+v", x)
	}
	if x := r.Translations[1]; x.Outside.Mapped() || x.Reverse.Inside != 5 {
		t.Errorf("%+v", x)
	}
	var gaps []string
	for _, g := range r.Gaps {
		gaps = append(gaps, g.Subject+": "+g.Fact)
	}
	if diff := cmp.Diff([]string{"pid 20: ns/net", "db: outside ids in uid_map"}, gaps); diff != "" {
		t.Errorf("gaps (-want +got)\n%s", diff)
	}
	if r := s.MapReportBetween(s.process(20), Target{Namespace: 5, Type: User}, "web", "gone"); !r.Unknown() || len(r.Gaps) == 0 {
		t.Errorf("%+v", r)
	}
}

func TestCheckTakesTheWayThatWorks(t *testing.T) {
	user := idmap.Writer{Kind: idmap.UID, EUID: 1000, EGID: 1000, Owner: 1000, Parent: idmap.Identity(), CapSysAdmin: true, Setgroups: "allow"}
	helper := &idmap.Newidmap{Installed: true, SetID: true, LoginGroup: 1000, Grants: []idmap.Grant{{First: 100000, Count: 65536}}}
	own, granted, foreign := idmap.Map{{Inside: 0, Outside: 1000, Count: 1}}, idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}, idmap.Map{{Inside: 0, Outside: 5, Count: 2}}
	group := user
	group.Kind = idmap.GID
	tests := []struct {
		name   string
		m      idmap.Map
		w      idmap.Writer
		helper *idmap.Newidmap
		by     string
		want   []idmap.Rule
	}{
		{"own id", own, user, helper, "direct", nil},
		{"granted", granted, user, helper, "newuidmap", nil},
		{"not granted", foreign, user, helper, "newuidmap", []idmap.Rule{idmap.RuleNotGranted}},
		{"no newuidmap", granted, user, &idmap.Newidmap{}, "direct", []idmap.Rule{idmap.RuleSeveralIDs, idmap.RuleNewidmapMissing}},
		{"newgidmap denies setgroups itself", own, group, helper, "newgidmap", nil},
		{"own group, no newgidmap", own, group, nil, "direct", []idmap.Rule{idmap.RuleSetgroups}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mapHost().MapCheckReport()
			r.Check(test.m, test.w, test.helper)
			var got []idmap.Rule
			for _, p := range r.Problems {
				got = append(got, p.Rule)
			}
			c := r.Checks[0]
			if diff := cmp.Diff(test.want, got); diff != "" || c.By != test.by || c.Accepted != (test.want == nil) || r.Refused() == c.Accepted {
				t.Errorf("%+v\n%s", c, diff)
			}
		})
	}
}

func TestWriterFor(t *testing.T) {
	w := idmap.Writer{Kind: idmap.UID, EUID: 1000, EGID: 1000, Owner: 1000, Parent: idmap.Identity()}
	tests := []struct {
		name  string
		pid   int
		euid  idmap.Kernel
		want  func(w *idmap.Writer)
		known bool
	}{
		{"its own child", 20, 1000, func(w *idmap.Writer) { w.AlreadyWritten, w.CapSysAdmin = true, true }, true},
		{"another's", 30, 1000, func(w *idmap.Writer) { w.AlreadyWritten, w.Owner, w.Setgroups = true, 0, "deny" }, true},
		{"a grandchild", 40, 0, func(w *idmap.Writer) {
			w.Elsewhere, w.Owner, w.Setgroups = true, 0, "deny"
			w.Parent = mapHost().IDMaps[2].UID
		}, true},
		{"itself", 10, 0, func(w *idmap.Writer) { w.AlreadyWritten, w.Owner, w.Setgroups = true, 0, "allow" }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := mapHost()
			in := w
			in.EUID = test.euid
			want := in
			want.Setgroups = "allow"
			test.want(&want)
			got, known := s.WriterFor(s.process(test.pid), in)
			if diff := cmp.Diff(want, got); diff != "" || known != test.known {
				t.Errorf("known %v (-want +got)\n%s", known, diff)
			}
		})
	}
	s := mapHost()
	if _, known := s.WriterFor(Target{Namespace: 5, Type: User}, w); known {
		t.Error("a namespace without known maps is judged")
	}
}

package nsinspect

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

// stored is a small snapshot that has some of everything.
func stored(t testing.TB) *Snapshot {
	t.Helper()
	s := nestedHost()
	s.Gaps = []Gap{{Subject: "pid 1", PID: 1, Fact: "ns/user", Error: "permission denied"}}
	s.Names = []NameTable{{MntNS: hostMnt, Root: "/", Users: map[idmap.Inside]string{0: "root"}, Groups: map[idmap.Inside]string{0: "root"}}}
	s.MountTables = []MountTable{{MntNS: hostMnt, Root: "/", PID: 1, Mounts: []Mount{{ID: 1, Dev: "254:0", Root: "/", Point: "/", FSType: "ext4"}}}}
	s.Observer.Names, s.Observer.MountTable = 0, 0
	s.Processes[0].Cred.UID.Effective = idmap.UnmappedKernel
	s.Files = []*FileFacts{{Target: "host", Path: "/etc", Type: "directory", Sightings: []Sighting{{Table: 0, Mount: 1, Path: "/etc", Confirmed: true, Stat: &RawIDs{}}}}}
	Group(s, nil)
	return s
}

func TestDecode(t *testing.T) {
	s := stored(t)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	broken := func(change func(*Snapshot)) string {
		s := stored(t)
		change(s)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := broken(func(*Snapshot) {})
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "it is empty"},
		{"cut", good[:len(good)/2], "it ends in the middle"},
		{"not JSON", "PID USER", "not JSON from byte"},
		{"another kind", `{"schema":"nsview/v1","kind":"ProcessList"}`, `kind "ProcessList"`},
		{"another schema", `{"schema":"nsview/v9","kind":"Snapshot"}`, `schema "nsview/v9"`},
		{"unknown key", `{"schema":"nsview/v1","kind":"Snapshot","extra":1}`, `unknown field "extra"`},
		{"two values", good + "{}", "more than one JSON value"},
		{"wrong type", `{"schema":"nsview/v1","kind":"Snapshot","processes":7}`, "cannot unmarshal"},
		{"order", broken(func(s *Snapshot) { s.Processes[0].PID = 5000 }), "not in the order of their PIDs"},
		{"a PID twice", broken(func(s *Snapshot) { s.Processes[1].PID = 1 }), "not in the order of their PIDs"},
		{"no pids", broken(func(s *Snapshot) { s.Processes[0].PIDs = nil }), "process 1: pids: none"},
		{"id maps", broken(func(s *Snapshot) { s.Processes[0].IDMaps = 4 }), "process 1: id_maps: 4 is out of range"},
		{"mount table", broken(func(s *Snapshot) { s.Processes[0].MountTable = 1 }), "process 1: mount_table: 1 is out of range"},
		{"names", broken(func(s *Snapshot) { s.Processes[0].Names = -2 }), "process 1: names: -2 is out of range"},
		{"container", broken(func(s *Snapshot) { s.Processes[0].Container = 99 }), "process 1: container: 99 is out of range"},
		{"container's names", broken(func(s *Snapshot) { s.Containers[0].Names = 7 }), "container 0: names: 7 is out of range"},
		{"observer", broken(func(s *Snapshot) { s.Observer.IDMaps = 7 }), "observer: id_maps: 7 is out of range"},
		{"namespace", broken(func(s *Snapshot) { s.Namespaces[0].IDMaps = 7 }), "id_maps: 7 is out of range"},
		{"file", broken(func(s *Snapshot) { s.Files[0].Sightings[0].Table = 3 }), "file 0: table: 3 is out of range"},
		{"layer", broken(func(s *Snapshot) { s.Files[0].Sightings[0].Layer = &MountRef{Table: 3} }), "file 0: layer: 3 is out of range"},
		{"no file", broken(func(s *Snapshot) { s.Files[0] = nil }), "file 0: "},
		{"namespace type", broken(func(s *Snapshot) { s.Namespaces[0].Type = "x" }), `type: "x" is none`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Decode(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want an error with %q", s != nil, err, tt.want)
			}
		})
	}
}

// repeat reads text again and again, without an end.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// What a snapshot can cost is bounded, before it is decoded into far larger structures.
func TestDecodeIsBounded(t *testing.T) {
	for name, text := range map[string]string{"objects": "{},", "bytes": strings.Repeat(" ", 1<<16)} {
		t.Run(name, func(t *testing.T) {
			endless := io.MultiReader(strings.NewReader(`{"schema":"nsview/v1","kind":"Snapshot","processes":[`), &repeat{text: text})
			_, err := Decode(endless)
			if err == nil || !strings.Contains(err.Error(), "than") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whatever decodes, no question asked of it may panic.
func FuzzDecode(f *testing.F) {
	text, err := json.Marshal(stored(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(`{"schema":"nsview/v1","kind":"Snapshot","processes":[{"pid":1,"ppid":1,"pids":[1]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Decode(strings.NewReader(text))
		if err != nil {
			return
		}
		askEverything(s)
	})
}

func askEverything(s *Snapshot) {
	targets := []Target{{Host: true}}
	for _, viewer := range s.Viewers() {
		if target, err := Resolve(s, viewer); err == nil {
			targets = append(targets, target)
		}
	}
	for i := range s.Processes {
		targets = append(targets, Target{Process: &s.Processes[i]})
		for j := range s.Namespaces {
			s.PIDIn(&s.Processes[i], s.Namespaces[j].Inode)
		}
	}
	s.ProcessList(ProcessQuery{Targets: targets, Ancestors: true})
	s.NamespaceList(NamespaceQuery{Targets: targets})
	s.ContainerList(targets, true)
	atlas := NewAtlas(s)
	for _, f := range s.Files {
		s.Owners(atlas, f, OwnerQuery{})
		s.Owners(atlas, f, OwnerQuery{Target: &targets[len(targets)-1]})
	}
	OwnerTree(s.Namespaces)
	ParentTree(s.Namespaces)
	for i := range min(len(targets), 5) {
		s.Diff(targets[i], targets[len(targets)-1], "a", "b")
	}
	Group(s, nil)
	s.Redact()
}

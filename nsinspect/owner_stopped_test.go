package nsinspect

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

// A container that is not running sees what its engine would mount, through the maps that it is configured with.
func TestOwnersOfStoppedContainers(t *testing.T) {
	configured := idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}
	same := idmap.Identity()
	mounts := func(m ...EngineMount) []EngineMount { return m }
	s := host()
	s.Observer.MountTable = 0
	s.MountTables = []MountTable{{MntNS: hostMnt, Root: "/", Mounts: []Mount{{ID: 1, Dev: "8:1", Root: "/", Point: "/", FSType: "ext4"}}}}
	s.Containers = []Container{
		{Engine: "docker", ID: "1", Name: "same", IDMaps: -1, MountTable: -1, Names: -1, EngineFacts: EngineFacts{
			State: "exited", UIDMap: same, GIDMap: same, Mounts: mounts(EngineMount{Type: "volume", Name: "db", Source: "/srv/db", Destination: "/var/lib/mysql"}),
		}},
		{Engine: "docker", ID: "2", Name: "mapped", IDMaps: -1, MountTable: -1, Names: -1, EngineFacts: EngineFacts{
			UIDMap: configured, GIDMap: configured, Mounts: mounts(EngineMount{Source: "/srv", Destination: "/data", ReadOnly: true}),
		}},
		{Engine: "docker", ID: "3", Name: "hidden", IDMaps: -1, MountTable: -1, Names: -1, EngineFacts: EngineFacts{
			UIDMap: same, GIDMap: same,
			Mounts: mounts(EngineMount{Source: "/srv", Destination: "/data"}, EngineMount{Source: "/other", Destination: "/data/db"}),
		}},
		{Engine: "docker", ID: "4", Name: "unknown", IDMaps: -1, MountTable: -1, Names: -1, EngineFacts: EngineFacts{
			Mounts: mounts(EngineMount{Source: "/srv/db/file", Destination: "/file"}),
		}},
		{Engine: "docker", ID: "5", Name: "elsewhere", IDMaps: -1, MountTable: -1, Names: -1, EngineFacts: EngineFacts{
			Mounts: mounts(EngineMount{Source: "/srv/dbx", Destination: "/d"}, EngineMount{Type: "tmpfs", Destination: "/tmp"}),
		}},
	}
	f := &FileFacts{Target: "host", Path: "/srv/db/file", Resolved: "/srv/db/file", Type: "regular", Sightings: []Sighting{
		{Table: 0, Mount: 1, Path: "/srv/db/file", Confirmed: true, Stat: &RawIDs{UID: 100999, GID: 999}},
	}}
	views := func(q OwnerQuery) (list []string, out FileOwners) {
		out, _ = s.Owners(NewAtlas(s), f, q)
		for _, v := range out.Views {
			list = append(list, fmt.Sprintf("%s %s %s:%s %v %q %v", v.Viewer, v.Path, v.UID, v.GID, v.UnknownIDs, v.Mount.Volume, v.Mount.ReadOnly))
		}
		return list, out
	}
	got, out := views(OwnerQuery{})
	want := []string{
		`host /srv/db/file 100999:999 [] "" false`,
		`docker:same /var/lib/mysql/file 100999:999 [] "db" false`,
		`docker:mapped /data/db/file 999:unmapped [] "" true`,
		`docker:unknown /file unmapped:unmapped [uid gid] "" false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(out.Assumptions) != 3 {
		t.Errorf("assumptions %q", out.Assumptions)
	}
	target, err := Resolve(s, "mapped")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := views(OwnerQuery{Target: &target}); len(got) != 2 || got[1] != want[2] {
		t.Errorf("for one of them: %q", got)
	}
}

func TestHostPath(t *testing.T) {
	c := Container{EngineFacts: EngineFacts{Mounts: []EngineMount{
		{Source: "/srv", Destination: "/data"}, {Source: "/other", Destination: "/data/db"}, {Type: "tmpfs", Destination: "/data/tmp"},
	}}}
	for path, want := range map[string]string{
		"/data": "/srv", "/data/x": "/srv/x", "/data/db/x": "/other/x", "/data/dbx": "/srv/dbx", "/data/tmp/x": "", "/etc/passwd": "", "data": "",
	} {
		if got, ok := c.HostPath(path); got != want || ok != (want != "") {
			t.Errorf("%s is %q, %v", path, got, ok)
		}
	}
}

package doctor

import (
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

func TestSubIDOverlap(t *testing.T) {
	f := host()
	grant := func(owner string, first, count uint32) idmap.SubID {
		return idmap.SubID{Owner: owner, Grant: idmap.Grant{First: idmap.Kernel(first), Count: count}}
	}
	f.SubUID = idmap.SubIDs{grant("alice", 100000, 65536), grant("khope", 165536, 65536), grant("1001", 100000, 65536), grant("alice", 100000, 10)}
	f.SubUID = append(f.SubUID, grant("root", 100000, 65536))
	want(t, f, SubIDOverlap) // one begins where the other ends; 1001 is alice; root may use them all
	f.SubUID = append(f.SubUID, grant("bob", 231071, 65536))
	found := want(t, f, SubIDOverlap, "warning host /etc/subuid")
	if !strings.Contains(found[0].Evidence, "khope:165536:65536 and bob:231071:65536 both have the ids 231071 to 231071") {
		t.Errorf("evidence %q", found[0].Evidence)
	}
	if cmd := found[0].Fixes[0].Commands[0]; cmd != "usermod --del-subuids 231071-296606 --add-subuids 296607-362142 bob" {
		t.Errorf("fix %q", cmd)
	}
	f.SubUID = idmap.SubIDs{grant("alice", 100000, 1), grant("$(x)", 100000, 1)}
	if found := want(t, f, SubIDOverlap, "warning host /etc/subuid"); len(found[0].Fixes) > 0 {
		t.Errorf("a command for a user that is none: %v", found[0].Fixes)
	}
}

func TestNewidmapRights(t *testing.T) {
	f := host()
	f.Newidmap = []Program{{Name: "newuidmap", Path: "/usr/bin/newuidmap", SetID: true}, {Name: "newgidmap", Path: "/usr/bin/newgidmap", FileCaps: true}}
	want(t, f, Newidmap)
	f.Newidmap[1].FileCaps = false
	found := want(t, f, Newidmap, "warning host /usr/bin/newgidmap")
	if cmd := found[0].Fixes[0].Commands[0]; cmd != "setcap cap_setgid=ep /usr/bin/newgidmap" {
		t.Errorf("fix %q", cmd)
	}
}

func TestHostRoot(t *testing.T) {
	f := host()
	want(t, f, HostRoot, "info docker:web ")
	c := &f.Snapshot.Containers[0]
	for engine, how := range map[string]string{"docker": "userns-remap", "podman": "--userns=auto", "kubernetes": "hostUsers: false", "runc": ""} {
		c.Engine = engine
		if engine == "kubernetes" {
			c.Engine, c.Pod = "containerd", &nsinspect.Pod{Namespace: "shop"}
		}
		list, _ := Judge(f)
		fixes := check(t, list, HostRoot, []string{"info " + f.Snapshot.Viewers()[0] + " "})[0].Fixes
		if (len(fixes) == 1) != (how != "") || how != "" && (!strings.Contains(fixes[0].How, how) || fixes[0].Proven || !fixes[0].Restart) {
			t.Errorf("%s: %+v", engine, fixes)
		}
		c.Engine, c.Pod = "docker", nil
	}
	f.Snapshot.Processes[0].Cred.CapEff = capSysAdmin
	want(t, f, HostRoot, "warning docker:web ")
	inOwnUserNS(f)
	want(t, f, HostRoot)
	f = host()
	f.Snapshot.Processes[0].Cred = cred(999)
	want(t, f, HostRoot)
}

func TestGroupsUnmapped(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	f.Snapshot.Processes[0].Cred.Groups = []idmap.Kernel{3000, 100004}
	want(t, f, GroupsLost)
	f.Snapshot.IDMaps[1].Setgroups = "deny"
	found := want(t, f, GroupsLost, "info docker:web ")
	if !strings.Contains(found[0].Evidence, "media (3000)") || strings.Contains(found[0].Evidence, "100004") {
		t.Errorf("evidence %q", found[0].Evidence)
	}
}

// A host on which all is well has nothing worse than information.
func TestHealthyHost(t *testing.T) {
	f := host()
	f.Newidmap = []Program{{Name: "newuidmap", Path: "/usr/bin/newuidmap", SetID: true}}
	f.Counts = []Count{{Container: 0, Path: "/data", Files: 10, UID: 0, GID: 0}}
	list, _ := Judge(f)
	for _, finding := range list {
		if finding.Severity != Info {
			t.Errorf("%+v", finding)
		}
	}
}

func TestVolumes(t *testing.T) {
	f := host()
	volumes := Volumes(f.Snapshot, 0)
	if len(volumes) != 1 || volumes[0].Point != "/data" || volumes[0].Source != "/srv/data" {
		t.Errorf("volumes %+v", volumes)
	}
	s := f.Snapshot
	s.MountTables[1].Mounts = append(s.MountTables[1].Mounts, nsinspect.Mount{ID: 9, Dev: "0:60", Root: "/", Point: "/cache", FSType: "tmpfs"})
	if n := len(Volumes(s, 0)); n != 1 {
		t.Errorf("%d volumes with one that nobody asked for", n)
	}
	s.Containers[0].Mounts = []nsinspect.EngineMount{{Type: "tmpfs", Destination: "/cache"}}
	if n := len(Volumes(s, 0)); n != 2 {
		t.Errorf("%d volumes with a tmpfs that was asked for", n)
	}
}

// A volume whose path no system call takes is reached in steps all the same: that one cannot look it up by its path is no
// finding.
func TestVolumeBeyondPathMax(t *testing.T) {
	f := host()
	a := answer(f, 0, 0o755)
	a.Walk.Start, a.Walk.Steps, a.Walk.Fail = nil, nil, "ENAMETOOLONG"
	list, gaps := Judge(f)
	check(t, list, Traverse, nil)
	if len(gaps) != 1 || gaps[0].Subject != "docker:web:/data" || gaps[0].Error != "no system call takes a path that is so long" {
		t.Errorf("gaps %+v", gaps)
	}
}

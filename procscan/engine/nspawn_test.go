package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// The command lines and processes of systemd 252.
func TestNspawnIdentify(t *testing.T) {
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			onHost(10, 1, "systemd-nspawn"), inside(11, 10, 1, "systemd"),
			onHost(20, 1, "systemd-nspawn"), inside(21, 20, 1, "(sd-stubinit)"), inside(22, 21, 2, "sleep"),
			onHost(30, 1, "systemd-nspawn"), inside(31, 30, 1, "sleep"),
			onHost(40, 1, "systemd-nspawn"), onHost(41, 40, "systemd-nspawn"), // not yet in its namespaces
		}},
		Programs: []Program{
			{PID: 10, PPID: 1, Comm: "systemd-nspawn", Args: []string{
				"systemd-nspawn", "--quiet", "--keep-unit", "--boot", "--link-journal=try-guest", "--network-veth", "-U", "--settings=override", "--machine=db",
			}},
			{PID: 20, PPID: 1, Comm: "systemd-nspawn", Cwd: "/srv", Args: []string{
				"systemd-nspawn", "-xqD", "my_root.raw", "--bind", `/srv/a\:b:/data:rbind,idmap`, "--bind-ro=/etc/hosts", "--bind=+/in:/side", "--tmpfs=/tmp:mode=777",
				"--private-users=500000:1000", "-u", "mysql", "-a", "sleep", "-M", "victim", "--bind=/:/host",
			}},
			{PID: 30, PPID: 1, Comm: "systemd-nspawn", Args: []string{"systemd-nspawn", "-i", "/srv/web.raw", "-M", "db", "--private-users=identity"}},
			{PID: 40, PPID: 1, Comm: "systemd-nspawn", Args: []string{"systemd-nspawn", "-D", "/srv/starting"}},
		},
		Files: []File{
			file("/etc/systemd/nspawn/db.nspawn", "[Exec]\nUser=postgres\nPrivateUsers=pick\n; a comment\n[Files]\nBind=/srv/db:/var/lib/db\nBindReadOnly=/srv/ro\nTemporaryFileSystem=/scratch\n[Network]\nBind=/no\n"),
			file("/run/systemd/nspawn/db.nspawn", "[Exec]\nUser=other\n"),
			file("/run/systemd/nspawn/old.nspawn", "[Exec]\nPrivateUsers=700000\n"),
			file("/run/systemd/nspawn/mapped.nspawn", "[Exec]\nPrivateUsers=700000:7\n"),
			file("/var/lib/machines/tree/usr/lib/os-release", "NAME=victim\n"),
			file("/var/lib/machines/.#tree1234/usr/lib/os-release", ""),
		},
	}
	chain := func(pid int) []nsinspect.ChainLink {
		return []nsinspect.ChainLink{link(pid, "systemd-nspawn", "supervisor")}
	}
	running := func(id, name string, init int, facts nsinspect.EngineFacts) nsinspect.Claim {
		facts.State, facts.Evidence = "running", "process"
		return nsinspect.Claim{Engine: "nspawn", ID: id, Name: name, InitPID: init, StartTime: uint64(100 + init), EngineFacts: facts}
	}
	stopped := func(name string, m idmap.Map) nsinspect.Claim {
		return nsinspect.Claim{Engine: "nspawn", ID: name, Name: name, EngineFacts: nsinspect.EngineFacts{
			State: "stopped", Evidence: "state", Image: "/var/lib/machines/" + name, UIDMap: m, GIDMap: m,
		}}
	}
	want := map[string]nsinspect.Claim{
		"nspawn:db": running("db", "db", 11, nsinspect.EngineFacts{
			Image: "/var/lib/machines/db", User: "postgres", Chain: chain(10), Mounts: []nsinspect.EngineMount{
				{Type: "bind", Source: "/srv/db", Destination: "/var/lib/db"},
				{Type: "bind", Source: "/srv/ro", Destination: "/srv/ro", ReadOnly: true},
				{Type: "tmpfs", Source: "tmpfs", Destination: "/scratch"},
			},
		}),
		"nspawn:myroot": running("myroot", "myroot", 21, nsinspect.EngineFacts{
			Image: "/srv/my_root.raw", User: "mysql", Chain: chain(20),
			UIDMap: idmap.Map{{Outside: 500000, Count: 1000}}, GIDMap: idmap.Map{{Outside: 500000, Count: 1000}},
			Mounts: []nsinspect.EngineMount{
				{Type: "bind", Source: "/srv/a:b", Destination: "/data", Options: []string{"rbind", "idmap"}},
				{Type: "bind", Source: "/etc/hosts", Destination: "/etc/hosts", ReadOnly: true},
				{Type: "tmpfs", Source: "tmpfs", Destination: "/tmp", Options: []string{"mode=777"}},
			},
		}),
		"nspawn:db@30": running("db@30", "db", 31, nsinspect.EngineFacts{
			Image: "/srv/web.raw", User: "postgres", Chain: chain(30), UIDMap: idmap.Map{{Count: 65536}}, GIDMap: idmap.Map{{Count: 65536}},
			Mounts: []nsinspect.EngineMount{
				{Type: "bind", Source: "/srv/db", Destination: "/var/lib/db"},
				{Type: "bind", Source: "/srv/ro", Destination: "/srv/ro", ReadOnly: true},
				{Type: "tmpfs", Source: "tmpfs", Destination: "/scratch"},
			},
		}),
		"nspawn:old":    stopped("old", idmap.Map{{Outside: 700000, Count: 65536}}),
		"nspawn:mapped": stopped("mapped", idmap.Map{{Outside: 700000, Count: 7}}),
		"nspawn:tree":   stopped("tree", nil),
	}
	if diff := cmp.Diff(want, identify(nspawn(), e)); diff != "" {
		t.Error(diff)
	}
}

func TestNspawnMap(t *testing.T) {
	for _, value := range []string{"", "yes", "no", "pick", "0", "1", "1:x", "7:0", "managed", "-5", "4294967296"} {
		if m := nspawnMap(value); m != nil {
			t.Errorf("%q is the map %v", value, m)
		}
	}
	if diff := cmp.Diff(idmap.Map{{Outside: 0, Count: 5}}, nspawnMap("0:5")); diff != "" {
		t.Error(diff)
	}
}

package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
)

// What flatpak 1.14 left in an instance's directory, commits left out.
func TestFlatpakIdentify(t *testing.T) {
	const info = `[Application]
name=org.example.App
runtime=runtime/org.example.Platform/x86_64/1

[Instance]
instance-id=2890279338
instance-path=/home/user/.var/app/org.example.App
branch=stable
arch=x86_64
flatpak-version=1.14.10

[Context]
filesystems=/srv/data:ro;home;/srv/other;

[Environment]
PASSWORD=secret
`
	by := func(path, data string) File {
		return File{Path: "/run/user/1000/.flatpak/" + path, Data: []byte(data), By: 1000}
	}
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			onHost(10, 1, "bwrap"), inside(11, 10, 1, "bwrap"), inside(12, 11, 2, "app"),
			onHost(20, 1, "bwrap"), inside(21, 20, 1, "bwrap"), onHost(30, 1, "reused"),
		}},
		Programs: []Program{{PID: 10, PPID: 1, UID: 1000, Comm: "bwrap"}},
		Files: []File{
			by("1/info", info), by("1/pid", "10"), by("1/bwrapinfo.json", `{"child-pid": 11, "mnt-namespace": 4711, "pid-namespace": 4712}`),
			// Its bwrap is unreadable, but the mount namespace is the recorded one.
			by("2/info", info), by("2/pid", "20"), by("2/bwrapinfo.json", `{"child-pid": 21, "mnt-namespace": 2020}`),
			by("3/info", info), by("3/pid", "29"), by("3/bwrapinfo.json", `{"child-pid": 30, "mnt-namespace": 4711}`),
			by("4/info", info), by("4/bwrapinfo.json", `{"child-pid": 99}`),
			// A root's instance whose process is a user's word is none.
			{Path: "/run/user/0/.flatpak/5/info", Data: []byte(info)},
			{Path: "/run/user/0/.flatpak/5/bwrapinfo.json", By: 1000, Data: []byte(`{"child-pid": 11, "mnt-namespace": 2010}`)},
		},
	}
	facts := nsinspect.EngineFacts{
		State: "running", Evidence: "state", Image: "app/org.example.App/x86_64/stable", Mounts: []nsinspect.EngineMount{
			{Type: "bind", Source: "/srv/data", Destination: "/srv/data", ReadOnly: true},
			{Type: "bind", Source: "/srv/other", Destination: "/srv/other"},
		},
	}
	want := map[string]nsinspect.Claim{
		"flatpak:1000/2": {Engine: "flatpak", ID: "1000/2", Name: "org.example.App", InitPID: 21, StartTime: 121, EngineFacts: facts},
	}
	facts.Chain = []nsinspect.ChainLink{link(10, "bwrap", "monitor")}
	want["flatpak:1000/1"] = nsinspect.Claim{Engine: "flatpak", ID: "1000/1", Name: "org.example.App", InitPID: 11, StartTime: 111, EngineFacts: facts}
	if diff := cmp.Diff(want, identify(flatpak(), e)); diff != "" {
		t.Error(diff)
	}
}

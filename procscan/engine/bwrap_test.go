package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
)

// The processes of bubblewrap 0.8: with a PID namespace PID 1 is a bwrap too, in the sandbox.
func TestBwrapIdentify(t *testing.T) {
	alone := onHost(21, 20, "sleep")
	alone.Namespaces.Mnt = 77
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			onHost(10, 1, "bwrap"), inside(11, 10, 1, "bwrap"), inside(12, 11, 2, "sleep"),
			onHost(20, 1, "bwrap"), alone,
			onHost(30, 1, "bwrap"), onHost(31, 30, "bwrap"),
		}},
		Programs: []Program{
			{PID: 10, PPID: 1, UID: 1000, Comm: "bwrap", Cwd: "/srv", Args: []string{
				"bwrap", "--unshare-all", "--setenv", "PASSWORD", "secret", "--ro-bind", "root", "/", "--bind-try", "/srv/a", "data", "--tmpfs", "/tmp",
				"--bind", "/srv/b", "/b", "--remount-ro", "/b", "--uid", "7", "--gid", "8", "--", "bwrap", "--bind", "/etc", "/etc",
			}},
			{PID: 20, PPID: 1, Comm: "bwrap", Args: []string{"bwrap", "--args", "9", "--bind", "relative", "/x", "sleep"}},
			{PID: 30, PPID: 1, Comm: "bwrap", Args: []string{"bwrap"}},
		},
	}
	want := map[string]nsinspect.Claim{
		"bwrap:11": {
			Engine: "bwrap", ID: "11", Name: "11", InitPID: 11, StartTime: 111, EngineFacts: nsinspect.EngineFacts{
				State: "running", Evidence: "process", User: "7:8", Chain: []nsinspect.ChainLink{link(10, "bwrap", "monitor")},
				Mounts: []nsinspect.EngineMount{
					{Type: "bind", Source: "/srv/root", Destination: "/", ReadOnly: true},
					{Type: "bind", Source: "/srv/a", Destination: "/data"},
					{Type: "tmpfs", Source: "tmpfs", Destination: "/tmp"},
					{Type: "bind", Source: "/srv/b", Destination: "/b", ReadOnly: true},
				},
			},
		},
		"bwrap:21": {
			Engine: "bwrap", ID: "21", Name: "21", InitPID: 21, StartTime: 121, EngineFacts: nsinspect.EngineFacts{
				State: "running", Evidence: "process", Chain: []nsinspect.ChainLink{link(20, "bwrap", "monitor")},
			},
		},
	}
	if diff := cmp.Diff(want, identify(bwrap(), e)); diff != "" {
		t.Error(diff)
	}
	for _, f := range bwrapIdentify(e) {
		if wantBy := uint32(e.program(f.Chain[0].PID).UID); f.By != wantBy {
			t.Errorf("%s is the word of %d, want %d", f.ID, f.By, wantBy)
		}
	}
}

func TestParseOptionsEnds(t *testing.T) {
	takes := map[string]int{"two": 2, "D": 1}
	for _, args := range [][]string{nil, {"x"}, {"x", "--two", "a"}, {"x", "-D"}, {"x", "-aD"}, {"x", "-"}, {"x", "--"}, {"x", "--two"}, {""}} {
		parseOptions(args, takes) // an end in the middle of an option is one
	}
	options, operands := parseOptions([]string{"x", "-aDfoo", "--two", "1", "2", "--b=c", "-", "--d"}, takes)
	want := []option{{"a", nil}, {"D", []string{"foo"}}, {"two", []string{"1", "2"}}, {"b", []string{"c"}}}
	if diff := cmp.Diff(want, options, cmp.AllowUnexported(option{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"-", "--d"}, operands); diff != "" {
		t.Error(diff)
	}
}

package runner

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/procscan/proctest"
)

func TestExitStatus(t *testing.T) {
	dir := publicDir(t)
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := file("plain", "text\n", 0o644)
	badInterpreter := file("bad", "#!/no/such/interpreter\n", 0o755)
	for _, c := range []struct {
		name    string
		command []string
		init    bool
		want    int
	}{
		{"success", sh("exit 0"), false, 0},
		{"its own", sh("exit 7"), false, 7},
		{"125 of its own", sh("exit 125"), false, 125},
		{"killed", sh("kill -KILL $$"), false, 128 + 9},
		{"terminated", sh("kill -TERM $$"), false, 128 + 15},
		{"not found", []string{"nsview-no-such-command"}, false, 127},
		{"path not found", []string{"/no/such/command"}, false, 127},
		{"not executable", []string{plain}, false, 126},
		{"a directory", []string{"/"}, false, 126},
		{"no interpreter", []string{badInterpreter}, false, 126},
		{"init: its own", sh("exit 7"), true, 7},
		{"init: killed", sh("kill -KILL $$"), true, 128 + 9},
		{"init: not found", []string{"nsview-no-such-command"}, true, 127},
		{"init: not executable", []string{plain}, true, 126},
		{"init: orphans", sh("sleep 0 & exit 3"), true, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ordinary(t, Spec{Command: c.command, MapRoot: true, Init: c.init})
			if got.status != c.want {
				t.Errorf("exit status %d, want %d: %s", got.status, c.want, got.stderr)
			}
			if got := run(t, Spec{Command: c.command, MapRoot: c.init, Init: c.init}); got.status != c.want {
				t.Errorf("as this user: exit status %d, want %d: %s", got.status, c.want, got.stderr)
			}
		})
	}
}

// links are the namespaces of a process, read by the process itself.
func links(t *testing.T, out string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for line := range strings.SplitSeq(out, "\n") {
		if kind, _, ok := strings.Cut(line, ":["); ok {
			m[kind] = line
		}
	}
	return m
}

const readLinks = "cd /proc/self/ns && for n in user pid mnt net uts ipc cgroup time; do readlink $n; done"

func ownLinks(t *testing.T) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for _, n := range Namespaces() {
		link, err := os.Readlink("/proc/self/ns/" + string(n))
		if err != nil {
			t.Fatal(err)
		}
		m[string(n)] = link
	}
	return m
}

func TestNewNamespaces(t *testing.T) {
	own := ownLinks(t)
	for _, n := range Namespaces() {
		t.Run(string(n), func(t *testing.T) {
			spec := Spec{New: []Namespace{n}, Command: sh(readLinks)}
			isNew := []string{string(n)}
			if n != User {
				spec.MapRoot = true
				isNew = append(isNew, "user")
			}
			got := links(t, ordinary(t, spec).output(t))
			if len(got) != len(own) {
				t.Fatalf("the command read %v", got)
			}
			for kind, link := range got {
				want := false
				for _, name := range isNew {
					want = want || name == kind
				}
				if (link != own[kind]) != want {
					t.Errorf("%s: outside %s, inside %s, want new %v", kind, own[kind], link, want)
				}
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		got := links(t, ordinary(t, Spec{New: Namespaces(), MapRoot: true, Command: sh(readLinks)}).output(t))
		for kind, link := range got {
			if link == own[kind] {
				t.Errorf("%s is shared", kind)
			}
		}
	})
	t.Run("without a user namespace", func(t *testing.T) {
		proctest.NeedRoot(t)
		for _, n := range []Namespace{PID, Mount, Net, UTS, IPC, Cgroup, Time} {
			got := links(t, run(t, Spec{New: []Namespace{n}, Command: sh(readLinks)}).output(t))
			for kind, link := range got {
				if (link != own[kind]) != (kind == string(n)) {
					t.Errorf("--%s: %s is %s outside, %s inside", n, kind, own[kind], link)
				}
			}
		}
	})
}

func TestCommandIsPID1(t *testing.T) {
	if got := ordinary(t, Spec{MapRoot: true, New: []Namespace{PID}, Command: sh("echo $$")}).output(t); got != "1" {
		t.Errorf("the command is process %s", got)
	}
	if got := ordinary(t, Spec{MapRoot: true, Init: true, Command: sh("echo $PPID")}).output(t); got != "1" {
		t.Errorf("with an init, the command's parent is process %s", got)
	}
}

func TestMaps(t *testing.T) {
	uid, gid := ordinaryIDs()
	one := func(in, out int) string { return fmt.Sprintf("%d %d 1", in, out) }
	const read = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g"
	fields := func(out string) []string {
		var lines []string
		for line := range strings.SplitSeq(out, "\n") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	for _, c := range []struct {
		name string
		spec Spec
		want []string
	}{
		{"root", Spec{MapRoot: true}, []string{one(0, uid), one(0, gid), "deny", "0", "0"}},
		{"current", Spec{MapCurrent: true}, []string{one(uid, uid), one(gid, gid), "deny", fmt.Sprint(uid), fmt.Sprint(gid)}},
		{
			"explicit",
			Spec{
				MapUID: []idmap.Extent{{Inside: 7, Outside: idmap.Kernel(uid), Count: 1}},
				MapGID: []idmap.Extent{{Inside: 8, Outside: idmap.Kernel(gid), Count: 1}},
			},
			[]string{one(7, uid), one(8, gid), "deny", "7", "8"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Command = sh(read)
			if diff := cmp.Diff(c.want, fields(ordinary(t, c.spec).output(t))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("ranges", func(t *testing.T) {
		proctest.NeedRoot(t)
		spec := Spec{
			MapUID:  []idmap.Extent{{Inside: 0, Outside: 100000, Count: 1000}, {Inside: 5000, Outside: 300000, Count: 10}},
			MapGID:  []idmap.Extent{{Inside: 0, Outside: 200000, Count: 1000}},
			UID:     inside(5003),
			GID:     inside(7),
			Groups:  []idmap.Inside{8, 9},
			Command: sh(read + "; id -G"),
		}
		want := []string{"0 100000 1000", "5000 300000 10", "0 200000 1000", "allow", "5003", "7", "7 8 9"}
		if diff := cmp.Diff(want, fields(run(t, spec).output(t))); diff != "" {
			t.Error(diff)
		}
		spec = Spec{MapUID: spec.MapUID[:1], Setgroups: "deny", Command: sh(read)}
		want = []string{"0 100000 1000", "0 100000 1000", "deny", "0", "0"}
		if diff := cmp.Diff(want, fields(run(t, spec).output(t))); diff != "" {
			t.Errorf("gid map from the uid map: %s", diff)
		}
	})
	t.Run("nothing mapped", func(t *testing.T) {
		got := ordinary(t, Spec{New: []Namespace{User}, Command: sh("cat /proc/self/uid_map; id -u")}).output(t)
		if overflow, _ := os.ReadFile("/proc/sys/kernel/overflowuid"); got != strings.TrimSpace(string(overflow)) {
			t.Errorf("got %q", got)
		}
	})
}

func TestCredentialsWithoutUserNamespace(t *testing.T) {
	proctest.NeedRoot(t)
	got := run(t, Spec{UID: inside(1234), GID: inside(2345), Command: sh("id -u; id -g; id -G; grep CapEff /proc/self/status")}).output(t)
	if want := "1234\n2345\n2345\nCapEff:\t0000000000000000"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// capLines are the capability sets of the command.
func capLines(t *testing.T, r result) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for line := range strings.SplitSeq(r.output(t), "\n") {
		if key, value, ok := strings.Cut(line, ":\t"); ok {
			m[key] = value
		}
	}
	return m
}

func TestCapabilities(t *testing.T) {
	show := []string{"grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status"}
	const none = "0000000000000000"
	hex := func(set uint64) string { return fmt.Sprintf("%016x", set) }
	full := hex(1<<(lastCap()+1) - 1)
	raw := hex(1 << 13)
	for _, c := range []struct {
		name string
		spec Spec
		want map[string]string
	}{
		{"root inside has all", Spec{MapRoot: true}, map[string]string{"CapPrm": full, "CapEff": full, "CapBnd": full, "CapInh": none, "CapAmb": none, "NoNewPrivs": "0"}},
		{"others have none", Spec{MapCurrent: true}, map[string]string{"CapPrm": none, "CapEff": none, "CapBnd": full, "CapInh": none, "CapAmb": none, "NoNewPrivs": "0"}},
		{"root keeps one", Spec{MapRoot: true, CapKeep: []string{"NET_RAW"}}, map[string]string{"CapPrm": raw, "CapEff": raw, "CapBnd": raw, "CapInh": none, "CapAmb": none, "NoNewPrivs": "0"}},
		{"others keep one", Spec{MapCurrent: true, CapKeep: []string{"cap_net_raw"}, CapDrop: []string{"all"}}, map[string]string{"CapPrm": raw, "CapEff": raw, "CapBnd": raw, "CapInh": raw, "CapAmb": raw, "NoNewPrivs": "0"}},
		{"root drops all", Spec{MapRoot: true, CapDrop: []string{"all"}, NoNewPrivs: true}, map[string]string{"CapPrm": none, "CapEff": none, "CapBnd": none, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spec.Command = show
			if diff := cmp.Diff(c.want, capLines(t, ordinary(t, c.spec))); diff != "" {
				t.Error(diff)
			}
			c.spec.Init = true // what the init has is what the command has
			c.spec.MountProc = true
			c.spec.Command = []string{"grep", "-hE", "^(Cap|NoNewPrivs)", "/proc/1/status"}
			if diff := cmp.Diff(c.want, capLines(t, ordinary(t, c.spec))); diff != "" {
				t.Errorf("of the init: %s", diff)
			}
		})
	}
}

func TestEnvironmentAndPlace(t *testing.T) {
	if got := ordinary(t, Spec{MapRoot: true, Env: []string{"NSVIEW_TEST=a=b"}, Command: sh("echo $NSVIEW_TEST")}).output(t); got != "a=b" {
		t.Errorf("the variable is %q", got)
	}
	if got := ordinary(t, Spec{MapRoot: true, Workdir: "/usr", Command: []string{"pwd"}}).output(t); got != "/usr" {
		t.Errorf("the working directory is %q", got)
	}
	if got := ordinary(t, Spec{MapRoot: true, Workdir: "/no/such", Command: []string{"pwd"}}); got.status != StatusFailure || !strings.Contains(got.stderr, "--workdir /no/such: chdir: no such file") {
		t.Errorf("got %d %s", got.status, got.stderr)
	}
	host, _ := os.Hostname()
	if got := ordinary(t, Spec{MapRoot: true, Hostname: "inside-host", Command: []string{"uname", "-n"}}).output(t); got != "inside-host" {
		t.Errorf("the host name is %q", got)
	}
	if now, _ := os.Hostname(); now != host {
		t.Errorf("the host's own name is %q now", now)
	}
}

func TestTimeOffset(t *testing.T) {
	offsets, err := ParseTimeOffset("boottime=1000000")
	if err != nil {
		t.Fatal(err)
	}
	got := ordinary(t, Spec{MapRoot: true, TimeOffsets: offsets, Command: []string{"cat", "/proc/uptime"}}).output(t)
	var inside, outside float64
	fmt.Sscan(got, &inside)
	b, _ := os.ReadFile("/proc/uptime")
	fmt.Sscan(string(b), &outside)
	if diff := inside - outside; diff < 999000 || diff > 1001000 {
		t.Errorf("the clock is off by %v seconds", diff)
	}
	r := ordinary(t, Spec{MapRoot: true, TimeOffsets: []TimeOffset{{"monotonic", -1 << 62}}, Command: []string{"true"}})
	if r.status != StatusFailure || !strings.Contains(r.stderr, "--time-offset") {
		t.Errorf("got %d %s", r.status, r.stderr)
	}
}

// TestOpenFilesPassThrough holds that the command has the file descriptors of its caller, at their numbers, and none of
// nsview's.
func TestOpenFilesPassThrough(t *testing.T) {
	const script = "echo up >&3; ls /proc/self/fd >&2"
	descriptors := func(cmd *exec.Cmd) string {
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd.ExtraFiles = []*os.File{w}
		got := finish(t, cmd)
		w.Close()
		if said, err := io.ReadAll(r); err != nil || string(said) != "up\n" {
			t.Errorf("descriptor 3 brought %q, %v", said, err)
		}
		return got.stderr
	}
	want := descriptors(exec.Command("/bin/sh", "-c", script))
	for _, init := range []bool{false, true} {
		cmd := command(t, Spec{MapRoot: true, Init: init, Command: sh(script)})
		asOrdinary(cmd)
		if diff := cmp.Diff(want, descriptors(cmd)); diff != "" {
			t.Errorf("init %v: %s", init, diff)
		}
	}
}

func TestNested(t *testing.T) {
	spec := Spec{MapRoot: true, New: []Namespace{PID}, MountProc: true, Command: sh("echo $$; readlink /proc/self/ns/user; cat /proc/self/uid_map; cat /proc/self/status | grep NSpid")}
	for range 2 {
		arg := specJSON(t, spec)
		spec = Spec{MapRoot: true, New: []Namespace{PID}, MountProc: true, Command: []string{program(), runArg, arg}}
	}
	got := ordinary(t, spec).output(t)
	lines := strings.Split(got, "\n")
	if lines[0] != "1" || lines[1] == ownLinks(t)["user"] || strings.Join(strings.Fields(lines[2]), " ") != "0 0 1" {
		t.Errorf("three deep: %q", lines)
	}
}

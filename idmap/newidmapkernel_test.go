package idmap

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// The user of these tests. Its passwd and subuid lines are put over the host's files in a mount namespace of their own.
const (
	grantedUser = "nsview-idmap-test"
	grantedUID  = 54321
	grantedGID  = 54322
)

const grantedLines = `# of another user, and a line that nobody can read
root:1:1000
nonsense
nsview-idmap-test:300000:1000

nsview-idmap-test:301000:500
54321:400000:10
`

// TestValidateAgreesWithNewuidmap hands maps to newuidmap and newgidmap.
func TestValidateAgreesWithNewuidmap(t *testing.T) {
	host := newidmapHost(t)
	f, err := ParseSubIDs(strings.NewReader(grantedLines))
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("the bad line is reported as %v", err)
	}
	grants := f.Of(grantedUID, grantedUser)

	plain := func(*Writer) {}
	tests := []struct {
		name  string
		uid   func(kind Kind) string // the program
		argv  []string               // what starts it
		facts func(w *Writer)
	}{
		{"set-id", installed, nil, plain},
		{"no_new_privs", installed, []string{"--no-new-privs"}, func(w *Writer) { w.Newidmap.NoNewPrivs = true }},
		{"another group", installed, []string{"--regid=54399"}, func(w *Writer) { w.EGID = 54399 }},
		{"no set-id", copyOf(t, host, ""), nil, func(w *Writer) { w.Newidmap.SetID = false }},
		{"file capabilities", copyOf(t, host, "cap_setuid,cap_setgid+ep"), nil, func(w *Writer) {
			w.Newidmap.SetID, w.Newidmap.FileCaps = false, true
		}},
		{"caller with CAP_SETUID", copyOf(t, host, ""), []string{"--inh-caps=+setuid,+setgid", "--ambient-caps=+setuid,+setgid"}, func(w *Writer) {
			w.Newidmap.SetID, w.CapSetID = false, true
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			accepted, refused := 0, 0
			maps := newidmapMaps()
			for range 12 {
				maps = append(maps, grantedMap(rng))
			}
			for i, m := range maps {
				kind := []Kind{UID, GID}[i%2]
				w := Writer{
					Kind: kind, EUID: grantedUID, EGID: grantedGID, Owner: grantedUID, Parent: Identity(), CapSysAdmin: true, Setgroups: "allow",
					Newidmap: &Newidmap{Installed: true, SetID: true, LoginGroup: grantedGID, Grants: grants},
				}
				test.facts(&w)
				problems := Validate(m, w)
				if newidmapTakes(t, host, test.uid(kind), test.argv, int(w.EGID), m) {
					accepted++
					if len(problems) > 0 {
						t.Errorf("%s %v is taken, Validate says %v", kind, m, problems)
					}
				} else if refused++; len(problems) == 0 {
					t.Errorf("%s %v is refused, Validate says nothing", kind, m)
				}
			}
			t.Logf("%d accepted, %d refused", accepted, refused)
		})
	}
}

func TestNewidmapRules(t *testing.T) {
	able := Newidmap{Installed: true, SetID: true, LoginGroup: 1000, Grants: []Grant{{100000, 65536}}}
	tests := []struct {
		name  string
		m     Map
		facts func(n *Newidmap)
		want  []Rule
	}{
		{"all is well", Map{{0, 1000, 1}, {1, 100000, 65536}}, func(*Newidmap) {}, nil},
		{"not granted", Map{{0, 100000, 65537}}, func(*Newidmap) {}, []Rule{RuleNotGranted}},
		{"no_new_privs", Map{{0, 100000, 1}}, func(n *Newidmap) { n.NoNewPrivs = true }, []Rule{RuleNoNewPrivs}},
		{"no set-id", Map{{0, 100000, 1}}, func(n *Newidmap) { n.SetID = false }, []Rule{RuleNewidmapPrivs}},
		{"another group", Map{{0, 100000, 1}}, func(n *Newidmap) { n.LoginGroup = 7 }, []Rule{RuleNewidmapGroup}},
		{"not installed", Map{{0, 100000, 1}}, func(n *Newidmap) { n.Installed = false }, []Rule{RuleNewidmapMissing}},
		{"file capabilities without cap_setfcap", Map{{0, 0, 1}}, func(n *Newidmap) {
			n.SetID, n.FileCaps, n.Grants = false, true, []Grant{{0, 1}}
		}, []Rule{RuleParentRoot}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := able
			test.facts(&n)
			w := ordinary(UID)
			w.Newidmap = &n
			if got := rules(Validate(test.m, w)); !slices.Equal(got, test.want) {
				t.Errorf("rules %v, want %v", got, test.want)
			}
		})
	}
}

func newidmapMaps() []Map {
	return []Map{
		{{0, grantedUID, 1}},
		{{0, grantedGID, 1}},
		{{0, grantedUID, 1}, {1, 300000, 1000}},
		{{0, grantedGID, 1}, {1, 300000, 1000}},
		{{0, 300000, 1500}}, // over two grants
		{{0, 300000, 1500}},
		{{0, 300000, 1501}},
		{{0, 299999, 2}},
		{{0, 400000, 10}}, // by uid
		{{0, 400000, 10}},
		{{0, 1, 10}}, // another user's
		{{0, 0, 1}},
		{{0, 300000, 0}},
		{{0, 300000, 10}, {5, 300100, 10}},
		{{0, 300000, 10}, {10, 300000, 10}},
		nil,
	}
}

func grantedMap(rng *rand.Rand) Map {
	var m Map
	inside, outside := uint32(0), uint32(300000)
	for range 1 + rng.IntN(4) {
		n := uint32(1 + rng.IntN(450))
		m = append(m, Extent{Inside(inside), Kernel(outside), n})
		inside, outside = inside+n+uint32(rng.IntN(3)), outside+n+uint32(rng.IntN(3))
	}
	return m
}

// newidmapHost is an agent whose mount namespace knows the test's user.
func newidmapHost(t *testing.T) *agent {
	t.Helper()
	proctest.NeedRoot(t)
	needUserNS(t)
	proctest.Need(t, "initial-userns", readMap(t, "/proc/self", UID).Equal(Identity()), "the grants are ids of the initial user namespace")
	for _, program := range []string{"newuidmap", "newgidmap", "setpriv", "unshare", "setcap"} {
		_, err := exec.LookPath(program)
		proctest.Need(t, program, err == nil, "not installed")
	}
	host := startAgent(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
	dir := publicDir(t)
	put := func(path, text string) {
		old, err := os.ReadFile(path)
		proctest.Need(t, "newuidmap", err == nil, fmt.Sprint(err))
		if path != "/etc/passwd" {
			old = nil
		}
		file := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(file, append(old, text...), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(file) })
		host.must(t, order{Op: "mount", Source: file, Path: path, Flags: unix.MS_BIND})
	}
	put("/etc/subuid", grantedLines)
	put("/etc/subgid", grantedLines)
	put("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", grantedUser, grantedUID, grantedGID))
	return host
}

func installed(kind Kind) string { return "new" + string(kind) + "map" }

// copyOf copies the programs without their set-id bits, with file capabilities if caps names any.
func copyOf(t *testing.T, host *agent, caps string) func(Kind) string {
	t.Helper()
	dir := publicDir(t)
	for _, kind := range []Kind{UID, GID} {
		from, err := exec.LookPath(installed(kind))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, installed(kind))
		if err := os.WriteFile(to, text, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(to) })
		if caps != "" {
			out, err := exec.Command("setcap", caps, to).CombinedOutput()
			proctest.Need(t, "file-capabilities", err == nil, string(out))
		}
	}
	return func(kind Kind) string { return filepath.Join(dir, installed(kind)) }
}

// newidmapTakes runs newuidmap or newgidmap as the test's user for a user namespace that this user made.
func newidmapTakes(t *testing.T, host *agent, program string, options []string, gid int, m Map) bool {
	t.Helper()
	pid := host.must(t, order{Op: "spawn", UID: grantedUID, GID: gid}).PID
	defer host.must(t, order{Op: "end", PID: pid})
	argv := []string{"setpriv", "--reuid=" + strconv.Itoa(grantedUID), "--clear-groups"}
	if !slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "--regid") }) {
		argv = append(argv, "--regid="+strconv.Itoa(grantedGID))
	}
	argv = append(argv, options...)
	argv = append(argv, program, strconv.Itoa(pid))
	argv = append(argv, strings.Fields(m.Format())...)
	reply := host.do(t, order{Op: "run", Argv: argv})
	if reply.Exit != 0 && reply.Exit != 1 {
		t.Fatalf("%v: exit %d: %s", argv, reply.Exit, reply.Output)
	}
	if reply.Exit == 1 && !strings.HasPrefix(filepath.Base(reply.Output), "new") && !strings.HasPrefix(reply.Output, "usage: new") {
		t.Fatalf("%v: %s", argv, reply.Output)
	}
	return reply.Exit == 0
}

package engine

import (
	"encoding/json"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// fixture is what engines left on a host, without the host: a txtar archive whose files are the host's. Some are about
// the processes instead:
//
//	processes  a process a line: PID PPID START COMM UID PIDS CGROUP, and the command line after | for a program of an
//	           engine that is in no container. Fields have no spaces: %20 is one, and % alone is nothing.
//	maps       lines of uid_map and gid_map: PID uid|gid INSIDE OUTSIDE COUNT
//	userns     PID UID: who owns the user namespace of a process, when it is not root
//	users      UID NAME HOME
//	owners     PATH UID: whose the files below are, when they are not root's; the last that fits counts
//	observer   UID RUNTIMEDIR
//	want       the claims that hold, as JSON, one a line
//
// A database of podman is JSON here: buckets are objects, values are what is below.
type fixture struct {
	e     *Evidence
	files []File // with By as their owner
	owner map[int]uint32
	want  string
}

func TestFixtures(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			f := readFixture(t, name)
			var got strings.Builder
			for _, c := range f.claims() {
				line, err := json.Marshal(c)
				if err != nil {
					t.Fatal(err)
				}
				got.Write(append(line, '\n'))
			}
			if diff := cmp.Diff(strings.Split(f.want, "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("claims (-want +got):\n%s\nall:\n%s", diff, got.String())
			}
		})
	}
}

// claims are those that hold: it does with the archive what Claims does with a host.
func (f *fixture) claims() []nsinspect.Claim {
	f.read()
	return judge(engines(), f.e, func(found *Found) bool { return found.By == 0 || found.By == f.owner[found.InitPID] })
}

// read gives the engines the files that they ask for, as reader.files does.
func (f *fixture) read() {
	done := make(map[Pattern]bool)
	for range maxRounds {
		for _, engine := range engines() {
			if engine.Files == nil {
				continue
			}
			for _, p := range engine.Files(f.e) {
				if done[p] || p.Get != "" {
					continue
				}
				done[p] = true
				for _, file := range f.files {
					if ok, err := path.Match(p.Glob, file.Path); ok && err == nil && (file.By == 0 || file.By == p.Owner) {
						f.e.Files = append(f.e.Files, File{Path: file.Path, By: p.Owner, Data: file.Data})
					}
				}
			}
		}
		f.e.sortFiles()
	}
}

func readFixture(t *testing.T, name string) *fixture {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{e: &Evidence{Snapshot: &nsinspect.Snapshot{Observer: nsinspect.Observer{InitialNS: true}}}, owner: make(map[int]uint32)}
	var owners [][]string
	for _, file := range archive.Files {
		switch file.Name {
		case "processes":
			f.processes(t, string(file.Data))
		case "maps":
			f.maps(t, fields(t, string(file.Data), 5))
		case "userns":
			for _, l := range fields(t, string(file.Data), 2) {
				f.owner[number[int](t, l[0])] = number[uint32](t, l[1])
			}
		case "users":
			for _, l := range fields(t, string(file.Data), 3) {
				f.e.Users = append(f.e.Users, User{UID: number[uint32](t, l[0]), Name: l[1], Home: l[2]})
			}
		case "observer":
			l := fields(t, string(file.Data), 2)[0]
			f.e.Snapshot.Observer.UID, f.e.RuntimeDir = number[idmap.Inside](t, l[0]), l[1]
		case "owners":
			owners = fields(t, string(file.Data), 2)
		case "want":
			f.want = string(file.Data)
		default:
			f.files = append(f.files, File{Path: "/" + file.Name, Data: file.Data})
		}
	}
	for i := range f.files {
		file := &f.files[i]
		if strings.HasSuffix(file.Path, ".db") {
			file.Data = boltOf(t, file.Data)
		}
		for _, l := range owners {
			if file.Path == l[0] || strings.HasPrefix(file.Path, l[0]+"/") {
				file.By = number[uint32](t, l[1])
			}
		}
	}
	return f
}

// processes reads the list of processes, by PID.
func (f *fixture) processes(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		list, args, program := strings.Cut(line, " | ")
		l := fields(t, list, 7)[0]
		p := nsinspect.Process{
			PID: number[int](t, l[0]), PPID: number[int](t, l[1]), StartTime: number[uint64](t, l[2]), Comm: l[3], Cgroup: l[6], IDMaps: -1,
		}
		p.Cred.UID.Real = number[idmap.Kernel](t, l[4])
		for pid := range strings.SplitSeq(l[5], ",") {
			p.PIDs = append(p.PIDs, number[int](t, pid))
		}
		f.e.Snapshot.Processes = append(f.e.Snapshot.Processes, p)
		if program {
			argv := strings.Fields(args)
			f.e.Programs = append(f.e.Programs, Program{PID: p.PID, PPID: p.PPID, Comm: p.Comm, UID: p.Cred.UID.Real, Args: unescape(t, argv)})
		}
	}
}

func (f *fixture) maps(t *testing.T, lines [][]string) {
	t.Helper()
	s := f.e.Snapshot
	for _, l := range lines {
		p := s.Process(number[int](t, l[0]))
		if p.IDMaps < 0 {
			p.IDMaps = len(s.IDMaps)
			s.IDMaps = append(s.IDMaps, nsinspect.IDMaps{})
		}
		m := &s.IDMaps[p.IDMaps].UID
		if l[1] == "gid" {
			m = &s.IDMaps[p.IDMaps].GID
		}
		*m = append(*m, idmap.Extent{Inside: number[idmap.Inside](t, l[2]), Outside: number[idmap.Kernel](t, l[3]), Count: number[uint32](t, l[4])})
	}
}

// fields splits lines into n fields each.
func fields(t *testing.T, text string, n int) [][]string {
	t.Helper()
	var lines [][]string
	for line := range strings.Lines(text) {
		l := strings.Fields(line)
		if len(l) != n {
			t.Fatalf("%q has not %d fields", line, n)
		}
		lines = append(lines, unescape(t, l))
	}
	return lines
}

func unescape(t *testing.T, list []string) []string {
	t.Helper()
	for i := range list {
		if list[i] == "%" {
			list[i] = ""
			continue
		}
		s, err := url.PathUnescape(list[i])
		if err != nil {
			t.Fatal(err)
		}
		list[i] = s
	}
	return list
}

func number[N int | uint32 | uint64 | idmap.Kernel | idmap.Inside](t *testing.T, s string) N {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return N(n)
}

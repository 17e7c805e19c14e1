package engine

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// k8sEvidence is what a reader that may read everything makes of testdata/kubernetes/NAME.txtar: files of a host, and in the file
// "processes" one process a line, PID PPID START COMM UID PIDS CGROUP | ARGS. Only files that list asks for are there.
func k8sEvidence(t *testing.T, name string, list ...Engine) *Evidence {
	t.Helper()
	a, err := txtar.ParseFile("testdata/kubernetes/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	e := &Evidence{Snapshot: &nsinspect.Snapshot{}}
	files := make(map[string][]byte)
	programs := make(map[string]bool)
	for _, engine := range list {
		for _, program := range engine.Programs {
			programs[program] = true
		}
	}
	for _, f := range a.Files {
		if f.Name != "processes" {
			files[f.Name] = f.Data
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			p, args := k8sProcess(t, line)
			e.Snapshot.Processes = append(e.Snapshot.Processes, p)
			if programs[p.Comm] && len(p.PIDs) == 1 {
				e.Programs = append(e.Programs, Program{PID: p.PID, PPID: p.PPID, Comm: p.Comm, UID: p.Cred.UID.Real, Args: args})
			}
		}
	}
	for range maxRounds {
		for _, engine := range list {
			for _, p := range k8sPatterns(engine, e) {
				for name, data := range files {
					if matches(p.Glob, name) && e.fileBy(name, p.Owner) == nil {
						e.Files = append(e.Files, File{Path: name, By: p.Owner, Data: data})
					}
				}
			}
		}
		slices.SortFunc(e.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	}
	return e
}

func k8sPatterns(engine Engine, e *Evidence) []Pattern {
	if engine.Files == nil {
		return nil
	}
	return engine.Files(e)
}

func matches(glob, name string) bool {
	return len((&Evidence{Files: []File{{Path: name}}}).matching(glob)) > 0
}

func k8sProcess(t *testing.T, line string) (p nsinspect.Process, args []string) {
	t.Helper()
	left, right, ok := strings.Cut(line, " | ")
	f := strings.Fields(left)
	if !ok || len(f) != 7 {
		t.Fatalf("process %q", line)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	p = nsinspect.Process{
		PID: number(f[0]), PPID: number(f[1]), StartTime: uint64(number(f[2])), Comm: f[3], Cgroup: f[6], Container: -1,
		Cred: nsinspect.Credentials{UID: nsinspect.IDs{Real: idmap.Kernel(number(f[4]))}},
	}
	for pid := range strings.SplitSeq(f[5], ",") {
		p.PIDs = append(p.PIDs, number(pid))
	}
	return p, strings.Fields(right)
}

// everyone may speak for every process.
func everyone(*Found) bool { return true }

// claimed are claims by ENGINE:ID.
func claimed(claims []nsinspect.Claim) map[string]*nsinspect.Claim {
	m := make(map[string]*nsinspect.Claim)
	for i := range claims {
		m[claims[i].Engine+":"+claims[i].ID] = &claims[i]
	}
	return m
}

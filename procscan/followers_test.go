package procscan

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

// A brief scan of a host leaves out the start time and the cgroup of those that stand behind PID 1 of a container and of
// nobody else: not of who entered, nor of who shares the PID namespace only. Everything else it says, and the containers
// that come of it, are those of a scan that reads all.
func TestBriefFollowers(t *testing.T) {
	proctest.NeedRoot(t)
	outer := park(t, []string{"unshare", "-Urmpf", "--kill-child"}, parkAnother+
		// Its name is as hostile as a name can be, and it has a child of its own.
		`exec 8<&0; (printf ' a\nState:\tZ\\n' >/proc/self/comm; (read x) <&8 & read x) <&8 & exec 8<&-`)
	all := func() *nsinspect.Snapshot { return scanProc(t, UserNames) }
	s := all()
	init := 0
	for i := range s.Processes {
		if s.Processes[i].PPID == outer {
			init = s.Processes[i].PID
		}
	}
	if p := s.Process(init); p == nil || p.PIDs[len(p.PIDs)-1] != 1 {
		t.Fatalf("process %d has no PID 1 below it", outer)
	}
	enter := []string{"nsenter", "-t", strconv.Itoa(init), "-U", "-p", "--preserve-credentials"}
	entered := park(t, slices.Concat(enter, []string{"-m"}), parkAnother)
	sharing := park(t, slices.Concat(enter, []string{"unshare", "-m"}), "")

	const hostile = " a\nState:\tZ\\n"
	named := func(s *nsinspect.Snapshot) bool {
		return slices.ContainsFunc(s.Processes, func(p nsinspect.Process) bool { return p.Comm == hostile })
	}
	if !proctest.Within(10*time.Second, func() bool { s = all(); return named(s) }) {
		t.Fatal("no process took its name")
	}
	// Which follow is up to what the two workers read first; some do.
	var brief *nsinspect.Snapshot
	if !proctest.Within(10*time.Second, func() bool {
		brief = scanProc(t, UserNames|Brief|Followers)
		return slices.ContainsFunc(brief.Processes, func(p nsinspect.Process) bool { return p.StartTime == 0 && p.Comm == hostile })
	}) {
		t.Fatal("no process follows")
	}
	again := all()
	counted := map[bool]int{}
	for i := range s.Processes {
		full := plain(s, &s.Processes[i])
		p, q := brief.Process(full.PID), again.Process(full.PID)
		if q == nil || !cmp.Equal(full, plain(again, q)) {
			continue // it changed meanwhile
		}
		if p == nil {
			t.Errorf("process %d (%s) is not there", full.PID, full.Comm)
			continue
		}
		n := full.Namespaces
		full.Namespaces = nsinspect.NamespaceSet{User: n.User, PID: n.PID, Mnt: n.Mnt}
		follows := p.StartTime == 0 && behind(s, full.PID, init)
		if follows {
			full.StartTime, full.Cgroup = 0, ""
		}
		mine := n.User == s.Process(init).Namespaces.User
		if !mine && p.StartTime == 0 {
			continue // it follows in a container of somebody else
		}
		if mine {
			counted[follows]++
		}
		if diff := cmp.Diff(full, plain(brief, p)); diff != "" {
			t.Errorf("process %d (-all +brief):\n%s", full.PID, diff)
		}
	}
	// PID 1, its two children, a grandchild; unshare, two nsenter, and what those started.
	if counted[true] < 1 || counted[true]+counted[false] < 9 {
		t.Errorf("%d follow and %d do not, of: outer %d, init %d, entered %d, sharing %d", counted[true], counted[false], outer, init, entered, sharing)
	}

	// The containers, with what an engine might say of PID 1 and of who shares its PID namespace.
	var claims []nsinspect.Claim
	for _, pid := range []int{init, childOf(s, sharing)} {
		claims = append(claims, nsinspect.Claim{
			Engine: "docker", ID: strconv.Itoa(pid), Name: strconv.Itoa(pid), InitPID: pid, StartTime: s.Process(pid).StartTime,
		})
	}
	for _, claims := range [][]nsinspect.Claim{nil, claims[:1], claims} {
		nsinspect.Group(s, claims)
		nsinspect.Group(brief, claims)
		for i := range s.Processes {
			p := &s.Processes[i]
			if q := brief.Process(p.PID); q != nil && p.Namespaces.User == s.Process(init).Namespaces.User {
				if diff := cmp.Diff(refOf(s, p), refOf(brief, q)); diff != "" {
					t.Errorf("%d claims: the container of process %d (-all +brief):\n%s", len(claims), p.PID, diff)
				}
			}
		}
	}
}

func scanProc(t *testing.T, facts Fact) *nsinspect.Snapshot {
	t.Helper()
	s, err := Scan(t.Context(), Options{Facts: facts, Source: SourceProc})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// behind reports whether a process descends from init through processes that are all in its namespaces.
func behind(s *nsinspect.Snapshot, pid, init int) bool {
	view, _ := viewOf(s.Process(init))
	for p := s.Process(pid); p != nil; p = s.Process(p.PPID) {
		if at, ok := viewOf(p); !ok || at != view {
			return false
		}
		if p.PID == init {
			return pid != init
		}
	}
	return false
}

func childOf(s *nsinspect.Snapshot, pid int) int {
	for i := range s.Processes {
		if s.Processes[i].PPID == pid {
			return s.Processes[i].PID
		}
	}
	return 0
}

func refOf(s *nsinspect.Snapshot, p *nsinspect.Process) *nsinspect.ContainerRef {
	c := s.ContainerOf(p)
	if c == nil {
		return nil
	}
	ref := c.Ref()
	return &ref
}

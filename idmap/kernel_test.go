package idmap

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// oracle is a process that writes maps to real user namespaces, and what Validate is told of it.
type oracle struct {
	*agent
	facts func(kind Kind) Writer
	pid   int // the namespace in hand, 0 none
	used  Kind
	deny  bool
}

// ask writes m for kind to a user namespace with nothing written yet and says which errno came.
func (o *oracle) ask(t *testing.T, m Map, kind Kind, deny bool) string {
	t.Helper()
	if o.pid != 0 && (o.used != "" || o.deny != deny) {
		o.must(t, order{Op: "end", PID: o.pid})
		o.pid = 0
	}
	if o.pid == 0 {
		o.pid = o.must(t, order{Op: "spawn", UID: -1}).PID
		o.used, o.deny = "", deny
		if deny {
			o.must(t, order{Op: "write", Path: fmt.Sprintf("/proc/%d/setgroups", o.pid), Text: "deny"})
		}
	}
	errno := o.do(t, order{Op: "write", Path: fmt.Sprintf("/proc/%d/%s_map", o.pid, kind), Text: m.Format()}).Errno
	if errno == "" {
		o.used = kind
	}
	return errno
}

func (o *oracle) compare(t *testing.T, m Map, kind Kind, deny bool) (accepted bool) {
	t.Helper()
	w := o.facts(kind)
	w.PageSize = os.Getpagesize()
	w.Setgroups = "allow"
	if deny {
		w.Setgroups = "deny"
	}
	errno := o.ask(t, m, kind, deny)
	problems := Validate(m, w)
	said := ""
	if len(problems) > 0 {
		said = problems[0].Errno
	}
	if said != errno || (len(problems) == 0) != (errno == "") {
		t.Errorf("%s_map %v (setgroups %s): the kernel says %q, Validate says %q: %v", kind, m, w.Setgroups, errno, said, problems)
	}
	return errno == ""
}

// writers are the processes that maps are written by, with what Validate is told of them.
func writers(t *testing.T) map[string]*oracle {
	needUserNS(t)
	self := func(owner, gid int) func(Kind) Writer {
		return func(kind Kind) Writer {
			return Writer{
				Kind: kind, EUID: Kernel(owner), EGID: Kernel(gid), Owner: Kernel(owner),
				Parent: readMap(t, "/proc/self", kind), CapSysAdmin: true,
			}
		}
	}
	if os.Geteuid() != 0 {
		return map[string]*oracle{
			"ordinary user": {agent: startAgent(t, &syscall.SysProcAttr{}), facts: self(os.Geteuid(), os.Getegid())},
		}
	}
	privileged := func(setid, setfcap bool, facts func(Kind) Writer) func(Kind) Writer {
		return func(kind Kind) Writer {
			w := facts(kind)
			w.CapSetID, w.CapSetFCAP = setid, setfcap
			return w
		}
	}
	const uid, gid = 54321, 54322
	ordinary := &syscall.Credential{Uid: uid, Gid: gid}
	nested := Map{{0, 100000, 1000}, {1000, 200000, 1000}, {5000, 101000, 10}, {70000, 300000, 65536}}
	many := manyExtents(20)
	inside := func(m Map) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: sysMap(m), GidMappings: sysMap(m), GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{Uid: 0, Gid: 0},
		}
	}
	in := func(m Map) func(Kind) Writer {
		return func(kind Kind) Writer {
			w := root(kind)
			w.Parent = m
			return w
		}
	}
	initial := readMap(t, "/proc/self", UID)
	proctest.Need(t, "initial-userns", initial.Equal(Identity()), "the parent's map is not the identity")
	return map[string]*oracle{
		"root":          {agent: startAgent(t, &syscall.SysProcAttr{}), facts: in(Identity())},
		"ordinary user": {agent: startAgent(t, &syscall.SysProcAttr{Credential: ordinary}), facts: self(uid, gid)},
		"CAP_SETUID and CAP_SETGID": {
			agent: startAgent(t, &syscall.SysProcAttr{Credential: ordinary, AmbientCaps: []uintptr{unix.CAP_SETUID, unix.CAP_SETGID}}),
			facts: privileged(true, false, self(uid, gid)),
		},
		"CAP_SETFCAP": {
			agent: startAgent(t, &syscall.SysProcAttr{Credential: ordinary, AmbientCaps: []uintptr{unix.CAP_SETFCAP}}),
			facts: privileged(false, true, self(uid, gid)),
		},
		"root of a nested namespace":              {agent: startAgent(t, inside(nested)), facts: in(nested)},
		"root of a namespace with twenty extents": {agent: startAgent(t, inside(many)), facts: in(many)},
	}
}

// manyExtents are adjacent inside and apart outside: with more than five the kernel searches a sorted copy.
func manyExtents(n int) Map {
	var m Map
	for i := range n {
		// Not in the order of their ids.
		at := uint32((i*7)%n) * 100
		m = append(m, Extent{Inside(at), Kernel(500000 + 2*at), 100})
	}
	return m
}

func sysMap(m Map) []syscall.SysProcIDMap {
	var list []syscall.SysProcIDMap
	for _, e := range m {
		list = append(list, syscall.SysProcIDMap{ContainerID: int(e.Inside), HostID: int(e.Outside), Size: int(e.Count)})
	}
	return list
}

func readMap(t testing.TB, proc string, kind Kind) Map {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("%s/%s_map", proc, kind))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := Parse(f)
	if err != nil {
		t.Fatalf("%s: %v", f.Name(), err)
	}
	return m
}

// TestValidateAgreesWithTheKernel writes random maps, valid and not, to real user namespaces: verdict and errno must be
// those of Validate.
func TestValidateAgreesWithTheKernel(t *testing.T) {
	for name, o := range writers(t) {
		t.Run(name, func(t *testing.T) {
			seed := uint64(1)
			rng := rand.New(rand.NewPCG(seed, 2))
			w := o.facts(UID)
			accepted, refused := 0, 0
			count := func(ok bool) {
				if ok {
					accepted++
				} else {
					refused++
				}
			}
			for _, m := range special(w) {
				for _, kind := range []Kind{UID, GID} {
					for _, deny := range []bool{false, true} {
						count(o.compare(t, m, kind, deny))
					}
				}
			}
			for range 150 {
				kind := []Kind{UID, GID}[rng.IntN(2)]
				count(o.compare(t, randomMap(rng, o.facts(kind)), kind, rng.IntN(2) == 0))
			}
			t.Logf("seed %d: %d accepted, %d refused", seed, accepted, refused)
			if accepted == 0 || refused == 0 {
				t.Errorf("the maps prove little: %d accepted, %d refused", accepted, refused)
			}
		})
	}
}

// special are the maps at the edges of the rules.
func special(w Writer) []Map {
	numbered := func(n int, gap, from uint32) Map {
		var m Map
		for i := range uint32(n) {
			m = append(m, Extent{Inside(i * gap), Kernel(from + i*gap), 1})
		}
		return m
	}
	// A text of exactly n bytes: lines of 24 bytes, then one or two that fill up.
	long := func(n int) Map {
		var m Map
		for i := uint32(0); len(m.Format()) < n-48; i++ {
			m = append(m, Extent{Inside(1000000000 + i), Kernel(1000000000 + i), 1})
		}
		for i := uint32(2); len(m.Format()) < n; i++ {
			digits := min(n-len(m.Format())-4, 10)
			inside := i
			for range max(digits-3, 0) {
				inside *= 10
			}
			outside := i
			for len(fmt.Sprint(inside, outside))-1 < digits {
				outside *= 10
			}
			m = append(m, Extent{Inside(inside), Kernel(outside), 1})
		}
		return m
	}
	page := os.Getpagesize()
	maps := []Map{
		nil,
		{{0, 0, 1}},
		{{0, 0, 0}},
		{{0, w.EUID, 1}},
		{{0, w.EGID, 1}},
		{{7, w.EUID, 1}},
		{{1, w.EUID, 2}},
		{{0, w.EUID, 1}, {1, w.EUID + 1, 1}},
		{{0, 0, 1<<32 - 1}},
		{{0, 0, 1<<32 - 2}},
		{{1, 0, 1<<32 - 1}},
		{{0, 1, 1<<32 - 1}},
		{{1, 1, 1<<32 - 2}},
		{{4294967294, w.EUID, 1}},
		{{0, 4294967294, 1}},
		{{4294967295, w.EUID, 1}},
		{{0, 4294967295, 1}},
		{{4294967294, 1, 2}},
		{{0, 1, 10}, {9, 100, 10}},
		{{0, 1, 10}, {10, 10, 10}},
		{{0, 1, 10}, {10, 11, 10}},
		{{10, 11, 10}, {0, 1, 10}},
		{{0, 10, 10}, {100, 5, 100}},
		{{0, 65534, 1}},
		{{0, 100, 1}, {1, 100, 1}},
		{{5, 100, 1}, {5, 101, 1}},
		{{0, 999, 2}},
		{{0, 1999, 1}},
		{{0, 2000, 1}},
		{{0, 0, 2000}},
		{{0, 5000, 10}, {10, 70000, 65536}},
		numbered(339, 1, 0), numbered(340, 1, 0), numbered(341, 1, 0), numbered(400, 1, 0),
		numbered(5, 2, 1), numbered(6, 2, 1),
	}
	for n := page - 3; n <= page+3; n++ {
		maps = append(maps, long(n))
	}
	return maps
}

// randomMap is mostly a map that could be valid, with something wrong about half of the time.
func randomMap(rng *rand.Rand, w Writer) Map {
	edges := []uint32{0, 1, 2, 9, 10, 100, 1000, 65534, 65535, 65536, 100000, 1<<31 - 1, 1 << 31, 1<<32 - 3, 1<<32 - 2, 1<<32 - 1, uint32(w.EUID), uint32(w.EGID)}
	counts := []uint32{0, 1, 1, 1, 2, 10, 100, 1000, 65536, 1 << 31, 1<<32 - 1}
	pick := func(from []uint32) uint32 { return from[rng.IntN(len(from))] }
	if rng.IntN(4) == 0 {
		// Anything.
		var m Map
		for range rng.IntN(4) {
			m = append(m, Extent{Inside(pick(edges)), Kernel(pick(edges)), pick(counts)})
		}
		return m
	}
	if rng.IntN(4) == 0 {
		return Map{{Inside(pick(edges)), []Kernel{w.EUID, w.EGID}[rng.IntN(2)], 1}}
	}
	// Apart from each other inside, in the parent's extents outside.
	var m Map
	inside := uint32(rng.IntN(3))
	for _, p := range w.Parent {
		at, end := p.inside().lo, p.inside().hi
		for range 1 + rng.IntN(4) {
			if at >= end || rng.IntN(4) == 0 {
				break
			}
			n := uint32(1 + rng.Uint64N(min(end-at, 1+uint64(rng.IntN(400)))))
			m = append(m, Extent{Inside(inside), Kernel(at), n})
			inside += n + uint32(rng.IntN(3))
			at += uint64(n) + uint64(rng.IntN(50))
		}
	}
	rng.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
	if len(m) > 0 && rng.IntN(2) == 0 {
		e := &m[rng.IntN(len(m))]
		switch rng.IntN(4) {
		case 0:
			e.Inside += Inside(rng.IntN(400))
		case 1:
			e.Outside += Kernel(rng.IntN(2000))
		case 2:
			e.Count += uint32(rng.IntN(400))
		case 3:
			m = append(m, *e)
		}
	}
	return m
}

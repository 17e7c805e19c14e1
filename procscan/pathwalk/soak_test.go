package pathwalk

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// setting is a number of the environment, for a longer run or the repetition of one.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: not a number", name, text)
	}
	return n
}

// soak is a random tree that agents are let loose on.
type soak struct {
	t      *testing.T
	r      *rand.Rand
	root   string
	dirs   []string
	paths  []string
	agents []*agent
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// build makes the tree anew.
func (s *soak) build() {
	s.clear()
	r := s.r
	s.dirs, s.paths = []string{s.root}, nil
	for i := range 8 {
		d := filepath.Join(pick(r, s.dirs...), "d"+strconv.Itoa(i))
		s.must(os.Mkdir(d, 0o755))
		s.dirs = append(s.dirs, d)
	}
	for i := range 24 {
		p := filepath.Join(pick(r, s.dirs...), "f"+strconv.Itoa(i))
		switch r.IntN(8) {
		case 0:
			target := pick(r, "missing", "..", ".", "f1", s.root, pick(r, s.dirs...), filepath.Join(pick(r, s.dirs...), "f2"), "f"+strconv.Itoa(i), "d1/")
			s.must(os.Symlink(target, p))
		case 1:
			s.must(unix.Mkfifo(p, 0o644))
		case 2:
			s.must(unix.Mknod(p, unix.S_IFSOCK|0o644, 0))
		case 3:
			s.must(unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		case 4:
			s.must(os.WriteFile(p, []byte(pick(r, "#!/bin/true\n", "#!/missing\n", "#!"+pick(r, s.dirs...)+"/f3\n")), 0o755))
		default:
			s.must(os.WriteFile(p, nil, 0o644))
		}
		s.paths = append(s.paths, p)
	}
	for _, p := range append(slices.Clone(s.dirs[1:]), s.paths...) {
		s.must(os.Lchown(p, pick(r, 0, 1000, 1001, 65534, 100000, 100999, 200000), pick(r, 0, 1000, 1001, 65534, 100000, 100999, 200000)))
		st, err := os.Lstat(p)
		s.must(err)
		if st.Mode()&os.ModeSymlink != 0 {
			continue
		}
		mode := uint32(r.IntN(0o1000)) | pick[uint32](r, 0, 0, 0, 0o1000, 0o2000, 0o4000, 0o6000)
		if st.IsDir() {
			mode = pick(r, mode, mode|0o111, 0o777, 0o1777, 0o755, 0o2775)
		}
		s.must(unix.Chmod(p, mode))
		if r.IntN(4) == 0 {
			s.must(unix.Setxattr(p, "system.posix_acl_access", s.acl(), 0))
		}
		if r.IntN(10) == 0 && (st.IsDir() || st.Mode().IsRegular()) {
			setFlag(p, pick(r, flagImmutable, flagAppend))
		}
	}
}

func (s *soak) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) acl() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	entry := func(tag uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, uint16(s.r.IntN(8)))
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	some := func(tag uint16) {
		for _, id := range []uint32{0, 1000, 1001, 100000, 100999} {
			if s.r.IntN(3) == 0 {
				entry(tag, id)
			}
		}
	}
	entry(1, 1<<32-1)
	some(2)
	entry(4, 1<<32-1)
	some(8)
	entry(16, 1<<32-1)
	entry(32, 1<<32-1)
	return b
}

func setFlag(path string, flag int) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flag)
}

// clear removes the tree, of which files may be immutable.
func (s *soak) clear() {
	_ = filepath.Walk(s.root, func(p string, st os.FileInfo, err error) error {
		if err == nil && (st.IsDir() || st.Mode().IsRegular()) {
			setFlag(p, 0)
		}
		return nil
	})
	entries, _ := os.ReadDir(s.root)
	for _, e := range entries {
		s.must(os.RemoveAll(filepath.Join(s.root, e.Name())))
	}
}

func (s *soak) path() string {
	r := s.r
	p := pick(r, s.paths...)
	switch r.IntN(10) {
	case 0:
		p = pick(r, s.dirs[1:]...)
	case 1:
		p = filepath.Join(pick(r, s.dirs...), "new")
	case 2:
		p += pick(r, "/", "/.", "/..", "/below", "/below/", "/../f1")
	case 3:
		p = pick(r, s.dirs...) + pick(r, "/", "/.", "/..", "/../..", "/f1/")
	}
	return p
}

func (s *soak) question() request {
	r := s.r
	all := []access.Op{
		access.OpLookup, access.OpLstat, access.OpChdir, access.OpRead, access.OpWrite, access.OpRdwr, access.OpAppend, access.OpOpentrunc, access.OpNoatime,
		access.OpExec, access.OpCreate, access.OpOpencreat, access.OpMkdir, access.OpMkfifo, access.OpMknod, access.OpWhiteout, access.OpSymlink,
		access.OpUnlink, access.OpRmdir, access.OpRename, access.OpNoreplace, access.OpExchange, access.OpLink, access.OpTruncate, access.OpChmod,
		access.OpChown, access.OpLchown, access.OpTouch, access.OpUtimes, access.OpSetxattr, access.OpGetxattr, access.OpGetACL, access.OpReadlink,
		access.OpAccess, access.OpEaccess,
	}
	q := request{Op: access.Operation{Op: pick(r, all...)}, Path: s.path()}
	switch q.Op.Op {
	case access.OpRename, access.OpNoreplace, access.OpExchange, access.OpLink:
		q.Op.New = s.path()
	case access.OpChmod:
		q.Op.Mode = uint32(r.IntN(0o10000))
	case access.OpAccess, access.OpEaccess:
		q.Op.Mode = uint32(1 + r.IntN(7))
	case access.OpChown, access.OpLchown:
		ids := []idmap.Inside{0, 999, 1000, 1001, 70000, idmap.UnmappedInside}
		q.Op.UID, q.Op.GID = pick(r, ids...), pick(r, ids...)
	case access.OpSetxattr, access.OpGetxattr:
		q.Op.Name = pick(r, "user.x", "trusted.x", "security.x")
	}
	return q
}

// TestDecideAgainstKernel asks the kernel what Decide says it answers: random operations of processes with different
// credentials on a random tree. NSVIEW_SOAK_SEED repeats a run, NSVIEW_SOAK_N makes it longer.
func TestDecideAgainstKernel(t *testing.T) {
	proctest.Need(t, "root", os.Geteuid() == 0, "files of other users are needed")
	setpriv, err := findTool("setpriv")
	proctest.Need(t, "setpriv", err == nil, "setpriv (util-linux) makes the subjects")
	seed, n := setting(t, "NSVIEW_SOAK_SEED", 1), setting(t, "NSVIEW_SOAK_N", 4000)
	// The agents are real and some are root: the tree is so deep that no number of ".." in a question leaves the directory.
	root := filepath.Join(reachableDir(t), "1", "2", "3", "4", "5", "6", "7", "8")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, r: rand.New(rand.NewPCG(seed, 0)), root: root}
	t.Cleanup(s.clear)
	s.subjects(setpriv)

	snap, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	prober, err := NewProber(snap, "/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer prober.Close()
	wrong, unknown, rules := 0, map[string]int{}, map[access.Rule]int{}
	noticed := map[access.Rule]bool{} // rules without which an answer would have been wrong
	for i := range n {
		if i%100 == 0 {
			s.build()
		}
		a, q := pick(s.r, s.agents...), s.question()
		subject, err := prober.Process(t.Context(), a.cmd.Process.Pid, a.name)
		if err != nil {
			t.Fatal(err)
		}
		w, err := prober.Walk(t.Context(), subject, q.Op, q.Path)
		if err != nil {
			t.Fatalf("question %d: %+v: %v", i, q, err)
		}
		v := access.Decide(subject, w, q.Op)
		said := a.do(t, q)
		if v.Verdict == access.Deny {
			rules[v.Rule]++
			if !noticed[v.Rule] && string(v.Errno) == said {
				without := access.DecideWithout(v.Rule, subject, w, q.Op)
				noticed[v.Rule] = string(without.Errno) != said
			}
		} else {
			rules[access.Rule(v.Verdict)]++
		}
		switch {
		case v.Verdict == access.Unknown:
			unknown[string(q.Op.Op)+": "+string(v.Rule)]++
		case string(v.Errno) != said:
			wrong++
			if wrong <= 10 {
				text, _ := json.Marshal(v.Steps)
				t.Errorf("seed %d question %d: %s %+v: the kernel says %q, the verdict is %s %q by %s: %s\n%s", seed, i, a.name, q, said, v.Verdict, v.Errno, v.Rule, v.Explanation, text)
			}
		}
	}
	total := 0
	for _, k := range unknown {
		total += k
	}
	t.Logf("%d questions, %d wrong, %d unknown %v; decided by %v", n, wrong, total, unknown, rules)
	for rule := range rules {
		if !noticed[rule] && rule != access.Rule(access.Allow) && rule != access.Rule(access.Unknown) {
			t.Errorf("without the rule %s no answer would have been wrong: nothing tests it", rule)
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d answers are wrong", wrong, n)
	}
	if uint64(total)*100 > n {
		t.Errorf("%d of %d answers are unknown: %v", total, n, unknown)
	}
}

// reachableDir is a directory that every user can reach.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for p := dir; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func findTool(name string) (string, error) {
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"} {
		if unix.Access(dir+name, unix.X_OK) == nil {
			return dir + name, nil
		}
	}
	return "", fmt.Errorf("no %s", name)
}

// subjects starts the processes that ask.
func (s *soak) subjects(setpriv string) {
	// The test's own program is where only its user may go.
	program, err := os.ReadFile("/proc/self/exe")
	s.must(err)
	agent := filepath.Join(reachableDir(s.t), "agent")
	s.must(os.WriteFile(agent, program, 0o755))
	add := func(name string, attr *syscall.SysProcAttr, wrap ...string) {
		s.agents = append(s.agents, startAgent(s.t, name, attr, append(wrap, agent)...))
	}
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
	mixed := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 1000}, {ContainerID: 1000, HostID: 1000, Size: 1}}
	userNS := func(m []syscall.SysProcIDMap, uid, gid uint32, groups ...uint32) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: m, GidMappings: m, GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups},
		}
	}
	add("root", nil)
	add("root without capabilities", nil, setpriv, "--bounding-set", "-all")
	add("root with read-search", nil, setpriv, "--bounding-set", "-all,+dac_read_search")
	add("root with fowner and chown", nil, setpriv, "--bounding-set", "-all,+fowner,+chown")
	add("user 1000", nil, setpriv, "--reuid", "1000", "--regid", "1000", "--clear-groups")
	add("user 1000 in groups", nil, setpriv, "--reuid", "1000", "--regid", "1000", "--groups", "0,1001,100000")
	add("user 1001 real 1000", nil, setpriv, "--ruid", "1000", "--euid", "1001", "--regid", "1001", "--clear-groups")
	add("root of a user namespace", userNS(maps, 0, 0))
	add("user 999 of a user namespace", userNS(maps, 999, 999, 0))
	add("root of a mixed user namespace", userNS(mixed, 0, 0, 1000))
	add("user 1000 of a mixed user namespace", userNS(mixed, 1000, 1000))
}

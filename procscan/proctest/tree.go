package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Tree is a fake /proc below a temporary directory: for parsers and for races that a kernel does not repeat on demand.
// Whatever can be asked of a real kernel is.
type Tree struct {
	Dir string // what to give as the proc root
	t   testing.TB
}

// NewTree makes an empty fake /proc, which goes away with the test.
func NewTree(t testing.TB) *Tree {
	t.Helper()
	return &Tree{Dir: t.TempDir(), t: t}
}

// Process is a fake process. The zero value of a field is something harmless.
type Process struct {
	PID, PPID  int
	PIDs       []int // NSpid; PID when empty
	Comm       string
	Args       []string
	State      string    // one letter, "S" when empty
	UID, GID   [4]uint32 // real, effective, saved, file system
	Groups     []uint32
	StartTime  uint64
	Namespaces map[string]uint64 // links in ns/, none when nil
	UIDMap     string            // text of uid_map
	GIDMap     string
	Setgroups  string // "allow" when empty
	Cgroup     string // text of cgroup, "0::/\n" when empty
	Root       string // link text, "/" when empty
}

// Add writes a process, in one step: its directory appears whole.
func (tr *Tree) Add(p Process) {
	tr.t.Helper()
	if err := tr.Put(p); err != nil {
		tr.t.Fatal(err)
	}
}

// Put is Add for goroutines of a test, which may not end it. A process with that PID is replaced, as when a PID is used
// anew: who holds the old directory open keeps seeing the old process's files until they are removed.
func (tr *Tree) Put(p Process) error {
	fresh, err := os.MkdirTemp(tr.Dir, "new-")
	if err != nil {
		return err
	}
	if err := p.write(fresh); err != nil {
		return err
	}
	if err := tr.Remove(p.PID); err != nil {
		return err
	}
	return os.Rename(fresh, tr.path(p.PID))
}

// Remove ends a process: its directory disappears, and then its files, as they do for someone who has the directory
// open. A kernel takes all files away at once; stat goes first here, so that who misses one of the others misses it too.
func (tr *Tree) Remove(pid int) error {
	parent, err := os.MkdirTemp(tr.Dir, "old-")
	if err != nil {
		return err
	}
	old := filepath.Join(parent, "process")
	if err := os.Rename(tr.path(pid), old); err != nil {
		if os.IsNotExist(err) {
			return os.Remove(parent)
		}
		return err
	}
	if err := os.Remove(filepath.Join(old, "stat")); err != nil {
		return err
	}
	return os.RemoveAll(parent)
}

// File writes a file of procfs itself or of a process, below Dir.
func (tr *Tree) File(name, content string) {
	tr.t.Helper()
	path := filepath.Join(tr.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// Link writes a symbolic link below Dir.
func (tr *Tree) Link(name, target string) {
	tr.t.Helper()
	path := filepath.Join(tr.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *Tree) path(pid int) string { return filepath.Join(tr.Dir, strconv.Itoa(pid)) }

func (p Process) write(dir string) error {
	files := map[string]string{
		"stat": p.Stat(), "status": p.Status(), "comm": p.Comm + "\n", "cmdline": p.cmdline(),
		"cgroup": or(p.Cgroup, "0::/\n"), "uid_map": p.UIDMap, "gid_map": p.GIDMap, "setgroups": or(p.Setgroups, "allow") + "\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "ns"), 0o755); err != nil {
		return err
	}
	for name, inode := range p.Namespaces {
		kind, _, _ := strings.Cut(name, "_")
		if err := os.Symlink(fmt.Sprintf("%s:[%d]", kind, inode), filepath.Join(dir, "ns", name)); err != nil {
			return err
		}
	}
	return os.Symlink(or(p.Root, "/"), filepath.Join(dir, "root"))
}

// Stat is the text of the process's stat, with every field of proc_pid_stat(5).
func (p Process) Stat() string {
	return fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 %d%s\n",
		p.PID, p.Comm, or(p.State, "S"), p.PPID, p.StartTime, strings.Repeat(" 0", 30))
}

// Status is the text of the process's status, with the lines that matter and some that do not.
func (p Process) Status() string {
	var b strings.Builder
	name := strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(p.Comm)
	fmt.Fprintf(&b, "Name:\t%s\nUmask:\t0022\nState:\t%s (made up)\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n", name, or(p.State, "S"), p.PID, p.PID, p.PPID)
	fmt.Fprintf(&b, "Uid:\t%s\nGid:\t%s\nGroups:\t", join(p.UID[:], "\t"), join(p.GID[:], "\t"))
	for _, g := range p.Groups {
		fmt.Fprintf(&b, "%d ", g)
	}
	pids := p.PIDs
	if len(pids) == 0 {
		pids = []int{p.PID}
	}
	fmt.Fprintf(&b, "\nNSpid:\t%s\nThreads:\t1\n", join(pids, "\t"))
	b.WriteString("CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n")
	b.WriteString("NoNewPrivs:\t0\nSeccomp:\t0\n")
	return b.String()
}

func (p Process) cmdline() string {
	if len(p.Args) == 0 {
		return ""
	}
	return strings.Join(p.Args, "\x00") + "\x00"
}

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

func join[T int | uint32](numbers []T, separator string) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.FormatUint(uint64(n), 10)
	}
	return strings.Join(words, separator)
}

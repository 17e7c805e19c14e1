package pathwalk

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// ownLinks are questions about a process's own links.
var ownLinks = []string{
	"lookup /proc/self", "readlink /proc/self", "lookup /proc/self/root", "chdir /proc/self/root", "lookup /proc/self/root/etc/passwd", "read /proc/self/exe",
	"lookup /proc/self/cwd/..", "read /proc/self/fd/0", "write /proc/self/fd/1", "write /dev/stdout", "lookup /proc/thread-self/root/tmp", "readlink /proc/self/exe",
	"lookup /proc/self/fd/99", "lookup /proc/self/exe/x", "lookup /proc/self/ns/mnt", "unlink /proc/self/fd/0", "opencreat /proc/self/fd/1", "create /proc/self/fd/77", "chdir /proc/self/fd",
	"lookup /proc/self/root/../proc/self/cwd", "lstat /proc/self/exe", "lookup /proc/self/task", "read /proc/thread-self/status", "rename /proc/self/exe /proc/self/x", "chdir /proc/self/exe",
}

func linksOf(pid int) []string {
	var list []string
	for _, q := range []string{"lookup %s/root", "chdir %s/root/tmp", "read %s/exe", "lookup %s/cwd", "readlink %s/exe", "lookup %s/fd/0", "chdir %s/fd", "lookup %s/ns/mnt", "lookup %s/task/%d/root"} {
		at := fmt.Sprintf("/proc/%d", pid)
		if q == "lookup %s/task/%d/root" {
			list = append(list, fmt.Sprintf(q, at, pid))
			continue
		}
		list = append(list, fmt.Sprintf(q, at))
	}
	return list
}

// TestMagicLinks: /proc/self is another directory for every process, and the links of procfs lead where their process is,
// for who may trace it.
func TestMagicLinks(t *testing.T) {
	proctest.NeedRoot(t)
	setpriv, err := findTool("setpriv")
	proctest.Need(t, "setpriv", err == nil, "setpriv (util-linux) makes the subjects")
	dir := tempDir(t)
	hidden := agentProgram(t)
	if err := os.Chmod(hidden, 0o711); err != nil {
		t.Fatal(err)
	}
	root := startAgent(t, "root", nil, agentProgram(t))
	u := user(t, "1000")
	peer := user(t, "1000")
	secret := startAgent(t, "not dumpable", nil, setpriv, "--reuid", "1000", "--regid", "1000", "--clear-groups", hidden)
	weak := startAgent(t, "root without capabilities", nil, setpriv, "--bounding-set", "-all", agentProgram(t))
	attr := userNamespaceRoot()
	attr.Cloneflags |= syscall.CLONE_NEWPID
	in := scriptedAgent(t, "in a PID namespace", attr, "mount -t proc proc /proc\nmount -t tmpfs tmpfs "+dir+"\ntouch "+dir+"/f")
	nested := scriptedAgent(t, "in a PID namespace with the host's procfs", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, "true")
	p := proberNow(t)
	everybody := []*agent{root, u, peer, secret, weak, in, nested}
	rules := map[access.Rule]int{}
	for _, a := range everybody {
		for rule, n := range agree(t, p, a, ownLinks...) {
			rules[rule] += n
		}
		for _, b := range everybody {
			for rule, n := range agree(t, p, a, linksOf(b.cmd.Process.Pid)...) {
				rules[rule] += n
			}
		}
	}
	// The observer itself may be refused by the first process, which says nothing of who has other capabilities.
	for _, a := range []*agent{u, secret, weak, in} {
		agree(t, p, a, linksOf(1)...)
	}
	if rules[access.RulePtrace] == 0 {
		t.Errorf("no answer was decided by ptrace access: %v", rules)
	}
	// What a link leads to has the observer's name for it: a pipe has none but the link.
	s, err := p.Process(t.Context(), in.cmd.Process.Pid, "in")
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Walk(t.Context(), s, access.Operation{Op: access.OpWrite}, "/proc/self/fd/1")
	if err != nil {
		t.Fatal(err)
	}
	var here, there unix.Stat_t
	n := w.Reached()
	if n == nil || unix.Stat(n.Host, &here) != nil || unix.Stat(fmt.Sprintf("/proc/%d/fd/1", in.cmd.Process.Pid), &there) != nil || here.Ino != there.Ino || n.Inode != here.Ino {
		t.Errorf("the pipe of the target is %+v", n)
	}
	// Into a mount namespace that is neither the target's nor the observer's.
	inside := fmt.Sprintf("/proc/%d/root%s", in.cmd.Process.Pid, dir)
	for _, a := range []*agent{root, u, nested} {
		agree(t, p, a, "lookup "+inside+"/f", "create "+inside+"/new", "read "+inside+"/f", "write "+inside+"/f", "unlink "+inside+"/f", "link "+inside+"/f "+filepath.Join(dir, "f"))
	}
}

// TestMagicHidepid: what a procfs hides is not guessed.
func TestMagicHidepid(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	if err := unix.Mount("proc", dir, "proc", 0, "hidepid=invisible"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	u, p := user(t, "1000"), proberNow(t)
	agree(t, p, u, "lookup "+dir+"/self", "lookup "+dir+"/self/root", fmt.Sprintf("lookup %s/%d/exe", dir, u.cmd.Process.Pid))
	if v, _ := decideFor(t, p, u, "lookup "+dir+"/1/status"); v.Verdict != access.Unknown {
		t.Errorf("the verdict on a hidden process is %s: %s", v.Verdict, v.Explanation)
	}
}

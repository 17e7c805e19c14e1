package pathwalk

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
)

// olderProber is a Prober as on a kernel that tells mounts by mountinfo only.
func olderProber(t *testing.T) *Prober {
	t.Helper()
	p := proberNow(t)
	p.now.mountinfo = true
	return p
}

// TestOlderKernelFacts: what mountinfo says of mounts is what statmount(2) says, but for the map of an idmapped mount.
func TestOlderKernelFacts(t *testing.T) {
	proctest.NeedRoot(t)
	l := makeLayers(t)
	overlayFiles(t, &l)
	dir := tempDir(t)
	for _, d := range []string{"mapped", "bind", "ram"} {
		mkdir(t, filepath.Join(dir, d))
	}
	if err := os.Symlink(l.lower1, dir+"/low"); err != nil {
		t.Fatal(err)
	}
	idmappedMount(t, l.lower1, dir+"/mapped", shiftedBy(100000))
	mountAt(t, "overlay", l.merged, "overlay", 0, l.options())
	script := "mount --bind " + dir + "/low " + dir + "/bind\nmount -o remount,bind,ro,nosuid,nodev,noexec " + dir + "/bind\nmount -t tmpfs -o ro,size=1m tmpfs " + dir + "/ram"
	in := scriptedAgent(t, "in a mount namespace", nil, script)
	own := scriptedAgent(t, "in a user namespace", userNamespaceRoot(), script)
	host := startAgent(t, "host", nil, agentProgram(t))
	now, before := proberNow(t), olderProber(t)
	// The number of links of /proc follows the processes of the machine.
	equal := cmp.Options{cmpopts.IgnoreFields(access.Walk{}, "Host"), cmpopts.IgnoreFields(access.Node{}, "Nlink"), cmpopts.EquateEmpty()}
	paths := []string{
		"lookup /etc/passwd", "lookup /proc/self/root/tmp", "read /dev/null", "lookup " + l.merged + "/d/low", "unlink " + l.merged + "/up", "rmdir " + dir + "/bind",
		"lookup " + dir + "/bind/d/low", "lookup " + dir + "/ram", "lookup /sys/kernel", "rename " + l.merged + "/d " + dir + "/x", "lookup /proc/self/fd/0", "read .",
	}
	for _, a := range []*agent{host, in, own} {
		for _, question := range paths {
			words := strings.Fields(question)
			op, err := access.ParseOperation(words[0], words[2:])
			if err != nil {
				t.Fatal(err)
			}
			var walks [2]*access.Walk
			for i, p := range []*Prober{now, before} {
				clear(p.now.layers) // the first question looks into the layers
				s, err := p.Process(t.Context(), a.cmd.Process.Pid, a.name)
				if err != nil {
					t.Fatal(err)
				}
				if walks[i], err = p.Walk(t.Context(), s, op, words[1]); err != nil {
					t.Fatalf("%s: %s: %v", a.name, question, err)
				}
			}
			if diff := cmp.Diff(walks[0], walks[1], equal); diff != "" {
				t.Errorf("%s: %s: by statmount (-) and by mountinfo (+):\n%s", a.name, question, diff)
			}
		}
		agree(t, before, a, "lookup "+l.merged+"/d/low", "write "+l.merged+"/up", "rmdir "+dir+"/bind", "create "+dir+"/bind/new", "create "+dir+"/ram/new", "exec "+dir+"/bind/d/low", "read "+l.merged+"/closed/f")
	}
	// Not which map it is, so not whose file.
	v, q := decideFor(t, before, host, "write "+dir+"/mapped/low")
	if v.Verdict != access.Allow || host.do(t, q) != "" {
		t.Errorf("root writes to an idmapped mount: %s: %s", v.Verdict, v.Explanation)
	}
	for _, question := range []string{"write %s/far/low", "chmod %s/far/low 0600", "create %s/new"} {
		if v, _ := decideFor(t, before, host, fmt.Sprintf(question, dir+"/mapped")); v.Verdict != access.Unknown {
			t.Errorf("%s: %s: %s", question, v.Verdict, v.Explanation)
		}
	}
}

// TestOlderKernelChroot: mountinfo has only what is below the root of a process.
func TestOlderKernelChroot(t *testing.T) {
	proctest.NeedRoot(t)
	chroot, err := findTool("chroot")
	proctest.Need(t, "chroot", err == nil, "chroot (coreutils) makes the subject")
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	proctest.Need(t, "static", self.Section(".interp") == nil, "the test binary is not static: build with CGO_ENABLED=0")
	dir := tempDir(t)
	for _, d := range []string{"bin", "mnt", "d"} {
		mkdir(t, filepath.Join(dir, d))
	}
	program, err := os.ReadFile(agentProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/bin/agent", program, 0o755); err != nil {
		t.Fatal(err)
	}
	mountAt(t, "tmpfs", dir+"/mnt", "tmpfs", 0, "mode=0777")
	a := startAgent(t, "in a chroot", nil, chroot, dir, "/bin/agent")
	for _, p := range []*Prober{proberNow(t), olderProber(t)} {
		agree(t, p, a, "lookup /", "create /new", "unlink /new", "rmdir /mnt", "create /mnt/x", "lookup /mnt/..", "rename /d /mnt/d", "lookup /missing")
	}
}

package pathwalk

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// TestUserNamespaceTmpfs: 65534 may be an id of a file system that a user namespace owns, and nobody's elsewhere.
func TestUserNamespaceTmpfs(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	a := scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), "mount -t tmpfs -o mode=0777 tmpfs "+dir)
	inside := filepath.Join("/proc", strconv.Itoa(a.cmd.Process.Pid), "root", dir)
	for name, mode := range map[string]os.FileMode{"f": 0o666, "g": 0o600} {
		if err := os.WriteFile(filepath.Join(inside, name), nil, mode); err == nil {
			t.Fatal("the host's root can make a file in a user namespace's tmpfs")
		}
		a.do(t, request{Op: access.Operation{Op: access.OpCreate}, Path: filepath.Join(dir, name)})
		if err := os.Chmod(filepath.Join(inside, name), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(filepath.Join(inside, name), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	agree(t, proberNow(t), a, "read "+dir+"/f", "write "+dir+"/f", "read "+dir+"/g", "write "+dir+"/g", "chmod "+dir+"/f 0600", "setxattr "+dir+"/f user.x", "chown "+dir+"/f 0 0", "link "+dir+"/f "+dir+"/l", "unlink "+dir+"/f")
}

// TestMountedLater: mounts that came after the picture of the host was taken are what they are now.
func TestMountedLater(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	p := proberNow(t)
	a := startAgent(t, "root", nil, agentProgram(t))
	mountAt(t, "tmpfs", dir, "tmpfs", 0, "mode=0777")
	if err := unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	u := user(t, "1000")
	agree(t, p, a, "read "+dir+"/null", "write "+dir+"/null")
	agree(t, p, u, "read "+dir+"/null", "create "+dir+"/x")
	// Bound into a user namespace's mount namespace it is still the host's.
	c := scriptedAgent(t, "root of a user namespace", userNamespaceRoot(), "true")
	agree(t, p, c, "read "+dir+"/null", "write "+dir+"/null", "create "+dir+"/y")
}

// TestSuperblockNumberReused: the number of a superblock that is gone is given again, here to one of a user namespace.
func TestSuperblockNumberReused(t *testing.T) {
	proctest.NeedRoot(t)
	const attempts = 20 // somebody else may mount in between
	for range attempts {
		dir := tempDir(t)
		mountAt(t, "tmpfs", dir, "tmpfs", 0, "")
		p := proberNow(t)
		var before, after unix.Stat_t
		if err := unix.Stat(dir, &before); err != nil {
			t.Fatal(err)
		}
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
		a := scriptedAgent(t, "with a tmpfs of its own", userNamespaceRoot(), "mount -t tmpfs -o mode=0777 tmpfs "+dir)
		if err := unix.Stat(filepath.Join("/proc", strconv.Itoa(a.cmd.Process.Pid), "root", dir), &after); err != nil {
			t.Fatal(err)
		}
		if before.Dev != after.Dev {
			continue
		}
		if said := a.do(t, request{Op: access.Operation{Op: access.OpWhiteout}, Path: dir + "/device"}); said != "" {
			t.Fatal(said)
		}
		agree(t, p, a, "read "+dir+"/device", "create "+dir+"/new")
		return
	}
	t.Fatalf("no number was given again in %d attempts", attempts)
}

func userNamespaceRoot() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: shiftedBy(100000), GidMappings: shiftedBy(100000), Credential: &syscall.Credential{},
	}
}

// TestMountPoints: a name on which something is mounted, in this mount namespace or in another.
func TestMountPoints(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	for _, d := range []string{"a/point", "b", "a/free", "a/sticky/mine"} {
		mkdir(t, filepath.Join(dir, d))
	}
	file(t, filepath.Join(dir, "a/file"), 1000, 1000)
	if err := os.Chmod(filepath.Join(dir, "a/sticky"), 0o1777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(filepath.Join(dir, "a/sticky/mine"), 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "a"), 0o777); err != nil {
		t.Fatal(err)
	}
	script := "mount --bind " + dir + "/a " + dir + "/b\nmount -t tmpfs tmpfs " + dir + "/a/point\nmount --bind /etc/hosts " + dir + "/a/file\nmount -t tmpfs tmpfs " + dir + "/a/sticky/mine\n"
	setpriv, err := findTool("setpriv")
	proctest.Need(t, "setpriv", err == nil, "setpriv (util-linux) makes the subjects")
	in := scriptedAgent(t, "where it is mounted", nil, script)
	plain := scriptedAgent(t, "user where it is mounted", nil, script, setpriv, "--reuid", "1001", "--regid", "1001", "--clear-groups")
	p := proberNow(t)
	for _, way := range []string{"a", "b"} {
		d := dir + "/" + way
		for _, who := range []*agent{in, plain} {
			agree(t, p, who, "rmdir "+d+"/point", "unlink "+d+"/file", "rename "+d+"/point "+d+"/p2", "rename "+d+"/free "+d+"/point", "unlink "+d+"/point", "rmdir "+d+"/file",
				"rmdir "+d+"/sticky/mine", "exchange "+d+"/free "+d+"/point", "mkdir "+d+"/point", "create "+d+"/file", "rename "+d+"/file "+d+"/f2")
		}
	}
	out := startAgent(t, "root elsewhere", nil, agentProgram(t))
	agree(t, p, out, "rename "+dir+"/a/point "+dir+"/a/p2", "rmdir "+dir+"/a/p2", "unlink "+dir+"/a/file", "rmdir "+dir+"/a/sticky/mine")

	// In the observer's own mount namespace.
	for name, source := range map[string]string{"c/point": "", "c/mine": ""} {
		d := mkdir(t, filepath.Join(dir, name))
		if err := os.Lchown(d, 1000, 1000); err != nil {
			t.Fatal(err)
		}
		mountAt(t, "tmpfs", d, "tmpfs", 0, source)
	}
	if err := unix.Chmod(filepath.Join(dir, "c"), 0o1777); err != nil {
		t.Fatal(err)
	}
	mountAt(t, filepath.Join(dir, "c"), mkdir(t, filepath.Join(dir, "e")), "", unix.MS_BIND, "")
	stranger, owner := user(t, "1001"), user(t, "1000")
	p = proberNow(t)
	for _, who := range []*agent{out, stranger, owner} {
		agree(t, p, who, "rmdir "+dir+"/c/point", "rename "+dir+"/c/mine "+dir+"/c/n", "rmdir "+dir+"/e/mine", "unlink "+dir+"/c/point", "exchange "+dir+"/e/point "+dir+"/e/mine")
	}
}

// TestMountPointRenamed: a directory above a mount point gets another name, of which the kernel tells nobody.
func TestMountPointRenamed(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	point, other := mkdir(t, filepath.Join(dir, "c/point")), mkdir(t, filepath.Join(dir, "other"))
	mountAt(t, "tmpfs", point, "tmpfs", 0, "")
	mountAt(t, filepath.Join(dir, "c"), other, "", unix.MS_BIND, "") // without the tmpfs
	p, a := proberNow(t), startAgent(t, "root", nil, agentProgram(t))
	agree(t, p, a, "rmdir "+other+"/point", "rename "+other+"/point "+other+"/p2", "rmdir "+point)
	if err := os.Rename(filepath.Join(dir, "c"), filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(dir, "d/point"), unix.MNT_DETACH) })
	rules := agree(t, p, a, "rmdir "+other+"/point", "rename "+other+"/point "+other+"/p2", "rmdir "+dir+"/d/point")
	if rules[access.RuleBusy] != 3 {
		t.Errorf("decided by %v", rules)
	}
}

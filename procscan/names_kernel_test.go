package procscan

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// replaced puts text over a file, in the mount namespace of this thread.
func replaced(t *testing.T, path, text string, mode os.FileMode) error {
	t.Helper()
	file := filepath.Join(openDir(t), filepath.Base(path))
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		return err
	}
	if err := os.Chmod(file, mode); err != nil {
		return err
	}
	return unix.Mount(file, path, "", unix.MS_BIND, "")
}

// A user that is in no file, only in the name service: here a module that reads other files.
func TestNamesOnlyNSSKnows(t *testing.T) {
	proctest.NeedRoot(t)
	const extra = "/var/lib/extrausers"
	_, err := os.Stat(extra)
	proctest.Need(t, "nss-extrausers", err == nil, "libnss-extrausers is not installed")
	pid := catAs(t, 54040, 54041)
	var snap *nsinspect.Snapshot
	inPrivateMounts(t, func() error {
		if err := replaced(t, "/etc/nsswitch.conf", "passwd: files extrausers\ngroup: files extrausers\n", 0o644); err != nil {
			return err
		}
		if err := unix.Mount("none", extra, "tmpfs", 0, "mode=0755"); err != nil {
			return err
		}
		for name, line := range map[string]string{"passwd": "directory-user:x:54040:54041::/:/bin/sh\n", "group": "directory-group:x:54041:\n"} {
			if err := os.WriteFile(filepath.Join(extra, name), []byte(line), 0o644); err != nil {
				return err
			}
		}
		snap = scanAs(t, Options{Facts: Names, PIDs: []int{pid}}, nil)
		return nil
	})
	if user, group := snap.HostUser(54040), snap.HostGroup(54041); user != "directory-user" || group != "directory-group" {
		t.Errorf("named %q and %q, gaps %+v", user, group, snap.Gaps)
	}
	if snap.HostUser(0) != "root" {
		t.Errorf("uid 0 is %q", snap.HostUser(0))
	}
}

// A name service that does not answer costs one deadline and a gap; the files' names are there.
func TestNamesWithADeadNameService(t *testing.T) {
	proctest.NeedRoot(t)
	path, err := getentPath()
	proctest.Need(t, "getent", err == nil, fmt.Sprint(err))
	pid := catAs(t, 54040, 54041)
	var snap *nsinspect.Snapshot
	var took time.Duration
	inPrivateMounts(t, func() error {
		if err := replaced(t, "/etc/nsswitch.conf", "passwd: files ldap\ngroup: files ldap\n", 0o644); err != nil {
			return err
		}
		if err := replaced(t, path, "#!/bin/sh\nexec sleep 60\n", 0o755); err != nil {
			return err
		}
		start := time.Now()
		snap = scanAs(t, Options{Facts: Names, PIDs: []int{pid}}, nil)
		took = time.Since(start)
		return nil
	})
	if took < nameDeadline || took > 3*nameDeadline {
		t.Errorf("took %v, the deadline is %v", took, nameDeadline)
	}
	gaps := 0
	for _, g := range snap.Gaps {
		if g.Fact == "names from NSS" && strings.Contains(g.Error, "no answer") {
			gaps++
		}
	}
	if gaps != 2 || snap.HostUser(0) != "root" || snap.HostUser(54040) != "" {
		t.Errorf("uid 0 is %q, 54040 is %q, gaps %+v", snap.HostUser(0), snap.HostUser(54040), snap.Gaps)
	}
}

// Containers whose /etc is a FUSE file system with a daemon that does not answer: rows without names, and a gap each, for
// the price of one deadline.
func TestNamesBelowAHangingMount(t *testing.T) {
	proctest.NeedRoot(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	proctest.Need(t, "fuse", err == nil, fmt.Sprint("open /dev/fuse: ", err))
	daemon := os.NewFile(uintptr(fd), "fuse")
	defer daemon.Close() // who waits is answered then
	const containers = 4
	var (
		pids []int
		snap *nsinspect.Snapshot
		took time.Duration
	)
	inPrivateMounts(t, func() error {
		root := t.TempDir()
		for _, dir := range []string{"/etc", "/bin"} {
			if err := os.Mkdir(root+dir, 0o755); err != nil {
				return err
			}
		}
		busybox, err := os.ReadFile("/bin/busybox")
		if err != nil {
			return err
		}
		if err := os.WriteFile(root+"/bin/busybox", busybox, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("none", root+"/etc", "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
			return err
		}
		for range containers {
			pids = append(pids, startImage(t, root, unix.CLONE_NEWNS|unix.CLONE_NEWPID)) // ends with this thread
		}
		scanned := make(chan error)
		go func() { // on another thread, in the namespaces of the test
			start := time.Now()
			var err error
			snap, err = Scan(t.Context(), Options{Facts: Names | Args | Mounts | Graph})
			took = time.Since(start)
			scanned <- err
		}()
		return <-scanned
	})
	if took > 3*nameDeadline {
		t.Errorf("took %v", took)
	}
	for _, pid := range pids {
		p := find(t, snap, pid)
		if p.Names >= 0 || p.Namespaces.Mnt == 0 || p.MountTable < 0 || len(p.Args) == 0 {
			t.Errorf("%+v", p)
		}
		if gaps := gapsOf(snap, pid); len(gaps) != 1 || gaps[0].Fact != "names" || !strings.Contains(gaps[0].Error, "no answer") {
			t.Errorf("gaps of %d: %+v", pid, gaps)
		}
	}
}

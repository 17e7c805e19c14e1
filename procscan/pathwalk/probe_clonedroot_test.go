package pathwalk

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// clonedRoot makes the test binary give itself a root that was cloned before its mount namespace was made, then become
// the program that it is.
const clonedRoot = "NSVIEW_TEST_CLONED_ROOT"

func init() {
	if os.Getenv(clonedRoot) == "" {
		return
	}
	runtime.LockOSThread()
	if err := pivotToClone(); err != nil {
		fmt.Fprintln(os.Stderr, "cloned root:", err)
		os.Exit(1)
	}
	_ = os.Unsetenv(clonedRoot)
	fmt.Fprintln(os.Stderr, "cloned root:", syscall.Exec(os.Args[0], os.Args, os.Environ()))
	os.Exit(1)
}

// pivotToClone is what a runtime does that opens the root of a container before it makes the mount namespace.
func pivotToClone() error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return unix.Unshare(unix.CLONE_NEWNS) },
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.MoveMount(tree, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH) },
		func() error { return unix.Fchdir(tree) },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// TestRootClonedBeforeItsNamespace: of such a mount namespace statmount(2) says ENOENT for every mount. It is not
// unmounted, and what is idmapped is not taken for what is not.
func TestRootClonedBeforeItsNamespace(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	for _, d := range []string{"plain", "mapped", "ro"} {
		file(t, filepath.Join(mkdir(t, filepath.Join(dir, d)), "f"), 1000, 1000)
	}
	idmappedMount(t, filepath.Join(dir, "plain"), filepath.Join(dir, "mapped"), shiftedBy(100000))
	mountAt(t, filepath.Join(dir, "ro"), filepath.Join(dir, "ro"), "", unix.MS_BIND, "")
	if err := unix.Mount("", filepath.Join(dir, "ro"), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, "with a cloned root", nil, "/usr/bin/env", clonedRoot+"=1", agentProgram(t))
	p := proberNow(t)
	agree(t, p, a, "read "+dir+"/plain/f", "write "+dir+"/plain/f", "write "+dir+"/ro/f", "create "+dir+"/ro/g", "create "+dir+"/plain/g", "chown "+dir+"/plain/f 1 1", "chmod "+dir+"/mapped/f 0600")
	v, _ := decideFor(t, p, a, "create "+dir+"/mapped/h")
	if v.Verdict != access.Unknown || !strings.Contains(v.Explanation, "map") {
		t.Errorf("create below an idmapped mount: %s: %s; its map cannot be read", v.Verdict, v.Explanation)
	}
}

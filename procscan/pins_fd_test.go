package procscan

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// utsOpened opens a new UTS namespace that no task is in.
func utsOpened(t testing.TB, flags int) (*os.File, nsinspect.Inode) {
	t.Helper()
	var (
		f     *os.File
		inode nsinspect.Inode
	)
	onThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			return err
		}
		n, err := openNS("/proc/thread-self/ns/uts")
		if err != nil {
			return err
		}
		defer n.close()
		inode = n.inode
		fd, err := unix.Open("/proc/thread-self/ns/uts", flags|unix.O_CLOEXEC, 0)
		f = os.NewFile(uintptr(fd), "uts")
		return err
	})
	t.Cleanup(func() { f.Close() })
	return f, inode
}

func TestPinFD(t *testing.T) {
	proctest.NeedRoot(t)
	three := 3
	check := func(t *testing.T, f *os.File, inode nsinspect.Inode) {
		t.Helper()
		pid := park(t, []string{"env"}, "", f)
		f.Close()
		if n := scanFacts(t, Graph).Namespace(inode); n != nil {
			t.Errorf("without the fact FDPins: %+v", n)
		}
		snap := scanFacts(t, FDPins)
		n := mustNamespace(t, snap, inode)
		want := nsinspect.Pin{Kind: nsinspect.PinFD, PID: pid, FD: &three}
		if n.Type != nsinspect.UTS || n.Processes != 0 || n.OwnerUserNS != snap.Observer.UserNS || !hasPin(n, want) {
			t.Errorf("%+v", n)
		}
	}
	t.Run("open", func(t *testing.T) {
		f, inode := utsOpened(t, unix.O_RDONLY)
		check(t, f, inode)
	})
	t.Run("O_PATH", func(t *testing.T) {
		f, inode := utsOpened(t, unix.O_PATH)
		check(t, f, inode)
	})
	t.Run("open_tree", func(t *testing.T) { // reads as "/"
		f, inode := utsOpened(t, unix.O_RDONLY)
		fd, err := unix.OpenTree(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		check(t, os.NewFile(uintptr(fd), "tree"), inode)
	})
}

// A descriptor opened through a bind mount reads as a path.
func TestPinFDThroughBindMount(t *testing.T) {
	proctest.NeedRoot(t)
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, then string }{{"mounted", ""}, {"unmounted since", "umount -l '" + file + "'"}} {
		t.Run(tt.name, func(t *testing.T) {
			pid := park(t, []string{"unshare", "-m"}, fmt.Sprintf("unshare --uts='%[1]s' true\nexec 9<'%[1]s'\n%[2]s", file, tt.then))
			n, err := openNS(fmt.Sprintf("/proc/%d/fd/9", pid))
			if err != nil {
				t.Fatal(err)
			}
			defer n.close()
			nine := 9
			got := mustNamespace(t, scanFacts(t, FDPins), n.inode)
			if !hasPin(got, nsinspect.Pin{Kind: nsinspect.PinFD, PID: pid, FD: &nine}) || got.OwnerUserNS == 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A process of which a thread has descriptors of its own.
func TestPinFDOfThread(t *testing.T) {
	needUserNS(t)
	target, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", park(t, []string{"unshare", "-Urn"}, "")))
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	n, err := newNSFile(int(target.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	inThread(t, func() error {
		// Its table is a copy of the process's: one more descriptor is in it alone.
		if err := unix.Unshare(unix.CLONE_FILES); err != nil {
			return err
		}
		return unix.Dup3(int(target.Fd()), 1000, unix.O_CLOEXEC)
	}, func(tid int) {
		fd := 1000
		want := nsinspect.Pin{Kind: nsinspect.PinFD, PID: os.Getpid(), TID: tid, FD: &fd}
		if got := mustNamespace(t, scanFacts(t, FDPins|Threads), n.inode); !hasPin(got, want) {
			t.Errorf("pins %+v", got.Pins)
		}
		if got := mustNamespace(t, scanFacts(t, FDPins), n.inode); hasPin(got, want) {
			t.Errorf("without the fact Threads: %+v", got.Pins)
		}
	})
}

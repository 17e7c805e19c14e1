package procscan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// userNSWith opens a user namespace with these maps.
func userNSWith(t testing.TB, uids, gids []syscall.SysProcIDMap) *os.File {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	_ = stdin.Close()
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// idmappedMount mounts the directory from at to, with the maps of a user namespace.
func idmappedMount(from, to string, userNS *os.File) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", from, err)
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userNS.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("mount_setattr %s: %w", from, err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount %s: %w", to, err)
	}
	return nil
}

// idmappedMaps are two extents, so that their order and their limits show.
func idmappedMaps() (uids, gids []syscall.SysProcIDMap, wantUID, wantGID idmap.MountMap) {
	uids = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}, {ContainerID: 70000, HostID: 300000, Size: 10}}
	gids = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 200000, Size: 1000}}
	wantUID = idmap.MountMap{{OnDisk: 0, SeenAs: 100000, Count: 65536}, {OnDisk: 70000, SeenAs: 300000, Count: 10}}
	wantGID = idmap.MountMap{{OnDisk: 0, SeenAs: 200000, Count: 1000}}
	return uids, gids, wantUID, wantGID
}

func TestMountMaps(t *testing.T) {
	proctest.NeedRoot(t)
	for _, fs := range []struct {
		name  string
		magic int64
		fresh bool // a file system of its own, else that of the temporary directory
	}{{"ext4", unix.EXT4_SUPER_MAGIC, false}, {"tmpfs", unix.TMPFS_MAGIC, true}} {
		t.Run(fs.name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			uids, gids, wantUID, wantGID := idmappedMaps()
			userNS := userNSWith(t, uids, gids)
			var (
				pid  int
				stfs unix.Statfs_t
			)
			inPrivateMounts(t, func() error {
				if fs.fresh {
					if err := unix.Mount("none", from, "tmpfs", 0, ""); err != nil {
						return err
					}
				}
				if err := unix.Statfs(from, &stfs); err != nil || stfs.Type != fs.magic {
					return err
				}
				file := filepath.Join(from, "file")
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					return err
				}
				if err := os.Chown(file, 70003, 7); err != nil {
					return err
				}
				if err := idmappedMount(from, to, userNS); err != nil {
					return err
				}
				var err error
				pid, err = parkHere(t, []string{"env"}, "")
				return err
			})
			proctest.Need(t, fs.name, stfs.Type == fs.magic, from+" is on another file system")

			snap := scanFacts(t, Mounts)
			m := mountAt(t, snap, pid, to)
			if !m.Idmapped || !m.MapKnown {
				t.Fatalf("%+v\ngaps %+v", m, snap.Gaps)
			}
			if diff := cmp.Diff([]idmap.MountMap{wantUID, wantGID}, []idmap.MountMap{m.UIDMap, m.GIDMap}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}

			// The kernel agrees: about the mount, and about an owner seen through it.
			var stx unix.Statx_t
			path := fmt.Sprintf("/proc/%d/root%s/file", pid, to)
			if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID_UNIQUE, &stx); err != nil {
				t.Fatal(err)
			}
			if stx.Mnt_id != m.UniqueID {
				t.Errorf("unique id %d, statx says %d", m.UniqueID, stx.Mnt_id)
			}
			ids := idmap.MountIDs{Idmapped: true, Map: m.UIDMap, Superblock: idmap.Identity()}
			if got := ids.SeenAs(70003); uint32(got) != stx.Uid || stx.Uid != 300003 {
				t.Errorf("owner seen as %v, stat says %d", got, stx.Uid)
			}
			if plain := mountAt(t, snap, pid, "/"); plain.Idmapped || plain.MapKnown || plain.UniqueID == 0 {
				t.Errorf("/ %+v", plain)
			}

			for _, lacks := range []features{featStatmount, featMountMaps} {
				snap := scanLacking(t, Mounts, lacks)
				if m := mountAt(t, snap, pid, to); !m.Idmapped || m.MapKnown || m.UIDMap != nil {
					t.Errorf("without %b: %+v", lacks, m)
				}
				wantMapGap(t, snap, pid, hintKernelMaps)
			}
		})
	}
}

// In a user namespace the kernel leaves out what it cannot name there: no map is better than half a map.
func TestMountMapsOutsideInitialUserNS(t *testing.T) {
	proctest.NeedRoot(t)
	from, to := t.TempDir(), t.TempDir()
	uids, gids, _, _ := idmappedMaps()
	userNS := userNSWith(t, uids, gids)
	var snap *nsinspect.Snapshot
	inPrivateMounts(t, func() error {
		if err := unix.Mount("none", from, "tmpfs", 0, ""); err != nil {
			return err
		}
		if err := idmappedMount(from, to, userNS); err != nil {
			return err
		}
		var err error
		snap, err = snapshotAs(t, Mounts, &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 101000}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 101000}},
		})
		return err
	})
	if snap.Observer.InitialNS {
		t.Fatal("the observer takes its user namespace for the initial one")
	}
	table := snap.Mounts(snap.Observer.MountTable)
	if table == nil {
		t.Fatal("no mount table of the observer")
	}
	m := findMount(table, to)
	if m == nil || !m.Idmapped || m.MapKnown || m.UIDMap != nil {
		t.Errorf("%+v", m)
	}
	wantMapGap(t, snap, table.PID, hintInitialNS)
}

// listmount(2) answers in parts.
func TestMountMapsOfManyMounts(t *testing.T) {
	proctest.NeedRoot(t)
	dir := t.TempDir()
	const n = listmountBatch + 100
	var pid int
	inPrivateMounts(t, func() error {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			return err
		}
		for i := range n {
			point := filepath.Join(dir, fmt.Sprint(i))
			if err := os.Mkdir(point, 0o700); err != nil {
				return err
			}
			if err := unix.Mount("/proc/sys", point, "", unix.MS_BIND, ""); err != nil {
				return err
			}
		}
		uids, gids, _, _ := idmappedMaps()
		if err := idmappedMount(dir, dir, userNSWith(t, uids, gids)); err != nil {
			return err
		}
		var err error
		pid, err = parkHere(t, []string{"env"}, "")
		return err
	})
	snap := scanFacts(t, Mounts)
	table := snap.Mounts(snap.Process(pid).MountTable)
	seen := map[uint64]bool{}
	for _, m := range table.Mounts {
		if m.UniqueID == 0 || seen[m.UniqueID] {
			t.Fatalf("unique id %d of mount %d", m.UniqueID, m.ID)
		}
		seen[m.UniqueID] = true
	}
	if len(seen) < n {
		t.Errorf("%d mounts, want at least %d", len(seen), n)
	}
}

func mountAt(t testing.TB, snap *nsinspect.Snapshot, pid int, point string) *nsinspect.Mount {
	t.Helper()
	p := snap.Process(pid)
	if p == nil || snap.Mounts(p.MountTable) == nil {
		t.Fatalf("no mount table of process %+v", p)
	}
	m := findMount(snap.Mounts(p.MountTable), point)
	if m == nil {
		t.Fatalf("no mount at %s", point)
	}
	return m
}

// findMount is the topmost mount at point.
func findMount(table *nsinspect.MountTable, point string) *nsinspect.Mount {
	var found *nsinspect.Mount
	for i := range table.Mounts {
		if table.Mounts[i].Point == point {
			found = &table.Mounts[i]
		}
	}
	return found
}

func wantMapGap(t testing.TB, snap *nsinspect.Snapshot, pid int, hint string) {
	t.Helper()
	for _, g := range snap.Gaps {
		if g.PID == pid && strings.Contains(g.Fact, "idmapped") && g.Hint == hint && g.Error != "" {
			return
		}
	}
	t.Errorf("no gap with hint %q: %+v", hint, snap.Gaps)
}

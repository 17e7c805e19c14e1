package idmap

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// mountIDMapped mounts a clone of what is at source on path, idmapped by the user namespace whose file is userns.
func mountIDMapped(source, path, userns string) error {
	ns, err := os.Open(userns)
	if err != nil {
		return err
	}
	defer ns.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// makeFiles makes a file for each id in dir, named by the id.
func makeFiles(dir string, ids []uint32) error {
	for _, id := range ids {
		if err := os.WriteFile(fileOf(dir, id), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func fileOf(dir string, id uint32) string {
	return filepath.Join(dir, strconv.FormatUint(uint64(id), 10))
}

// chownFiles gives each file in dir to the uid and gid that it is named by.
func chownFiles(dir string, ids []uint32) []owner {
	var owners []owner
	for _, id := range ids {
		owners = append(owners, owner{Errno: errnoName(os.Lchown(fileOf(dir, id), int(id), int(id)))})
	}
	return owners
}

// statFiles says who owns the files.
func statFiles(dir string, ids []uint32) []owner {
	var owners []owner
	for _, id := range ids {
		owners = append(owners, statOne(fileOf(dir, id)).Owners[0])
	}
	return owners
}

// someIDs are inside, at the edges of, and outside of the maps of these tests. 65534 is a real id here.
var someIDs = []uint32{0, 1, 9, 10, 11, 99, 100, 999, 1000, 1001, 1999, 2000, 2999, 3000, 5000, 5999, 6000, 65534, 65535, 100000, 100001, 101000, 101500, 200000, 4294967294}

const overflowID = 65534

// shown is what stat(2) tells a process of the initial user namespace.
func shown(id Kernel) uint32 {
	if !id.Mapped() {
		return overflowID
	}
	return uint32(id)
}

// mountMaps are how the mounts of these tests are idmapped: on disk first.
var mountMaps = map[string]Map{
	"one extent":         {{0, 100000, 65536}},
	"to root":            {{1000, 0, 1}},
	"apart and unsorted": {{1000, 5000, 1000}, {0, 2000, 10}, {65534, 10, 1}},
	"swapped":            {{0, 1000, 1000}, {1000, 0, 1000}},
	"identity":           {{0, 0, 4294967294}},
}

// TestMountIDsAgreeWithTheKernel idmaps real mounts and looks at real files through them.
func TestMountIDsAgreeWithTheKernel(t *testing.T) {
	proctest.NeedRoot(t)
	needUserNS(t)
	proctest.Need(t, "initial-userns", readMap(t, "/proc/self", UID).Equal(Identity()), "the observer is not in the initial user namespace")
	for _, fs := range []string{"tmpfs", "ext4"} {
		for name, m := range mountMaps {
			t.Run(fs+"/"+name, func(t *testing.T) {
				host := startAgent(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
				plain, idmapped := t.TempDir(), t.TempDir()
				if fs == "tmpfs" {
					host.must(t, order{Op: "mount", Source: "tmpfs", Path: plain, FSType: "tmpfs"})
				} else {
					needFS(t, plain, "ext4", unix.EXT4_SUPER_MAGIC)
				}
				userns := fmt.Sprintf("/proc/%d/ns/user", withMap(t, host, m))
				mounted := host.do(t, order{Op: "mount", Source: plain, Path: idmapped, IDMapFrom: userns})
				proctest.Need(t, "idmapped-"+fs, mounted.Errno != "EINVAL" && mounted.Errno != "ENOSYS", "mount_setattr: "+mounted.Errno)
				if mounted.Errno != "" {
					t.Fatal(mounted.Errno)
				}
				host.must(t, order{Op: "make", Path: plain, IDs: someIDs})
				checkMount(t, host, plain, idmapped, MountIDs{Superblock: Identity()}, MountIDs{Idmapped: true, Map: MountMapOf(m), Superblock: Identity()})
			})
		}
	}
}

// TestMountIDsOfAnotherUserNamespace does the same with a superblock that a user namespace owns.
func TestMountIDsOfAnotherUserNamespace(t *testing.T) {
	proctest.NeedRoot(t)
	needUserNS(t)
	superblock := Map{{0, 100000, 2000}, {5000, 200000, 1000}}
	// What the mount's namespace maps, in the ids of the superblock's: 2000 to 2999 do not exist there.
	child := Map{{0, 500, 1000}, {1000, 5000, 500}, {2000, 1500, 500}, {5000, 0, 100}}
	inner := startAgent(t, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, Unshareflags: syscall.CLONE_NEWNS,
		UidMappings: sysMap(superblock), GidMappings: sysMap(superblock), GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	})
	plain, idmapped := publicDir(t), publicDir(t)
	inner.must(t, order{Op: "mount", Source: "tmpfs", Path: plain, FSType: "tmpfs"})
	pid := withMap(t, inner, child)
	mounted := inner.do(t, order{Op: "mount", Source: plain, Path: idmapped, IDMapFrom: fmt.Sprintf("/proc/%d/ns/user", pid)})
	proctest.Need(t, "idmapped-tmpfs", mounted.Errno != "EINVAL" && mounted.Errno != "ENOSYS", "mount_setattr: "+mounted.Errno)
	if mounted.Errno != "" {
		t.Fatal(mounted.Errno)
	}

	inner.must(t, order{Op: "make", Path: plain, IDs: someIDs}) // fsuid 0 of the initial namespace has no id there

	// The observer is in the initial user namespace and reads the child's map there.
	seen := readMap(t, fmt.Sprintf("/proc/%d", pid), UID)
	if want := Compose(child, superblock); !seen.Equal(want) {
		t.Errorf("the child's map reads %v, Compose says %v", seen, want)
	}
	through := fmt.Sprintf("/proc/%d/root", inner.pid)
	checkMount(t, startAgent(t, &syscall.SysProcAttr{}), through+plain, through+idmapped,
		MountIDs{Superblock: superblock}, MountIDs{Idmapped: true, Map: MountMapOf(seen), Superblock: superblock})
}

// checkMount gives files ids through either mount of one file system and looks at them through both.
func checkMount(t *testing.T, by *agent, plain, idmapped string, plainIDs, mountIDs MountIDs) {
	t.Helper()
	translated := 0
	// Written through the plain mount. A kernel id that the superblock's namespace lacks can still be put there by the
	// initial root, but it is no id on disk: those are left out.
	var stored []uint32
	for _, id := range someIDs {
		if plainIDs.OnDisk(Kernel(id)).Mapped() {
			stored = append(stored, id)
		}
	}
	for i, o := range by.must(t, order{Op: "chown", Path: plain, IDs: stored}).Owners {
		if o.Errno != "" {
			t.Errorf("chown %d through the plain mount: %s", stored[i], o.Errno)
		}
	}
	for i, o := range by.must(t, order{Op: "stat", Path: plain, IDs: stored}).Owners {
		if o.UID != stored[i] || o.GID != stored[i] {
			t.Errorf("%d is %d:%d through the plain mount", stored[i], o.UID, o.GID)
		}
	}
	for i, o := range by.must(t, order{Op: "stat", Path: idmapped, IDs: stored}).Owners {
		disk := plainIDs.OnDisk(Kernel(stored[i]))
		want := shown(mountIDs.SeenAs(disk))
		if o.Errno != "" || o.UID != want || o.GID != want {
			t.Errorf("%v on disk is seen as %d:%d %s, SeenAs says %v", disk, o.UID, o.GID, o.Errno, mountIDs.SeenAs(disk))
		}
		if mountIDs.SeenAs(disk).Mapped() {
			translated++
		}
	}

	// Written through the idmapped mount, to a file whose owner the mount can show.
	owned := uint32(overflowID)
	for _, id := range stored {
		if mountIDs.SeenAs(plainIDs.OnDisk(Kernel(id))).Mapped() {
			owned = id
		}
	}
	for _, id := range someIDs {
		disk := mountIDs.OnDisk(Kernel(id))
		reply := by.do(t, order{Op: "chown one", Path: fileOf(idmapped, owned), IDs: []uint32{id}})
		if want := disk.Mapped(); want != (reply.Errno == "") || !want && reply.Errno != "EOVERFLOW" {
			t.Errorf("chown %d through the idmapped mount: %q, OnDisk says %v", id, reply.Errno, disk)
			continue
		}
		if reply.Errno != "" {
			continue
		}
		translated++
		want := shown(plainIDs.SeenAs(disk))
		if o := by.must(t, order{Op: "stat one", Path: fileOf(plain, owned)}).Owners[0]; o.UID != want || o.GID != want {
			t.Errorf("chown %d through the idmapped mount stores what the plain one shows as %d:%d, OnDisk says %v", id, o.UID, o.GID, disk)
		}
	}
	if translated < 2 {
		t.Errorf("the test proves little: %d ids were translated", translated)
	}
}

// withMap is a process in a new user namespace with that map for uids and gids.
func withMap(t *testing.T, by *agent, m Map) int {
	t.Helper()
	pid := by.must(t, order{Op: "spawn", UID: -1}).PID
	mustWrite(t, by, pid, "uid_map", m.Format())
	mustWrite(t, by, pid, "gid_map", m.Format())
	return pid
}

// publicDir is a temporary directory that everybody may search, also what is above it.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nsview-idmap-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func needFS(t *testing.T, dir, name string, magic int64) {
	t.Helper()
	var fs unix.Statfs_t
	err := unix.Statfs(dir, &fs)
	proctest.Need(t, name, err == nil && fs.Type == magic, fmt.Sprintf("%s is on another file system", dir))
}

func statOne(path string) answer {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return answer{Owners: []owner{{UID: st.Uid, GID: st.Gid, Errno: errnoName(err)}}}
}

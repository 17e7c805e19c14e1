package pathwalk

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// The article's experiment: one file, khope on the host and ctr in the container.
func TestBindMountWithSharedIDs(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	data := file(t, dir+"/data/file.txt", 1000, 1000)
	mkdir(t, dir+"/mysql")
	passwd := file(t, dir+"/passwd", 0, 0)
	if err := os.WriteFile(passwd, []byte("ctr:x:1000:1000::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := start(t, unix.CLONE_NEWNS|unix.CLONE_NEWPID, nil,
		private+"mount --bind "+dir+"/data "+dir+"/mysql; mount --bind "+passwd+" /etc/passwd; mount --bind "+passwd+" /etc/group"+ready)
	f, _ := owners(t, data)
	wantViews(t, &f, nil, data+" 1000:1000 "+hostNames(t, 1000))
	wantViews(t, &f, &c, data+" 1000:1000 ctr:ctr", dir+"/mysql/file.txt 1000:1000 ctr:ctr")

	f, _ = owners(t, dir+"/mysql/file.txt", in(c))
	wantViews(t, &f, nil, data+" 1000:1000 "+hostNames(t, 1000))
	if len(f.Views) != 3 {
		t.Errorf("views %v, want the host's and the container's two", f.Views)
	}
}

func TestUserNamespaces(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	mapped := file(t, dir+"/data/mapped", 101000, 101000)
	foreign := file(t, dir+"/data/foreign", 1000, 1000)
	nobody := file(t, dir+"/data/nobody", 165534, 65534)
	root := file(t, dir+"/data/root", 100000, 100000)
	mkdir(t, dir+"/vol")
	c := start(t, unix.CLONE_NEWNS, shiftedBy(100000), private+"mount --bind "+dir+"/data "+dir+"/vol"+ready)
	bare := start(t, 0, shiftedBy(100000), ready) // it shares the host's mounts
	deep := start(t, 0, shiftedBy(100000), `exec unshare -U -r unshare -U -r unshare -U -r sh -c "echo ready; exec cat"`)

	f, _ := owners(t, mapped)
	names := hostNames(t, 1000)
	wantViews(t, &f, nil, mapped+" 101000:101000 "+hostNames(t, 101000))
	wantViews(t, &f, &c, mapped+" 1000:1000 "+names, dir+"/vol/mapped 1000:1000 "+names)
	wantViews(t, &f, &bare, mapped+" 1000:1000 "+names)
	wantViews(t, &f, &deep, mapped+" unmapped:unmapped :")
	f, _ = owners(t, root)
	wantViews(t, &f, &deep, root+" 0:0 root:root")
	f, _ = owners(t, foreign)
	wantViews(t, &f, &c, foreign+" unmapped:unmapped :", dir+"/vol/foreign unmapped:unmapped :")
	// 65534 inside is an id here, 65534 outside is none inside.
	f, _ = owners(t, nobody)
	user, _, _ := strings.Cut(hostNames(t, 65534), ":")
	wantViews(t, &f, &bare, nobody+" 65534:unmapped "+user+":")
	_, group, _ := strings.Cut(hostNames(t, 65534), ":")
	wantViews(t, &f, nil, nobody+" 165534:65534 "+":"+group)
}

func TestIdmappedMounts(t *testing.T) {
	proctest.NeedRoot(t)
	for _, fs := range []string{"the file system of the temporary directory", "tmpfs"} {
		t.Run(fs, func(t *testing.T) {
			dir := tempDir(t)
			if fs == "tmpfs" {
				mountAt(t, "none", dir, "tmpfs", 0, "mode=755")
			}
			mkdir(t, dir+"/mapped")
			one := file(t, dir+"/data/one", 1, 2)
			outside := file(t, dir+"/data/outside", 70000, 70000)
			nobody := file(t, dir+"/data/nobody", 65534, 65534)
			idmappedMount(t, dir+"/data", dir+"/mapped", shiftedBy(100000))
			c := start(t, unix.CLONE_NEWNS, shiftedBy(100000), private+ready)

			f, _ := owners(t, one)
			wantViews(t, &f, nil, one+" 1:2 "+hostNames(t, 1, 2), dir+"/mapped/one 100001:100002 :")
			wantViews(t, &f, &c, one+" unmapped:unmapped :", dir+"/mapped/one 1:2 "+hostNames(t, 1, 2))
			// The mount has no id for it: unmapped for everyone, the host as well.
			f, _ = owners(t, outside)
			wantViews(t, &f, nil, outside+" 70000:70000 :", dir+"/mapped/outside unmapped:unmapped :")
			wantViews(t, &f, &c, outside+" unmapped:unmapped :", dir+"/mapped/outside unmapped:unmapped :")
			// Id 65534 on disk is one that the mount maps.
			f, _ = owners(t, nobody)
			wantViews(t, &f, nil, nobody+" 65534:65534 "+hostNames(t, 65534), dir+"/mapped/nobody 165534:165534 :")
			wantViews(t, &f, &c, nobody+" unmapped:unmapped :", dir+"/mapped/nobody 65534:65534 "+hostNames(t, 65534))
			// Asked through the idmapped mount it is the same.
			f, _ = owners(t, dir+"/mapped/outside")
			wantViews(t, &f, nil, dir+"/mapped/outside unmapped:unmapped :", outside+" 70000:70000 :")
			if f.OnDisk.UID != 70000 {
				t.Errorf("on disk %v, want 70000", f.OnDisk)
			}
		})
	}
}

// A mount whose map has the overflow id: what shows as 65534 is decided by what is on disk, known from another mount.
func TestOverflowIDInTheMountsMap(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	mkdir(t, dir+"/mapped")
	mapped := file(t, dir+"/data/mapped", 165534, 165534)
	outside := file(t, dir+"/data/outside", 5, 5)
	idmappedMount(t, dir+"/data", dir+"/mapped", []syscall.SysProcIDMap{{ContainerID: 100000, HostID: 0, Size: 65536}})
	f, _ := owners(t, dir+"/mapped/mapped")
	wantViews(t, &f, nil, dir+"/mapped/mapped 65534:65534 "+hostNames(t, 65534), mapped+" 165534:165534 :")
	f, _ = owners(t, dir+"/mapped/outside")
	wantViews(t, &f, nil, dir+"/mapped/outside unmapped:unmapped :", outside+" 5:5 "+hostNames(t, 5))
}

func TestChroot(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	inside := file(t, dir+"/root/srv/file", 1000, 1000)
	file(t, dir+"/outside", 0, 0)
	file(t, dir+"/root/etc/passwd", 0, 0)
	if err := os.WriteFile(dir+"/root/etc/passwd", []byte("jailed:x:1000:1000::/:/\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	static(t, dir+"/root/busybox")
	host := start(t, 0, nil, "exec chroot "+dir+"/root /busybox sh -c 'echo ready; exec /busybox cat'")
	user := start(t, unix.CLONE_NEWNS, shiftedBy(0), private+"exec chroot "+dir+"/root /busybox sh -c 'echo ready; exec /busybox cat'")

	f, _ := owners(t, inside)
	wantViews(t, &f, nil, inside+" 1000:1000 "+hostNames(t, 1000))
	for _, c := range []container{host, user} {
		if got := viewsOf(&f, &c); len(got) != 1 || got[0] != "/srv/file 1000:1000 jailed:" {
			t.Errorf("chroot sees %q", got)
		}
	}
	f, _ = owners(t, "/srv/file", in(user))
	wantViews(t, &f, nil, inside+" 1000:1000 "+hostNames(t, 1000))
	f, _ = owners(t, dir+"/outside")
	if got := append(viewsOf(&f, &host), viewsOf(&f, &user)...); len(got) > 0 {
		t.Errorf("chroot sees what is outside: %q", got)
	}
}

func TestWhatIsNotSeen(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	data := file(t, dir+"/data/sub/file", 1000, 1000)
	for _, d := range []string{"plain", "covered", "file-covered"} {
		mkdir(t, dir+"/"+d)
	}
	other := file(t, dir+"/other", 3, 3)
	script := private
	for _, d := range []string{"plain", "covered", "file-covered"} {
		script += "mount --bind " + dir + "/data " + dir + "/" + d + "\n"
	}
	script += "mount -t tmpfs none " + dir + "/covered/sub; mount --bind " + other + " " + dir + "/file-covered/sub/file\n"
	script += "mount -t tmpfs none " + dir + "/data" + ready
	c := start(t, unix.CLONE_NEWNS|unix.CLONE_NEWPID, nil, script)
	f, gaps := owners(t, data)
	names := hostNames(t, 1000)
	wantViews(t, &f, &c, dir+"/plain/sub/file 1000:1000 "+names)
	f, _ = owners(t, other)
	wantViews(t, &f, &c, other+" 3:3 "+hostNames(t, 3), dir+"/file-covered/sub/file 3:3 "+hostNames(t, 3))
	if hasGap(gaps, "confirmation") {
		t.Errorf("gaps %v", gaps)
	}
}

func TestKindsOfFiles(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	target := file(t, dir+"/target", 1, 1)
	link := dir + "/link"
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 7, 7); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "char": unix.S_IFCHR} {
		if err := unix.Mknod(dir+"/"+path, mode|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		link: "symlink", target: "regular", dir + "/fifo": "fifo", dir + "/socket": "socket", dir + "/char": "char_device",
		dir: "directory", "/proc/self/status": "regular", "/sys/kernel": "directory", "/proc": "directory", "/": "directory", "/dev/null": "char_device",
	} {
		f, _ := owners(t, path)
		if f.Type != want || len(f.Views) == 0 || f.Views[0].UnknownIDs != nil {
			t.Errorf("%s: type %s views %+v, want %s", path, f.Type, f.Views, want)
		}
	}
	f, _ := owners(t, link)
	if f.Views[0].UID != 7 {
		t.Errorf("link: %+v, want uid 7", f.Views[0])
	}
	f, _ = owners(t, link, func(a *Ask, _ *nsinspect.Snapshot) { a.Follow = true })
	if v := f.Views[0]; v.UID != 1 || v.Path != target {
		t.Errorf("link followed: %+v, want %s of uid 1", v, target)
	}
}

func TestDeletedAndLinked(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	path := file(t, dir+"/file", 5, 5)
	if err := os.Link(path, dir+"/other"); err != nil {
		t.Fatal(err)
	}
	f, _ := owners(t, path)
	if f.Nlink != 2 {
		t.Errorf("nlink %d, want 2", f.Nlink)
	}
	open, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, p := range []string{path, dir + "/other"} {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	f, _ = owners(t, "/proc/self/fd/"+strconv.Itoa(int(open.Fd())), func(a *Ask, _ *nsinspect.Snapshot) { a.Follow = true })
	if views := viewsOf(&f, nil); len(views) != 1 || f.Views[0].UID != 5 || f.Nlink != 0 {
		t.Errorf("deleted file: %+v", f)
	}
}

// A path through /proc/PID/root is in another mount namespace.
func TestThroughProcRoot(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	c := start(t, unix.CLONE_NEWNS, shiftedBy(100000),
		private+"mount -t tmpfs none "+dir+"; touch "+dir+"/mine; chown 7:7 "+dir+"/mine"+ready)
	path := "/proc/" + strconv.Itoa(c.pid) + "/root" + dir + "/mine"
	f, _ := owners(t, path)
	wantViews(t, &f, nil, path+" 100007:100007 :")
	wantViews(t, &f, &c, dir+"/mine 7:7 "+hostNames(t, 7))
	f, _ = owners(t, dir+"/mine", in(c))
	wantViews(t, &f, nil, path+" 100007:100007 :")
	wantViews(t, &f, &c, dir+"/mine 7:7 "+hostNames(t, 7))
	if len(f.Assumptions) == 0 {
		t.Error("the owner of the superblock is an assumption, and not said")
	}
}

func TestRelativeToTheWorkingDirectory(t *testing.T) {
	proctest.NeedRoot(t)
	dir := tempDir(t)
	path := file(t, dir+"/work/file", 9, 9)
	c := start(t, unix.CLONE_NEWNS|unix.CLONE_NEWPID, nil, private+"cd "+dir+"/work"+ready)
	for _, ask := range []string{"file", "./file", "../work/file"} {
		f, _ := owners(t, ask, in(c))
		wantViews(t, &f, &c, path+" 9:9 "+hostNames(t, 9))
	}
}

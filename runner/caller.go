package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
)

// Caller is what a plan must know about who carries it out. Ids are those of the caller's own user namespace, which is
// the parent of a new one.
type Caller struct {
	UID, GID idmap.Kernel // effective
	Groups   []idmap.Kernel
	Login    string // the name in /etc/passwd, "" without one
	Caps     uint64 // effective

	UIDMap, GIDMap idmap.Map // of the caller's own user namespace
	Setgroups      string    // of the same
	InitialUserNS  bool

	// OwnsMountNS: the caller's capabilities count for its mount namespace. Without, CAP_SYS_ADMIN does not let it mount.
	OwnsMountNS bool

	Newuidmap, Newgidmap         idmap.Newidmap
	NewuidmapPath, NewgidmapPath string
	NsenterPath                  string

	// ForeignProc: /proc is of another PID namespace, so that a PID means another process there.
	ForeignProc bool

	Kernel string // release, "6.18.44"
	Cwd    string // "" when the directory is gone, or out of reach
}

// CanMount reports whether the caller may mount in its own mount namespace.
func (c *Caller) CanMount() bool { return c.OwnsMountNS && capHas(c.Caps, capSysAdmin) }

// abs is the absolute path of what a flag names.
func (c *Caller) abs(flag, path string) (string, error) {
	switch {
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	case c.Cwd == "":
		return "", refuse(flag+" "+path, "give an absolute path", "the working directory is gone, or out of reach")
	}
	return filepath.Join(c.Cwd, path), nil
}

// ReadCaller reads the facts about this process.
func ReadCaller() (*Caller, error) {
	c := &Caller{}
	if err := c.readCredentials(); err != nil {
		return nil, err
	}
	var err error
	if c.UIDMap, err = readMap("/proc/self/uid_map"); err != nil {
		return nil, err
	}
	if c.GIDMap, err = readMap("/proc/self/gid_map"); err != nil {
		return nil, err
	}
	if b, err := os.ReadFile("/proc/self/setgroups"); err == nil {
		c.Setgroups = strings.TrimSpace(string(b))
	}
	c.InitialUserNS = c.UIDMap.Equal(idmap.Identity()) && c.GIDMap.Equal(idmap.Identity())
	c.OwnsMountNS = ownsMountNS()
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		c.ForeignProc = true // the link is empty, and cannot be read, for a process that has no PID there
	}
	if c.Cwd, err = os.Getwd(); err != nil {
		c.Cwd = ""
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		c.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	c.NsenterPath = findProgram("nsenter")
	c.readGrants()
	return c, nil
}

// readCredentials reads those of this thread, which are those of every thread here.
func (c *Caller) readCredentials() error {
	caps, err := getCaps()
	if err != nil {
		return err
	}
	c.Caps = caps.effective
	noNewPrivs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("prctl PR_GET_NO_NEW_PRIVS: %w", err)
	}
	c.Newuidmap.NoNewPrivs = noNewPrivs == 1
	c.Newgidmap.NoNewPrivs = noNewPrivs == 1
	c.UID, c.GID = idmap.Kernel(os.Geteuid()), idmap.Kernel(os.Getegid())
	groups, err := os.Getgroups()
	if err != nil {
		return fmt.Errorf("getgroups: %w", err)
	}
	for _, g := range groups {
		c.Groups = append(c.Groups, idmap.Kernel(g))
	}
	return nil
}

func readMap(path string) (idmap.Map, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := idmap.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// ownsMountNS asks whether the user namespace that owns the mount namespace is the caller's own. NS_GET_USERNS answers
// EPERM when it is an ancestor.
func ownsMountNS() bool {
	mnt, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		return false
	}
	defer mnt.Close()
	fd, err := unix.IoctlRetInt(int(mnt.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var owner, own unix.Stat_t
	if unix.Fstat(fd, &owner) != nil || unix.Stat("/proc/self/ns/user", &own) != nil {
		return false
	}
	return owner.Ino == own.Ino
}

// readGrants finds newuidmap and newgidmap, and what they would let the caller map. What cannot be read grants nothing.
func (c *Caller) readGrants() {
	c.NewuidmapPath, c.NewgidmapPath = findProgram("newuidmap"), findProgram("newgidmap")
	readNewidmap(&c.Newuidmap, c.NewuidmapPath, capSetuid)
	readNewidmap(&c.Newgidmap, c.NewgidmapPath, capSetgid)
	names := []string{}
	c.Newuidmap.LoginGroup, c.Newgidmap.LoginGroup = idmap.UnmappedKernel, idmap.UnmappedKernel
	if u, err := user.LookupId(c.UID.String()); err == nil {
		c.Login = u.Username
		names = append(names, u.Username)
		if gid, err := strconv.ParseUint(u.Gid, 10, 32); err == nil {
			c.Newuidmap.LoginGroup, c.Newgidmap.LoginGroup = idmap.Kernel(gid), idmap.Kernel(gid)
		}
	}
	c.Newuidmap.Grants = readSubIDs("/etc/subuid").Of(c.UID, names...)
	c.Newgidmap.Grants = readSubIDs("/etc/subgid").Of(c.UID, names...)
}

// subIDCap bounds what is read of /etc/subuid: 16 MiB are 700,000 users.
const subIDCap = 16 << 20

func readSubIDs(path string) idmap.SubIDs {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	ids, _ := idmap.ParseSubIDs(io.LimitReader(f, subIDCap)) // lines that cannot be read grant nothing, for newuidmap too
	return ids
}

// findProgram looks for a program in the directories of the system, never in PATH: it is going to get privileges, or to
// be trusted with namespaces.
func findProgram(name string) string {
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/", "/usr/local/bin/", "/run/wrappers/bin/", "/run/current-system/sw/bin/"} {
		var st unix.Stat_t
		if unix.Stat(dir+name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			return dir + name
		}
	}
	return ""
}

func readNewidmap(n *idmap.Newidmap, path string, setid int) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if path == "" || unix.Stat(path, &st) != nil || unix.Statfs(path, &fs) != nil {
		return
	}
	n.Installed = true
	if fs.Flags&unix.ST_NOSUID != 0 {
		return
	}
	n.SetID = st.Mode&unix.S_ISUID != 0 && st.Uid == 0
	caps, err := fileCaps(path)
	if err != nil {
		return
	}
	n.FileCaps = capHas(caps, setid)
	n.FileSetFCAP = capHas(caps, capSetfcap)
}

// fileCaps is the permitted set of a file's capabilities: struct vfs_cap_data, whose first word has the revision in the
// top byte and the effective flag in bit 0, then permitted and inheritable, 32 bits each, low words first
// (include/uapi/linux/capability.h).
func fileCaps(path string) (uint64, error) {
	b := make([]byte, 64)
	n, err := unix.Getxattr(path, "security.capability", b)
	if err != nil {
		return 0, err
	}
	if n < 20 {
		return 0, errors.New("short security.capability")
	}
	word := func(i int) uint64 {
		w := b[4*i:]
		return uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24
	}
	if word(0)&1 == 0 { // not effective: the program would have to raise them, and newuidmap does not
		return 0, nil
	}
	return word(1) | word(3)<<32, nil
}

// kernelAtLeast compares a release such as "6.18.44-generic".
func kernelAtLeast(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Fscanf(bytes.NewReader([]byte(release)), "%d.%d", &a, &b); err != nil {
		return true // could not tell: let the kernel say
	}
	return a > major || a == major && b >= minor
}

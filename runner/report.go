package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
)

// Report is what a started command looks like from both sides: outside is the caller's side.
type Report struct {
	PID  int   `json:"pid"`
	PIDs []int `json:"pids"` // outermost first; the last is the PID in its own PID namespace

	UID IDPair `json:"uid"` // effective
	GID IDPair `json:"gid"`

	Namespaces []ReportNamespace `json:"namespaces"`
	UIDMap     idmap.Map         `json:"uid_map"`
	GIDMap     idmap.Map         `json:"gid_map"`
	Setgroups  string            `json:"setgroups"`
	Binds      []ReportBind      `json:"binds"`
	Pins       []string          `json:"pins"`
}

// IDPair is one id from both sides. Each is unmapped (null) where it has no mapping.
type IDPair struct {
	Outside idmap.Kernel `json:"outside"`
	Inside  idmap.Inside `json:"inside"`
}

// ReportNamespace is one namespace of the command.
type ReportNamespace struct {
	Type  Namespace `json:"type"`
	Inode uint64    `json:"inode"`
	State string    `json:"state"` // "new", "joined", or "shared" with the caller
}

// ReportBind is one bind mount, and the owner of what it shows.
type ReportBind struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only"`
	Idmapped bool   `json:"idmapped"`
	Host     Owner  `json:"host"`   // of SRC, as the caller sees it
	Inside   Owner  `json:"inside"` // of DST, as the command sees it
	Error    string `json:"error"`  // why an owner could not be read, "" when both were
}

// Owner are the uid and the gid of a file; nil (null) is an unmapped one, or one that could not be read.
type Owner struct {
	UID *uint32 `json:"uid"`
	GID *uint32 `json:"gid"`
}

// readReport looks at the stage from outside, when it has everything that the command will have: a command that ends at
// once is reported as well.
func (c *Container) readReport() (*Report, error) {
	dir := "/proc/" + strconv.Itoa(c.PID)
	r := &Report{PID: c.PID, Pins: []string{}, Binds: []ReportBind{}}
	for field := range strings.FieldsSeq(statusField(c.PID, "NSpid")) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s/status: NSpid: %w", dir, err)
		}
		r.PIDs = append(r.PIDs, n)
	}
	if len(r.PIDs) == 0 {
		return nil, fmt.Errorf("%s: %w: the command has ended", dir, fs.ErrNotExist)
	}
	var err error
	if r.UIDMap, err = readMap(dir + "/uid_map"); err != nil {
		return nil, err
	}
	if r.GIDMap, err = readMap(dir + "/gid_map"); err != nil {
		return nil, err
	}
	if !c.Plan.Spec.has(User) && c.Plan.Spec.joined(User) == nil {
		// In the caller's own user namespace the file says what is outside of that.
		r.UIDMap, r.GIDMap = c.Plan.UIDMap, c.Plan.GIDMap
	}
	if b, err := os.ReadFile(dir + "/setgroups"); err == nil {
		r.Setgroups = strings.TrimSpace(string(b))
	}
	r.UID.Outside, r.UID.Inside = bothSides(c.PID, "Uid", r.UIDMap)
	r.GID.Outside, r.GID.Inside = bothSides(c.PID, "Gid", r.GIDMap)
	for _, n := range Namespaces() {
		ns, err := c.reportNamespace(dir, n)
		if err != nil {
			return nil, err
		}
		if ns.Inode != 0 {
			r.Namespaces = append(r.Namespaces, ns)
		}
	}
	c.reportBinds(dir, r)
	return r, nil
}

// bothSides are the effective id of a line of status, which the kernel gives as the caller's user namespace names it.
func bothSides(pid int, key string, m idmap.Map) (idmap.Kernel, idmap.Inside) {
	fields := strings.Fields(statusField(pid, key))
	if len(fields) < 2 {
		return idmap.UnmappedKernel, idmap.UnmappedInside
	}
	n, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return idmap.UnmappedKernel, idmap.UnmappedInside
	}
	return idmap.Kernel(n), m.ToInside(idmap.Kernel(n))
}

func (c *Container) reportNamespace(dir string, n Namespace) (ReportNamespace, error) {
	ns := ReportNamespace{Type: n, State: "shared"}
	path := dir + "/ns/" + string(n)
	if n == Time {
		path = dir + "/ns/time_for_children" // the stage is in it only once it has executed the command
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return ns, nil // the kernel has no such namespaces
		}
		return ns, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	ns.Inode = st.Ino
	switch {
	case slices.Contains(c.Plan.Spec.New, n):
		ns.State = "new"
	case c.Plan.Spec.joined(n) != nil:
		ns.State = "joined"
	}
	return ns, nil
}

// reportBinds looks at both ends of each bind mount.
func (c *Container) reportBinds(dir string, r *Report) {
	for _, m := range c.Plan.Spec.Mounts {
		if m.Tmpfs() {
			continue
		}
		b := ReportBind{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Idmapped: m.Idmap}
		var host, inside unix.Stat_t
		err := unix.Stat(m.Source, &host)
		if err == nil {
			b.Host = Owner{UID: &host.Uid, GID: &host.Gid}
			err = statInside(dir+"/root", m.Target, &inside)
		}
		if err == nil {
			uids, gids := c.seenThrough(m, &host, &inside)
			b.Inside = Owner{UID: insideID(r.UIDMap, uids), GID: insideID(r.GIDMap, gids)}
		} else {
			b.Error = err.Error()
		}
		r.Binds = append(r.Binds, b)
	}
}

// statInside is stat(2) of a path in the root of a process, whose symbolic links stay in there.
func statInside(root, path string, st *unix.Stat_t) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: root + path, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, st); err != nil {
		return &fs.PathError{Op: "stat", Path: root + path, Err: err}
	}
	return nil
}

// seenThrough are the owner of what a mount shows, outside ids. An id that the mount's map does not have reads as the
// overflow id, which may be an ordinary one: the map decides.
func (c *Container) seenThrough(m MountSpec, host, inside *unix.Stat_t) (uid, gid idmap.Kernel) {
	uid, gid = idmap.Kernel(inside.Uid), idmap.Kernel(inside.Gid)
	if !m.Idmap {
		return uid, gid
	}
	uids, gids, err := c.Plan.mountMaps(m)
	if err == nil && !uids.Covers(idmap.Inside(host.Uid)) {
		uid = idmap.UnmappedKernel
	}
	if err == nil && !gids.Covers(idmap.Inside(host.Gid)) {
		gid = idmap.UnmappedKernel
	}
	return uid, gid
}

func insideID(m idmap.Map, outside idmap.Kernel) *uint32 {
	id := uint32(m.ToInside(outside))
	if !idmap.Inside(id).Mapped() {
		return nil
	}
	return &id
}

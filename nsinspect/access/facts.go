package access

import (
	"slices"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// Fact is something that is so, is not so, or could not be told. The zero Fact is unknown.
type Fact int8

// The three values.
const (
	NotTold Fact = iota
	No
	Yes
)

// FactOf is Yes or No.
func FactOf(b bool) Fact {
	if b {
		return Yes
	}
	return No
}

// Host is what holds for every question about one host.
type Host struct {
	Kernel Kernel `json:"kernel"`

	// UserNS are the user namespaces that may take part in a decision, with all their ancestors.
	UserNS map[nsinspect.Inode]*UserNS `json:"user_ns"`
	// InitialNS says that the observer is in the initial user namespace: its ids are the kernel's own.
	InitialNS bool `json:"initial_ns"`
	// UID is the observer's: the commands of fixes are for its shell as far as it may, else for root's.
	UID  idmap.Kernel `json:"uid"`
	LSMs []string     `json:"lsms"` // active security modules, nil when unknown

	// The observer's sysctls fs.protected_*, -1 when they could not be read.
	ProtectedSymlinks  int `json:"protected_symlinks"`
	ProtectedHardlinks int `json:"protected_hardlinks"`
	ProtectedRegular   int `json:"protected_regular"`
	ProtectedFifos     int `json:"protected_fifos"`

	Names *nsinspect.NameTable `json:"-"` // the observer's users and groups, nil when unknown
}

// UserNS is a user namespace as capability checks see it.
type UserNS struct {
	Inode   nsinspect.Inode `json:"inode"`
	Parent  nsinspect.Inode `json:"parent"`    // 0 for the initial one; in Host.UserNS, else it is beyond the observer's view
	Owner   idmap.Kernel    `json:"owner_uid"` // its creator's effective uid
	UID     idmap.Map       `json:"uid_map"`
	GID     idmap.Map       `json:"gid_map"`
	Initial bool            `json:"initial"`
}

// Map is the map of a kind of ids.
func (ns *UserNS) Map(kind idmap.Kind) idmap.Map {
	if kind == idmap.GID {
		return ns.GID
	}
	return ns.UID
}

// outside is make_kuid() and make_kgid() (kernel/user_namespace.c): the kernel's id for one inside, unmapped where there is
// none.
func (ns *UserNS) outside(kind idmap.Kind, id idmap.Inside) idmap.Kernel {
	if ns.Initial {
		return idmap.Kernel(id)
	}
	return ns.Map(kind).ToOutside(id)
}

// Walk is how one path resolves in a target's view: every lookup in the order in which the kernel makes them, made
// without regard to the target's permissions (which are what [Decide] judges).
type Walk struct {
	Host *Host  `json:"-"`
	Path string `json:"path"` // as it was asked for

	Start *Node    `json:"start"` // the target's root, or its working directory for a relative path
	Steps []Lookup `json:"steps"`

	// Rest are the names that could not be looked up because the walk ended early: at a missing name, at something that
	// is no directory, or where Fail says. It does not have the name at which it ended.
	Rest []string `json:"rest,omitempty"`

	// TrailingSlash: the path ends in "/", so what it names must be a directory. Last is "." or ".." or "/" when the path
	// ends in that and names no entry of a directory, "" otherwise.
	TrailingSlash bool   `json:"trailing_slash,omitempty"`
	Last          string `json:"last,omitempty"`

	// Fail is an error of the walk itself, after all of Steps: ELOOP, ENAMETOOLONG, ENOENT for an empty path, EROFS where an
	// overlay looks up a merged directory for the first time and has to note in its upper layer where that comes from, which
	// has become read-only (ovl_fix_origin() in fs/overlayfs/namei.c).
	Fail Errno `json:"fail,omitempty"`
	// Missing says which fact ended the walk before its end (a FUSE server that does not answer, a directory that not
	// even the observer may search): then the answer is unknown unless an earlier step denies.
	Missing string `json:"missing,omitempty"`

	// New is the walk of the second path, for rename and link.
	New *Walk `json:"new,omitempty"`
	// SameDir, SameFile and Ancestor are about both paths: one parent directory; one inode; "old" when the old path is a
	// directory above the new one, "new" when the new one is a directory above the old one.
	SameDir  bool   `json:"same_dir,omitempty"`
	SameFile bool   `json:"same_file,omitempty"`
	Ancestor string `json:"ancestor,omitempty"`

	// Sysctl is what /proc/sys is to the target, nil when the path does not lead there or it could not be told.
	Sysctl *Sysctl `json:"sysctl,omitempty"`

	Assumptions []string `json:"assumptions,omitempty"`
}

// Sysctl is whose settings a process finds below /proc/sys: those of its own network and IPC namespaces, which the
// observer does not see there.
type Sysctl struct {
	NetOwner nsinspect.Inode `json:"net_owner"` // the user namespace that owns its network namespace, 0 unknown
	IPCOwner nsinspect.Inode `json:"ipc_owner"` // the one that owns its IPC namespace
	SameNet  bool            `json:"same_net"`  // its network namespace is the observer's
}

// Reached is what the walk ends at, nil when it does not get to the end of its path or there is no such file.
func (w *Walk) Reached() *Node {
	switch {
	case w == nil || len(w.Rest) > 0 || w.Fail != "" || w.Missing != "":
		return nil
	case len(w.Steps) == 0:
		return w.Start
	}
	last := &w.Steps[len(w.Steps)-1]
	if last.End != nil {
		return last.End
	}
	return last.Found
}

// NewFile is the name of the file that is asked about where the question is whether a directory takes a new one: none has
// it.
const NewFile = ".nsview-new-file"

// In is the walk on to a name in the directory that this one reaches, where there is no such name.
func (w *Walk) In(name string) *Walk {
	in := *w
	in.Path = strings.TrimSuffix(w.Path, "/") + "/" + name
	in.Last, in.TrailingSlash = "", false
	in.Steps = append(slices.Clone(w.Steps), Lookup{Dir: w.Reached(), Name: name, Trailing: true})
	return &in
}

// Lookup is one name looked up in one directory.
type Lookup struct {
	Dir   *Node  `json:"dir"`   // which must be searchable
	Name  string `json:"name"`  // may be ".."
	Found *Node  `json:"found"` // nil: there is no such name. On a mount point, what is mounted there

	// Trailing: the last name of the path, or of the text of a trailing symbolic link (protected_symlinks is about these).
	Trailing bool `json:"trailing,omitempty"`
	// Followed: Found is a symbolic link and the next Lookup is that of its text (or the walk failed).
	Followed bool `json:"followed,omitempty"`
	// Magic: Found is a magic link of procfs, whose Followed target is the Dir of the next Lookup or End.
	Magic bool `json:"magic,omitempty"`
	// Trace is the process whose link it is, unless that is the target itself.
	Trace *Trace `json:"trace,omitempty"`
	// End is what the walk arrived at by following a link that ends it without another lookup ("/", magic links).
	End *Node `json:"end,omitempty"`
}

// Trace is another process, as ptrace_may_access() looks at it (kernel/ptrace.c).
type Trace struct {
	PID      int                   `json:"pid"` // as the procfs has it
	Cred     nsinspect.Credentials `json:"cred"`
	UserNS   nsinspect.Inode       `json:"user_ns"`  // in Host.UserNS
	Dumpable Fact                  `json:"dumpable"` // PR_SET_DUMPABLE
}

// Type is a kind of file, spelled as nsview owner spells it.
type Type string

// The kinds of files.
const (
	Regular     Type = "regular"
	Directory   Type = "directory"
	Symlink     Type = "symlink"
	FIFO        Type = "fifo"
	Socket      Type = "socket"
	CharDevice  Type = "char_device"
	BlockDevice Type = "block_device"
)

// ID is a user or group id of an inode in two of its three faces; the third, how the subject sees it, follows from the
// subject's map.
type ID struct {
	OnDisk idmap.Disk   `json:"on_disk"` // what the file system stores; unmapped when no interface tells
	Seen   idmap.Kernel `json:"seen"`    // as the mount shows it, unmapped when the mount's or superblock's map does not cover it
	Known  bool         `json:"known"`   // false: Seen could not be told (a mount whose map is not shown)
}

// Node is one file as one mount shows it.
type Node struct {
	Path  string `json:"path"`           // in the target's root
	Host  string `json:"host,omitempty"` // as the observer reaches it, "" unknown
	Type  Type   `json:"type"`
	Mode  uint32 `json:"mode"` // permission, set-id and sticky bits
	UID   ID     `json:"uid"`
	GID   ID     `json:"gid"`
	Dev   string `json:"dev"` // MAJOR:MINOR as stat(2) says
	Inode uint64 `json:"inode"`
	Nlink uint64 `json:"nlink"`
	// Changed is when it was changed last in any way, its owner and mode too (ctime), Written what is in it (mtime).
	Changed time.Time `json:"-"`
	Written time.Time `json:"-"`
	Rdev    string    `json:"rdev,omitempty"` // MAJOR:MINOR of a device
	Link    string    `json:"link,omitempty"` // text of a symbolic link

	ACL        *ACL   `json:"acl"`                   // nil: none beyond the mode
	DefaultACL *ACL   `json:"default_acl"`           // of a directory
	ACLMissing string `json:"acl_missing,omitempty"` // why ACL could not be read
	NoACL      bool   `json:"no_acl,omitempty"`      // the file system has no ACLs (EOPNOTSUPP)

	Immutable Fact `json:"immutable"`
	Append    Fact `json:"append"`
	Empty     Fact `json:"empty"`             // a directory without entries; told only of a last component
	Removed   bool `json:"removed,omitempty"` // a directory that has no name any more: nothing can be made in it
	Busy      Fact `json:"busy"`              // something is mounted on it in the target's mount namespace; told only of a last component

	Caps        *FileCaps `json:"caps,omitempty"` // security.capability; told only of a last component
	CapsMissing string    `json:"caps_missing,omitempty"`

	Xattrs        []string `json:"xattrs,omitempty"` // names, as the observer lists them; told for xattr operations
	XattrsMissing string   `json:"xattrs_missing,omitempty"`
	NoXattr       bool     `json:"no_xattr,omitempty"` // its file system has no attributes of that name (EOPNOTSUPP); told for xattr operations

	// OwnFDs: the directory of procfs that has the target's own descriptors, which it may always search.
	OwnFDs bool `json:"own_fds,omitempty"`

	Exec *Exec `json:"exec,omitempty"` // what exec of it needs further; told for exec

	Mount   *Mount   `json:"mount"`
	Overlay *Overlay `json:"overlay,omitempty"` // nil when it is not on an overlay
}

// Mount is the mount that a file was reached through.
type Mount struct {
	ID          int            `json:"id"`
	Point       string         `json:"point"`          // in the target's root
	Root        string         `json:"root,omitempty"` // the directory of its file system that is mounted there, "" unknown
	ReadOnly    bool           `json:"read_only"`
	NoExec      bool           `json:"no_exec"`
	NoDev       bool           `json:"no_dev"`
	NoSUID      bool           `json:"no_suid"`
	NoSymfollow bool           `json:"no_symfollow"`
	Idmapped    bool           `json:"idmapped"`
	MapKnown    bool           `json:"map_known"` // UIDMap and GIDMap are known
	UIDMap      idmap.MountMap `json:"uid_map,omitempty"`
	GIDMap      idmap.MountMap `json:"gid_map,omitempty"`
	Locked      []string       `json:"locked,omitempty"`  // flags (ro, noexec, nodev) that may have come with it from a mount namespace of a more privileged user namespace: nobody can lift those here (mount_namespaces(7))
	Foreign     bool           `json:"foreign,omitempty"` // of another mount namespace than the target's own (a magic link led there)
	Super       *Super         `json:"super"`
}

// IDs is how ids of a kind pass through the mount. What owns an unknown superblock is taken to be the initial user
// namespace: a fix that this makes wrong is not proven, since [Decide] judges by its own reading.
func (m *Mount) IDs(h *Host, kind idmap.Kind) idmap.MountIDs {
	ids := idmap.MountIDs{Superblock: idmap.Identity()}
	if m == nil {
		return ids
	}
	ids.Idmapped, ids.Map = m.Idmapped, m.UIDMap
	if kind == idmap.GID {
		ids.Map = m.GIDMap
	}
	if m.Super != nil && h != nil {
		if ns := h.UserNS[m.Super.UserNS]; ns != nil && !ns.Initial {
			ids.Superblock = ns.Map(kind)
		}
	}
	return ids
}

// Super is the superblock of a file system.
type Super struct {
	Dev           string          `json:"dev"`
	FSType        string          `json:"fs_type"`
	ReadOnly      bool            `json:"read_only"`
	Options       []string        `json:"options"`
	UserNS        nsinspect.Inode `json:"user_ns"`                   // the namespace that owns it; 0 unknown
	FUSEAdmin     Fact            `json:"fuse_admin,omitempty"`      // of a FUSE file system: CAP_SYS_ADMIN of the initial user namespace is enough to use it (module parameter allow_sys_admin_access)
	UserNSAssumed bool            `json:"user_ns_assumed,omitempty"` // no interface shows it: inferred from the mount namespace's owner
}

// Overlay is what overlayfs has below one of its files.
type Overlay struct {
	Missing    string `json:"missing,omitempty"`    // why the layers could not be told
	Upper      bool   `json:"upper"`                // the file is in the upper layer: no copy-up is needed
	Writable   bool   `json:"writable"`             // there is an upper layer
	Unhindered bool   `json:"unhindered,omitempty"` // no layer can refuse who mounted it or be in the way of a copy-up: Real was not looked for
	// UpperReadOnly: the file system of the upper layer is read-only, which the overlay itself does not show: somebody made it
	// so later, or the kernel after an error of the disk.
	UpperReadOnly Fact `json:"upper_read_only"`

	Redirect  Fact            `json:"redirect"`          // a directory that has a lower layer can be renamed (redirect_dir); told for renames
	Merged    bool            `json:"merged,omitempty"`  // a directory that has a lower layer below it
	Real      *Node           `json:"real"`              // the file in its topmost layer, through the layer's mount
	Below     []*Node         `json:"below,omitempty"`   // the directories that are merged below Real; told only of one that may go
	CopyUp    []*Node         `json:"copy_up,omitempty"` // real parents, top down, that a change would have to copy up first
	MounterNS nsinspect.Inode `json:"mounter_ns"`        // user namespace of who mounted it, assumed to hold all capabilities there
}

// ACLTag is the kind of an ACL entry.
type ACLTag string

// The kinds of entries (acl(5)).
const (
	ACLUserObj  ACLTag = "user_obj"
	ACLUser     ACLTag = "user"
	ACLGroupObj ACLTag = "group_obj"
	ACLGroup    ACLTag = "group"
	ACLMask     ACLTag = "mask"
	ACLOther    ACLTag = "other"
)

// ACL is a POSIX ACL in the kernel's order, ids as the mount shows them.
type ACL struct {
	Entries []ACLEntry `json:"entries"`
}

// ACLEntry is one entry.
type ACLEntry struct {
	Tag  ACLTag       `json:"tag"`
	ID   idmap.Kernel `json:"id"`   // of user and group entries; unmapped matches nobody
	Perm uint32       `json:"perm"` // rwx as 4, 2, 1
}

// FileCaps is the xattr security.capability (capabilities(7)).
type FileCaps struct {
	Revision    int          `json:"revision"` // 2 or 3
	Effective   bool         `json:"effective"`
	Permitted   uint64       `json:"permitted"`
	Inheritable uint64       `json:"inheritable"`
	RootID      idmap.Kernel `json:"root_id"` // of revision 3, as the observer reads it
}

// Exec is what the kernel reads in a program.
type Exec struct {
	Missing     string `json:"missing,omitempty"`     // why it could not be read
	Format      string `json:"format"`                // "elf", "script", "unknown" (ENOEXEC)
	Interpreter *Walk  `json:"interpreter,omitempty"` // of a script or a dynamic ELF
	Fail        Errno  `json:"fail,omitempty"`        // of format "unknown": what exec of it fails with, "" for ENOEXEC
	Machine     string `json:"machine,omitempty"`     // of format "unknown": the machine of an ELF program that is not this kernel's ("aarch64")
	Broken      bool   `json:"broken,omitempty"`      // of format "unknown": it begins as an ELF program for this machine does
	Loader      Errno  `json:"loader,omitempty"`      // what a program fails with whose ELF interpreter it is, "" when it can be one
}

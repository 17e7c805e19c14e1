package pathwalk

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect/access"
)

// scene is a whole scenario as plain data: it can be built, printed, and made smaller.
type scene struct {
	Spaces   []space // user namespaces; 0 is the initial one
	Acts     []act   // what is made, in this order
	Subjects []subject
}

// space is a user namespace.
type space struct {
	Parent        int
	UID, GID      []extent
	DenySetgroups bool
	Groups        []int // supplementary groups that its first process keeps from its parent, as the parent counts
	OwnMounts     bool  // its first process has a mount namespace of its own too
}

// extent is a line of an id map; outside is as the parent namespace counts.
type extent struct{ Inside, Outside, Count int }

// where is a user namespace and a mount namespace, both named by the space that they belong to.
type where struct{ Space, Mounts int }

// mounts is the space that owns the mount namespace which processes of a space are in.
func (s *scene) mounts(space int) int {
	for space != 0 && !s.Spaces[space].OwnMounts {
		space = s.Spaces[space].Parent
	}
	return space
}

// home is where the first process of a space is.
func (s *scene) home(space int) where { return where{space, s.mounts(space)} }

// act is one thing that is made, by a process with all capabilities in its user namespace. Ids are as that counts them.
type act struct {
	By       where
	Kind     string // dir, file, program, script, link, fifo, socket, device, whiteout, flag, xattr; mount, tmpfs, ramfs, overlay, read-only
	Path     string
	UID, GID int
	Mode     uint32
	ACL      string // of "user:1000:r-x" and the like, separated by commas
	Default  string
	Caps     *fileCapsSpec
	Text     string   // of a link, a script, a flag, an xattr; options of an overlay
	Source   string   // of a mount
	Attr     []string // of a mount: ro, noexec, nodev, nosuid, nosymfollow
	Idmap    int      // the space whose maps an idmapped mount has, 0 none
}

// fileCapsSpec is a security.capability. Root is the uid for whom it counts, as who sets it counts, -1 for revision 2.
type fileCapsSpec struct {
	Permitted, Inheritable uint64
	Effective              bool
	Root                   int
}

// subject is a process that asks. Ids are inside.
type subject struct {
	In            where
	UID, EUID     int
	GID, EGID     int
	Groups        []int // nil where setgroups is denied
	Eff, Prm, Inh uint64
	Bnd           uint64
	NoNewPrivs    bool
	Cwd           string
}

func (s space) String() string {
	text := "of " + strconv.Itoa(s.Parent) + ", uid" + extentsText(s.UID) + ", gid" + extentsText(s.GID)
	if s.DenySetgroups {
		text += fmt.Sprintf(", setgroups denied with the groups %v kept", s.Groups)
	}
	if s.OwnMounts {
		text += ", with a mount namespace"
	}
	return text
}

func extentsText(list []extent) string {
	text := ""
	for _, e := range list {
		text += fmt.Sprintf(" %d:%d:%d", e.Inside, e.Outside, e.Count)
	}
	return text
}

func (w where) String() string {
	if w.Space == w.Mounts {
		return fmt.Sprintf("in space %d", w.Space)
	}
	return fmt.Sprintf("in space %d with the mounts of %d", w.Space, w.Mounts)
}

func (a act) String() string {
	text := a.By.String() + ": " + a.Kind + " " + a.Path
	switch a.Kind {
	case "mount":
		text += " of " + a.Source
	case "tmpfs", "ramfs", "overlay", "whiteout", "flag", "xattr", "read-only":
	default:
		text += fmt.Sprintf(" %d:%d", a.UID, a.GID)
		if a.Kind != "link" {
			text += fmt.Sprintf(" %04o", a.Mode)
		}
	}
	if a.Text != "" {
		text += fmt.Sprintf(" %q", a.Text)
	}
	if a.ACL != "" {
		text += " acl " + a.ACL
	}
	if a.Default != "" {
		text += " default acl " + a.Default
	}
	if a.Caps != nil {
		text += fmt.Sprintf(" caps %+v", *a.Caps)
	}
	if len(a.Attr) > 0 {
		text += " " + strings.Join(a.Attr, ",")
	}
	if a.Idmap != 0 {
		text += fmt.Sprintf(" idmapped by space %d", a.Idmap)
	}
	return text
}

func (s subject) String() string {
	text := fmt.Sprintf("%s, uid %d/%d, gid %d/%d, groups %v, capabilities %x of %x (inheritable %x, bounding %x)", s.In, s.UID, s.EUID, s.GID, s.EGID, s.Groups, s.Eff, s.Prm, s.Inh, s.Bnd)
	if s.NoNewPrivs {
		text += ", no new privileges"
	}
	if s.Cwd != "" {
		text += ", working directory " + s.Cwd
	}
	return text
}

func (q request) String() string {
	o := q.Op
	text := string(o.Op) + " " + q.Path
	switch o.Op {
	case access.OpRename, access.OpNoreplace, access.OpExchange, access.OpLink:
		text += " " + o.New
	case access.OpChmod:
		text += fmt.Sprintf(" %04o", o.Mode)
	case access.OpAccess, access.OpEaccess:
		text += fmt.Sprintf(" %o", o.Mode)
	case access.OpChown, access.OpLchown:
		text += fmt.Sprintf(" %d %d", int32(o.UID), int32(o.GID))
	case access.OpSetxattr, access.OpGetxattr:
		text += " " + o.Name
	}
	return text
}

// String is the scenario as one reads it: only the spaces that take part.
func (s *scene) String() string {
	used := map[int]bool{}
	var use func(i int)
	use = func(i int) {
		if i != 0 && !used[i] {
			used[i] = true
			use(s.Spaces[i].Parent)
		}
	}
	for _, a := range s.Acts {
		use(a.By.Space)
		use(a.By.Mounts)
		use(a.Idmap)
	}
	for _, p := range s.Subjects {
		use(p.In.Space)
		use(p.In.Mounts)
	}
	var b strings.Builder
	for i := range s.Spaces {
		if used[i] {
			fmt.Fprintf(&b, "  space %d: user namespace %s\n", i, s.Spaces[i])
		}
	}
	for _, a := range s.Acts {
		fmt.Fprintf(&b, "  %s\n", a)
	}
	for i, p := range s.Subjects {
		fmt.Fprintf(&b, "  subject %d: %s\n", i, p)
	}
	return b.String()
}

package runner

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// Plan is what will be done, in order. It is plain data.
type Plan struct {
	Spec  Spec   // with what it implies filled in
	Steps []Step // for people

	// The maps that are written for a new user namespace, outside ids the caller's. Without a new user namespace they are
	// those of the one that the command will be in.
	UIDMap, GIDMap idmap.Map
	Setgroups      string // what /proc/PID/setgroups will say

	UIDThrough, GIDThrough string // path of newuidmap or newgidmap; "" writes directly

	UID, GID  idmap.Inside // whom the command runs as; unmapped keeps what the kernel gives
	SetIDs    bool         // UID and GID are set
	Groups    []idmap.Inside
	SetGroups bool

	CapBound   uint64 // stays in the bounding set
	CapAmbient uint64 // what a command that is not root keeps

	Nsenter  string // absolute path, "" when nothing is joined
	Preserve bool   // nsenter --preserve-credentials
	OpenHere bool   // the caller opens the mount sources, with its capabilities
}

// Step is one line of a plan.
type Step struct {
	Text string `json:"text"`
}

// NewPlan judges spec and orders what is to be done. It is pure: what it knows of the host is in c. A refusal is an
// [*Error] with what would be accepted as its hint.
func NewPlan(spec Spec, c *Caller) (*Plan, error) {
	spec.New = slices.Clone(spec.New)
	spec.imply()
	p := &Plan{Spec: spec, UID: idmap.UnmappedInside, GID: idmap.UnmappedInside, OpenHere: c.CanMount()}
	for _, judge := range []func(*Caller) error{
		p.planProc, p.planCommand, p.planNamespaces, p.planJoins, p.planMaps, p.planCredentials, p.planCaps, p.planMounts, p.planTime, p.planKeeping,
	} {
		if err := judge(c); err != nil {
			return nil, err
		}
	}
	p.describe(c)
	return p, nil
}

// planProc refuses a procfs that shows another PID namespace: the PID of the command would name somebody else there, whose
// id map would be written.
func (p *Plan) planProc(c *Caller) error {
	if !c.ForeignProc {
		return nil
	}
	return refuse("", "mount a procfs of this PID namespace on /proc, as nsview run --mount-proc does",
		"/proc shows the processes of another PID namespace than this one")
}

func (p *Plan) planCommand(*Caller) error {
	if len(p.Spec.Command) == 0 {
		return refuse("", "nsview run [flags] -- COMMAND [ARG...]", "no COMMAND to run")
	}
	for _, e := range p.Spec.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return refuse("--env "+e, "--env NAME=VALUE", "no name and value")
		}
	}
	return nil
}

func (p *Plan) planNamespaces(c *Caller) error {
	s := &p.Spec
	for _, j := range s.Join {
		if s.has(j.Type) {
			return refuse("--join-"+j.Type.Flag(), "leave out one of the two", "a new %s namespace is asked for as well", j.Type)
		}
	}
	if len(s.New) == 0 || s.has(User) || s.joined(User) != nil || capHas(c.Caps, capSysAdmin) {
		return nil
	}
	hint := "add --map-root or --map-current for a user namespace of your own"
	return refuse(p.whyNew(s.New[0]), hint, "a new %s namespace needs CAP_SYS_ADMIN, which uid %v here does not have", s.New[0], c.UID)
}

// whyNew is the flag that asks for the namespace, as the user will remember it.
func (p *Plan) whyNew(n Namespace) string {
	s := &p.Spec
	switch {
	case n == PID && s.MountProc, n == Mount && s.MountProc:
		return "--mount-proc"
	case n == Mount && s.Root != "":
		return "--root"
	case n == Mount && len(s.Mounts) > 0:
		return "--bind"
	case n == PID && s.Init:
		return "--init"
	case n == UTS && s.Hostname != "":
		return "--hostname"
	case n == Time && len(s.TimeOffsets) > 0:
		return "--time-offset"
	}
	return "--" + n.Flag()
}

func (p *Plan) planJoins(c *Caller) error {
	s := &p.Spec
	if len(s.Join) == 0 {
		return nil
	}
	if c.NsenterPath == "" {
		return noNsenter(s.Join[0].Type)
	}
	p.Nsenter = c.NsenterPath
	if s.joined(Mount) != nil && (s.Root != "" || len(s.Mounts) > 0 || s.MountProc) {
		return refuse("--join-mount", "", "mounts made there would change the mount namespace of other processes")
	}
	if s.joined(User) != nil && (s.mapped() || s.Setgroups != "") {
		return refuse("--join-user", "leave out the map flags and --setgroups", "a user namespace that is joined has its maps already")
	}
	if s.joined(PID) != nil && s.Init {
		return refuse("--init", "", "the PID namespace that is joined has an init already")
	}
	j := s.joined(User)
	if j == nil {
		if !capHas(c.Caps, capSysAdmin) {
			return refuse("--join-"+s.Join[0].Type.Flag(), "join its user namespace too, with --join-user",
				"joining needs CAP_SYS_ADMIN, which uid %v here does not have", c.UID)
		}
		return nil
	}
	noRoot := !j.UIDMap.Covers(0) || !j.GIDMap.Covers(0)
	p.Preserve = j.UIDMap.ToInside(c.UID) == 0 || noRoot
	for _, n := range []Namespace{PID, Mount} {
		if noRoot && s.joined(n) != nil {
			return refuse("--join-"+n.Flag(), "", "the user namespace of %s has no uid 0, as which nsview could join the other", j.Target)
		}
	}
	return nil
}

func (p *Plan) planCaps(c *Caller) error {
	drop, err := parseCaps(p.Spec.CapDrop)
	if err != nil {
		return refuse("--cap-drop", "", "%w", err)
	}
	keep, err := parseCaps(p.Spec.CapKeep)
	if err != nil {
		return refuse("--cap-keep", "", "%w", err)
	}
	p.CapBound = allCaps
	if len(p.Spec.CapKeep) > 0 {
		if drop != allCaps && drop&keep != 0 && keep != allCaps {
			return refuse("--cap-keep", "", "%s is to be both kept and dropped", capList(drop&keep))
		}
		if drop != allCaps {
			keep &^= drop
		}
		p.CapBound, p.CapAmbient = keep, keep
	} else {
		p.CapBound &^= drop
	}
	ownNS := p.Spec.has(User) || p.Spec.joined(User) != nil
	what := "--cap-drop"
	if len(p.Spec.CapKeep) > 0 {
		what = "--cap-keep"
	}
	if !ownNS && p.CapBound != allCaps && !capHas(c.Caps, capSetpcap) {
		return refuse(what, "add --map-root or --map-current", "dropping capabilities needs CAP_SETPCAP, which uid %v here does not have", c.UID)
	}
	if !ownNS && p.CapAmbient != allCaps && p.CapAmbient&^c.Caps != 0 {
		return refuse("--cap-keep", "you have "+capList(c.Caps), "you do not have %s yourself", capList(p.CapAmbient&^c.Caps))
	}
	return nil
}

func (p *Plan) planTime(c *Caller) error {
	if p.Spec.has(Time) && !kernelAtLeast(c.Kernel, 6, 3) {
		return refuse("--time", "", "Linux %s puts only children into a new time namespace, not who executes a command (Linux 6.3)", c.Kernel)
	}
	if len(p.Spec.TimeOffsets) > 0 && !p.Spec.has(Time) {
		return refuse("--time-offset", "", "the time namespace is joined, its clocks cannot be set any more")
	}
	return nil
}

func (p *Plan) planKeeping(c *Caller) error {
	s := &p.Spec
	if s.Hostname != "" && !s.has(UTS) {
		return refuse("--hostname", "", "the UTS namespace is joined, its name belongs to other processes")
	}
	if len(s.Hostname) > 64 {
		return refuse("--hostname", "at most 64 bytes", "the name has %d bytes", len(s.Hostname))
	}
	if s.Pin != "" {
		if !c.CanMount() {
			return refuse("--pin "+s.Pin, "run as root", "keeping namespaces as files needs CAP_SYS_ADMIN in your mount namespace")
		}
		if len(s.New) == 0 {
			return refuse("--pin "+s.Pin, "add --all, or a flag of one type such as --net", "no new namespace to keep")
		}
		var err error
		if s.Pin, err = c.abs("--pin", s.Pin); err != nil {
			return err
		}
	}
	if s.Name != "" {
		if err := CheckName(s.Name); err != nil {
			return refuse("--name "+s.Name, "", "%w", err)
		}
		if j := s.joined(User); j != nil && j.OwnerUID != c.UID {
			return refuse("--name "+s.Name, "", "the user namespace of %s belongs to uid %v, not to you: nobody would believe the name", j.Target, j.OwnerUID)
		}
	}
	return nil
}

// CheckName says why name cannot name a container: it must be a TARGET that cannot be taken for anything else.
func CheckName(name string) error {
	const chars = "a letter or digit, then letters, digits, '_', '.' and '-'; at most 64; not a number, not \"host\""
	ok := len(name) <= 64 && name != "host" && strings.Trim(name, "0123456789") != ""
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		ok = ok && (alnum || i > 0 && strings.ContainsRune("_.-", r))
	}
	if !ok || name == "" {
		return fmt.Errorf("a name is %s", chars)
	}
	return nil
}

func (p *Plan) planMounts(c *Caller) error {
	s := &p.Spec
	if s.MountProc && s.joined(PID) == nil && !s.has(PID) {
		return refuse("--mount-proc", "", "needs a PID namespace")
	}
	var err error
	if s.Root != "" {
		if s.Root, err = c.abs("--root", s.Root); err != nil {
			return err
		}
	}
	s.Mounts = slices.Clone(s.Mounts)
	for i := range s.Mounts {
		m := &s.Mounts[i]
		if m.Tmpfs() {
			continue
		}
		if m.Source, err = c.abs("--bind", m.Source); err != nil {
			return err
		}
		if !m.Idmap {
			continue
		}
		if _, _, err := p.mountMaps(*m); err != nil {
			return err
		}
		if !c.CanMount() {
			return refuse(m.flag(), "run as root, or leave out idmap",
				"the file system of %s is the host's, and only who has CAP_SYS_ADMIN over it may map its ids", m.Source)
		}
	}
	return nil
}

// flag is how the user asked for the mount.
func (m MountSpec) flag() string {
	if m.Tmpfs() {
		return "--tmpfs " + m.Target
	}
	return "--bind " + m.Source + ":" + m.Target
}

// mountMaps are the maps to write for a user namespace that gives an idmapped mount its map: from the id on disk to the
// id that the caller's user namespace has for what is seen.
func (p *Plan) mountMaps(m MountSpec) (uid, gid idmap.Map, err error) {
	if len(m.IDExtents) == 0 {
		if !p.Spec.has(User) && p.Spec.joined(User) == nil {
			return nil, nil, refuse(m.flag(), "add --map-uid and --map-gid, or say idmap=DISK-SEEN-COUNT", "the command has no id map of its own that the mount could take")
		}
		uid, gid = p.UIDMap, p.GIDMap
		if len(uid) == 0 || len(gid) == 0 {
			return nil, nil, refuse(m.flag(), "", "the new user namespace maps nothing")
		}
		return uid, gid, nil
	}
	want := idmap.Map(m.IDExtents)
	for _, kind := range []struct {
		name string
		own  idmap.Map
		out  *idmap.Map
	}{{"uid", p.UIDMap, &uid}, {"gid", p.GIDMap, &gid}} {
		*kind.out = idmap.Compose(want, kind.own)
		for _, e := range *kind.out {
			if !e.Outside.Mapped() {
				return nil, nil, refuse(m.flag(), "SEEN is an inside id: "+insideText(kind.own),
					"idmap: on disk %v is to be seen as a %s that is not mapped inside", e.Inside, kind.name)
			}
		}
	}
	return uid, gid, nil
}

// belowTmpfs reports whether the target of mount i lies in a tmpfs that the run itself makes, where what is missing can
// be created without a trace.
func (p *Plan) belowTmpfs(i int) bool {
	in := false
	for _, m := range p.Spec.Mounts[:i] {
		if within(p.Spec.Mounts[i].Target, m.Target) {
			in = m.Tmpfs()
		}
	}
	return in
}

func within(name, dir string) bool { return strings.HasPrefix(path.Clean(name), path.Clean(dir)+"/") }

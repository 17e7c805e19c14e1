package access

import (
	"fmt"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// CapReport is what nsview caps answers: what the capabilities of a process count for.
type CapReport struct {
	nsinspect.Report
	Target    string          `json:"target"` // as it was named
	PID       int             `json:"pid"`
	EUID      idmap.Kernel    `json:"euid"` // effective uid, which the owner of a user namespace is compared with
	UserNS    nsinspect.Inode `json:"user_ns"`
	Effective []string        `json:"effective"` // the capabilities that it has in its own user namespace
	Over      []CapScope      `json:"over"`
	File      *CapFile        `json:"file"` // null when no file was asked for
}

// CapScope is what the capabilities count for in one user namespace.
type CapScope struct {
	Scope     string          `json:"scope"`     // "own", "other", or the type of one of its namespaces: "mnt"
	Target    string          `json:"target"`    // of "other": as it was named
	Namespace nsinspect.Inode `json:"namespace"` // of a type: that namespace
	UserNS    nsinspect.Inode `json:"user_ns"`   // in which they are asked for: of a type, the one that owns Namespace
	Result    Answer          `json:"result"`    // allow: those in Caps count. deny: none does
	Caps      []string        `json:"caps"`
	Reason    CapReason       `json:"reason"`
	Detail    string          `json:"detail"`
}

// CapReason is why capabilities count in a user namespace, or do not.
type CapReason string

// The reasons.
const (
	CapHeld          CapReason = "held"           // it is the process's own user namespace
	CapDescendant    CapReason = "descendant"     // it is below the process's own: what is held there counts
	CapOwner         CapReason = "parent-owner"   // its creator's euid is the process's, which is in the parent: every capability
	CapAncestor      CapReason = "ancestor"       // it is above the process's own: nothing counts upwards
	CapNotDescendant CapReason = "not-descendant" // it is neither the process's own nor below it
	CapUntold        CapReason = "unknown"
)

// CapFile is what the capabilities count for over one inode.
type CapFile struct {
	Path     string       `json:"path"` // in the target's root
	HostPath string       `json:"host_path"`
	UID      idmap.Kernel `json:"uid"` // as the mount shows it, on the observer's side
	GID      idmap.Kernel `json:"gid"`
	Inside   struct {
		UID idmap.Inside `json:"uid"`
		GID idmap.Inside `json:"gid"`
	} `json:"inside"` // in the target's user namespace

	// Result says whether capabilities count for the file: both its ids have to be mapped in the target's user namespace
	// (capable_wrt_inode_uidgid() in kernel/capability.c).
	Result Answer   `json:"result"`
	Caps   []string `json:"caps"`
	Detail string   `json:"detail"`

	// Owner says whether it may do what an owner may: it is the owner, or has CAP_FOWNER and the uid alone is mapped
	// (inode_owner_or_capable() in fs/inode.c).
	Owner       Answer `json:"owner"`
	OwnerDetail string `json:"owner_detail"`
}

// initialUserNS is the inode of the initial user namespace (PROC_USER_INIT_INO in include/linux/proc_ns.h).
const initialUserNS nsinspect.Inode = 0xEFFFFFFD

// UserNamespaces are the user namespaces of a snapshot, for capability checks.
func UserNamespaces(s *nsinspect.Snapshot) map[nsinspect.Inode]*UserNS {
	list := make(map[nsinspect.Inode]*UserNS)
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		if n.Type != nsinspect.User {
			continue
		}
		ns := &UserNS{Inode: n.Inode, Parent: n.Parent, Owner: n.OwnerUID, Initial: n.Inode == initialUserNS}
		if maps := s.Maps(n.IDMaps); maps != nil {
			ns.UID, ns.GID = maps.UID, maps.GID
		}
		list[n.Inode] = ns
	}
	return list
}

// CapsIn says which capabilities a process in user namespace own, with those effective capabilities and that effective
// uid, has in user namespace in, as cap_capable() does (security/commoncap.c). With CapUntold it may have more.
func CapsIn(list map[nsinspect.Inode]*UserNS, caps uint64, euid idmap.Kernel, own, in nsinspect.Inode) (uint64, CapReason) {
	switch {
	case own == 0 || in == 0:
		return 0, CapUntold
	case own == in:
		return caps, CapHeld
	case in == initialUserNS || IsAncestor(list, in, own):
		return 0, CapAncestor
	}
	at := list[in]
	for range len(list) {
		switch {
		case at == nil:
			return 0, CapUntold
		case at.Parent == own && !at.Owner.Mapped() && caps&EveryCap != EveryCap:
			return caps, CapUntold // it could be its owner
		case at.Parent == own && at.Owner.Mapped() && at.Owner == euid:
			return EveryCap, CapOwner
		case at.Parent == own:
			return caps, CapDescendant
		case at.Initial, IsAncestor(list, at.Parent, own): // the ways up meet above own
			return 0, CapNotDescendant
		}
		at = list[at.Parent]
	}
	return 0, CapUntold
}

// IsAncestor reports whether user namespace up is above down, as far as the list tells.
func IsAncestor(list map[nsinspect.Inode]*UserNS, up, down nsinspect.Inode) bool {
	for range len(list) { // a list that goes round in circles has an end too
		ns := list[down]
		if ns == nil || ns.Parent == 0 {
			return false
		}
		if down = ns.Parent; down == up {
			return true
		}
	}
	return false
}

// NewCapReport begins the report on a process: its own user namespace, and those that own each of its namespaces.
func NewCapReport(s *nsinspect.Snapshot, p *nsinspect.Process, name string) *CapReport {
	r := &CapReport{
		Report: s.Report("CapReport"), Target: name, PID: p.PID, EUID: p.Cred.UID.Effective, UserNS: p.Namespaces.User,
		Effective: CapNames(p.Cred.CapEff), Over: []CapScope{},
	}
	list := UserNamespaces(s)
	r.Over = append(r.Over, capScope(list, p, CapScope{Scope: "own", UserNS: p.Namespaces.User}))
	for _, kind := range nsinspect.Types() {
		inode := p.Namespaces.Of(kind)
		if kind == nsinspect.User || inode == 0 {
			continue
		}
		scope := CapScope{Scope: string(kind), Namespace: inode}
		if n := s.Namespace(inode); n != nil {
			scope.UserNS = n.OwnerUserNS
		}
		r.Over = append(r.Over, capScope(list, p, scope))
	}
	return r
}

// AddOther adds what the capabilities count for in the user namespace of another TARGET, after its own.
func (r *CapReport) AddOther(s *nsinspect.Snapshot, p *nsinspect.Process, name string, in nsinspect.Inode) {
	scope := capScope(UserNamespaces(s), p, CapScope{Scope: "other", Target: name, UserNS: in})
	r.Over = append(r.Over[:1], append([]CapScope{scope}, r.Over[1:]...)...)
}

// capScope fills in the answer.
func capScope(list map[nsinspect.Inode]*UserNS, p *nsinspect.Process, c CapScope) CapScope {
	set, reason := CapsIn(list, p.Cred.CapEff, p.Cred.UID.Effective, p.Namespaces.User, c.UserNS)
	c.Caps, c.Reason, c.Result = CapNames(set), reason, Allow
	switch {
	case reason == CapUntold:
		c.Caps, c.Result = []string{}, Unknown
	case set == 0:
		c.Result = Deny
	}
	none := ""
	if p.Cred.CapEff == 0 {
		none = ", and it holds none"
	}
	switch reason {
	case CapHeld:
		c.Detail = "its own user namespace: what it holds counts" + none
	case CapDescendant:
		c.Detail = "below its own user namespace: what it holds counts" + none
	case CapOwner:
		c.Detail = fmt.Sprintf("its uid %s made this user namespace (or one above it) from its own: every capability counts", p.Cred.UID.Effective)
	case CapAncestor:
		c.Detail = "above its own user namespace: nothing counts upwards"
	case CapNotDescendant:
		c.Detail = "neither its own user namespace nor below it"
	case CapUntold:
		switch {
		case p.Namespaces.User == 0:
			c.Detail = "its user namespace could not be read"
		case c.UserNS == 0:
			c.Detail = "the user namespace could not be read"
		default:
			c.Detail = "the parents or the owner of the user namespace could not be read"
		}
	}
	return c
}

// FileCapsOver is what the capabilities of a subject count for over a file.
func FileCapsOver(s *Subject, host *Host, n *Node) *CapFile {
	f := &CapFile{Path: n.Path, HostPath: n.Host, UID: n.UID.Seen, GID: n.GID.Seen, Caps: []string{}, Result: Unknown, Owner: Unknown}
	f.Inside.UID, f.Inside.GID = idmap.UnmappedInside, idmap.UnmappedInside
	ns := host.UserNS[s.UserNS]
	switch {
	case ns == nil:
		f.Detail = "the id maps of its user namespace could not be read"
	case !n.UID.Known || !n.GID.Known:
		f.Detail = "the ids that the mount shows could not be told"
	}
	if f.Detail != "" {
		f.OwnerDetail = f.Detail
		return f
	}
	f.Inside.UID, f.Inside.GID = ns.UID.ToInside(f.UID), ns.GID.ToInside(f.GID)
	uid, gid := ns.maps(idmap.UID, f.UID), ns.maps(idmap.GID, f.GID)
	switch {
	case uid && gid && s.Cred.CapEff != 0:
		f.Result, f.Caps, f.Detail = Allow, CapNames(s.Cred.CapEff), "both its ids are mapped in the user namespace: what is held counts"
	case uid && gid:
		f.Result, f.Detail = Deny, "both its ids are mapped in the user namespace, and no capability is held"
	default:
		f.Result, f.Detail = Deny, unmappedText(uid, gid)+" not mapped in the user namespace: no capability counts"
	}
	switch {
	case f.UID.Mapped() && f.UID == s.Cred.UID.FS:
		f.Owner, f.OwnerDetail = Allow, "it is the owner"
	case uid && s.Cred.CapEff&(1<<capFowner) != 0:
		f.Owner, f.OwnerDetail = Allow, "CAP_FOWNER, which needs the uid alone to be mapped"
	case uid:
		f.Owner, f.OwnerDetail = Deny, "it is not the owner and has no CAP_FOWNER"
	default:
		f.Owner, f.OwnerDetail = Deny, "it is not the owner, and the uid is not mapped in the user namespace"
	}
	return f
}

func unmappedText(uid, gid bool) string {
	switch {
	case uid:
		return "the gid is"
	case gid:
		return "the uid is"
	}
	return "the uid and the gid are"
}

package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// place is where the observer reaches a file, and through which mount ids are to be read there.
type place struct {
	path string
	same bool // the target's own mount: ids are as it shows them
}

// placeOf is where root of the observer changes a file. Without a path of its own it is reached below /proc/PID/root,
// which is the target's mount. The zero place: not at all.
func placeOf(s *Subject, n *Node) place {
	switch {
	case n.Host != "" && strings.HasPrefix(n.Host, "/proc/"):
		return place{n.Host, true}
	case n.Host != "":
		return place{n.Host, s.Container == nil && n.Host == n.Path}
	case s.PID != 0 && strings.HasPrefix(n.Path, "/"):
		return place{fmt.Sprintf("/proc/%d/root%s", s.PID, n.Path), true}
	}
	return place{}
}

// toChange is placeOf for a change of owner, mode or ACL. The zero place where the kernel refuses that to root of the
// observer too: of a file with a flag, and where toFlag is none.
func toChange(s *Subject, n *Node) place {
	if n.Immutable == Yes || n.Append == Yes {
		return place{}
	}
	return toFlag(s, n)
}

// toFlag is placeOf for a change of flags. There is none on what is read-only, nor of what the target's mount shows as
// nobody's when no other way leads to it.
func toFlag(s *Subject, n *Node) place {
	at := placeOf(s, n)
	if m := n.Mount; m != nil && (m.Super != nil && m.Super.ReadOnly || at.same && (m.ReadOnly || unmapped(n))) {
		return place{}
	}
	return at
}

// written is the number to write at a place for an id as the target's mount shows it. false when the file system
// cannot store it.
func (at place) written(h *Host, m *Mount, k idmap.Kind, seen idmap.Kernel) (idmap.Kernel, bool) {
	t := m.IDs(h, k)
	disk := t.OnDisk(seen)
	if !seen.Mapped() || !disk.Mapped() {
		return idmap.UnmappedKernel, false
	}
	if at.same {
		return seen, true
	}
	t.Idmapped = false
	id := t.SeenAs(disk)
	return id, id.Mapped()
}

// inside is how the subject calls an id, unmapped when it has no name for it.
func (s *Subject) inside(h *Host, k idmap.Kind, id idmap.Kernel) idmap.Inside {
	ns := userNS(s, h)
	if ns == nil || !id.Mapped() {
		return idmap.UnmappedInside
	}
	return ns.Map(k).ToInside(id)
}

func userNS(s *Subject, h *Host) *UserNS {
	if h == nil {
		return nil
	}
	return h.UserNS[s.UserNS]
}

// called is an id in a sentence: "uid 100999 (999 inside)".
func (s *Subject) called(h *Host, k idmap.Kind, id idmap.Kernel) string {
	in := s.inside(h, k, id)
	switch {
	case !in.Mapped():
		return fmt.Sprintf("%s %s (unmapped inside)", k, id)
	case uint32(in) != uint32(id):
		return fmt.Sprintf("%s %s (%s inside)", k, id, in)
	}
	return fmt.Sprintf("%s %s", k, id)
}

// isOwner and inGroup are how the kernel finds the class of permission bits.
func (s *Subject) isOwner(n *Node) bool { return n.UID.Seen.Mapped() && n.UID.Seen == s.Cred.UID.FS }

func (s *Subject) inGroup(id idmap.Kernel) bool {
	return id.Mapped() && (id == s.Cred.GID.FS || slices.Contains(s.Cred.Groups, id))
}

// granted are the permissions (rwx as 4, 2, 1) that a file gives the subject without any capability, so that an entry
// made for it takes none of them away.
func (s *Subject) granted(n *Node) uint32 {
	mode := n.Mode & 0o777
	if s.isOwner(n) {
		return mode >> 6
	}
	if n.ACL == nil || mode&0o070 == 0 {
		if s.inGroup(n.GID.Seen) {
			return mode >> 3 & 7
		}
		return mode & 7
	}
	mask := uint32(7)
	for _, e := range n.ACL.Entries {
		if e.Tag == ACLMask {
			mask = e.Perm
		}
	}
	var sum uint32
	found := false
	for _, e := range n.ACL.Entries {
		switch {
		case e.Tag == ACLUser && e.ID.Mapped() && e.ID == s.Cred.UID.FS:
			return e.Perm & mask
		case e.Tag == ACLGroupObj && s.inGroup(n.GID.Seen), e.Tag == ACLGroup && s.inGroup(e.ID):
			found, sum = true, sum|e.Perm&mask
		}
	}
	if found {
		return sum
	}
	return mode & 7
}

// permLetters are permissions as chmod and setfacl take them.
func permLetters(perm uint32) string {
	var b strings.Builder
	for i, c := range "rwx" {
		if perm&(4>>i) != 0 {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// verbs are permissions in words.
func verbs(n *Node, perm uint32) string {
	words := []string{"read", "write", "execute"}
	if n.Type == Directory {
		words = []string{"list", "change", "search"}
	}
	var list []string
	for i, w := range words {
		if perm&(4>>i) != 0 {
			list = append(list, w)
		}
	}
	if n := len(list) - 1; n > 1 {
		return strings.Join(list[:n], ", ") + " and " + list[n]
	}
	return strings.Join(list, " and ")
}

// engine is the name of the subject's engine, "" for none, and "kubernetes" for a pod of one.
func (s *Subject) engine() string {
	switch c := s.Container; {
	case c == nil:
		return ""
	case c.Pod != nil && c.Pod.Namespace != "":
		return "kubernetes"
	default:
		return c.Engine
	}
}

// volume is the configured mount of the subject's container at a mount point.
func (s *Subject) volume(m *Mount) *nsinspect.EngineMount {
	if s.Container == nil || m == nil {
		return nil
	}
	for i := range s.Container.Mounts {
		if v := &s.Container.Mounts[i]; v.Destination == m.Point {
			return v
		}
	}
	return nil
}

package doctor

import (
	"fmt"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
)

// maxOverlaps bounds the findings of one file, which anybody who administrates it may have made of thousands of lines.
const maxOverlaps = 20

// subIDOverlap finds ranges that /etc/subuid or /etc/subgid gives to two users: either may become the other's containers.
// Root is no such user: it needs no grant, and packages give it that of their daemon (lxd).
func (j *judge) subIDOverlap() {
	j.overlaps("/etc/subuid", j.SubUID)
	j.overlaps("/etc/subgid", j.SubGID)
}

func (j *judge) overlaps(file string, ids idmap.SubIDs) {
	found := 0
	for i := range ids {
		for k := range i {
			a, b := &ids[k], &ids[i]
			first, last, ok := common(a.Grant, b.Grant)
			if !ok || j.sameUser(a.Owner, b.Owner) || j.isRoot(a.Owner) || j.isRoot(b.Owner) {
				continue
			}
			if found++; found > maxOverlaps {
				return
			}
			j.add(Finding{
				ID: SubIDOverlap, Severity: Warning, Target: hostTarget, Path: file,
				Evidence: fmt.Sprintf("%s:%v and %s:%v both have the ids %d to %d", a.Owner, a.Grant, b.Owner, b.Grant, first, last),
				Meaning:  fmt.Sprintf("files of a container of %s belong to a container of %s too: each may read and write what the other's owns", a.Owner, b.Owner),
				Fixes:    j.moveGrant(file, ids, b),
			})
		}
	}
}

// common is the part of two grants that both have.
func common(a, b idmap.Grant) (first, last uint64, ok bool) {
	if a.Count == 0 || b.Count == 0 {
		return 0, 0, false
	}
	first = max(uint64(a.First), uint64(b.First))
	end := min(uint64(a.First)+uint64(a.Count), uint64(b.First)+uint64(b.Count))
	return first, end - 1, first < end
}

// sameUser reports whether two owners of grants, each a login name or a uid, are one user.
func (j *judge) sameUser(a, b string) bool {
	if a == b {
		return true
	}
	x, y := j.uidOf(a), j.uidOf(b)
	return x.Mapped() && x == y
}

func (j *judge) isRoot(owner string) bool { return owner == "root" || j.uidOf(owner) == 0 }

// uidOf is the uid of the owner of a grant, unmapped when the observer's users do not have it.
func (j *judge) uidOf(owner string) idmap.Kernel {
	if names := j.s.NamesAt(j.s.Observer.Names); names != nil {
		for id, name := range names.Users {
			if name == owner {
				return idmap.Kernel(id)
			}
		}
	}
	var id uint32
	if n, err := fmt.Sscanf(owner, "%d", &id); n == 1 && err == nil && fmt.Sprint(id) == owner {
		return idmap.Kernel(id)
	}
	return idmap.UnmappedKernel
}

// moveGrant gives the later of two users a range that nobody has. What its containers own stays where it was, so the fix
// is not proven to keep them working.
func (j *judge) moveGrant(file string, ids idmap.SubIDs, late *idmap.SubID) []access.Fix {
	end := uint64(0)
	for i := range ids {
		end = max(end, uint64(ids[i].First)+uint64(ids[i].Count))
	}
	last := end + uint64(late.Count) - 1
	if last >= 1<<32-1 || !plain(late.Owner) {
		return nil
	}
	kind := "u"
	if file == "/etc/subgid" {
		kind = "g"
	}
	return []access.Fix{{
		Title: fmt.Sprintf("give %s a range of its own", late.Owner),
		Commands: []string{
			fmt.Sprintf("usermod --del-sub%sids %d-%d --add-sub%sids %d-%d %s", kind, late.First, uint64(late.First)+uint64(late.Count)-1, kind, end, last, late.Owner),
		},
		Restart: true,
		Opens:   "nothing; files that its containers own now have to be given to the new range",
	}}
}

// plain reports whether a word means itself in every shell and is no option.
func plain(word string) bool {
	return word != "" && word[0] != '-' && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-") == ""
}

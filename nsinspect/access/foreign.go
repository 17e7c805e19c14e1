package access

import (
	"slices"
	"strconv"
	"strings"
)

// foreign is what file systems decide by themselves (their ->permission()). done says that nothing else is asked.
func (j *judge) foreign(n *Node, want uint32) (done, ok bool) {
	fs := n.Mount.Super.FSType
	switch {
	case fs == "fuse" || fs == "fuseblk" || strings.HasPrefix(fs, "fuse."):
		return j.fuse(n)
	case serverDecides(fs):
		return true, j.unknown(n.Path, RuleFS, "what the server of the "+fs+" file system decides")
	case fs == "proc" && n.Type == Regular:
		j.assume("procfs has no check of its own for " + n.Path)
	case fs == "cgroup" || fs == "cgroup2" || fs == "sysfs":
		if want&wantW != 0 && n.Type == Regular {
			j.assume(fs + " has no check of its own for " + n.Path)
		}
	}
	return false, true
}

// fuse is fuse_allow_current_process() and default_permissions (fs/fuse/dir.c).
func (j *judge) fuse(n *Node) (done, ok bool) {
	options := n.Mount.Super.Options
	if !slices.Contains(options, "allow_other") {
		uid, gid := fuseID(options, "user_id="), fuseID(options, "group_id=")
		c := &j.s.Cred
		same := func(id int64, list ...uint32) bool {
			return !slices.ContainsFunc(list, func(v uint32) bool { return int64(v) != id })
		}
		if uid < 0 || gid < 0 {
			return true, j.unknown(n.Path, RuleFUSE, "who mounted the FUSE file system")
		}
		if !same(uid, uint32(c.UID.Real), uint32(c.UID.Effective), uint32(c.UID.Saved)) || !same(gid, uint32(c.GID.Real), uint32(c.GID.Effective), uint32(c.GID.Saved)) {
			if !j.deny(n, RuleFUSE, "EACCES", "a FUSE file system without allow_other is for who mounted it only, not even for root") {
				return true, false
			}
		}
	}
	if !slices.Contains(options, "default_permissions") {
		return true, j.unknown(n.Path, RuleFUSE, "what the FUSE server decides (mounted without default_permissions)")
	}
	return false, true
}

func fuseID(options []string, key string) int64 {
	for _, o := range options {
		if v, ok := strings.CutPrefix(o, key); ok {
			if id, err := strconv.ParseUint(v, 10, 32); err == nil {
				return int64(id)
			}
		}
	}
	return -1
}

package access

import (
	"slices"
	"strings"
)

// server says what somebody else than the kernel has to say about the files of a file system.
type server int

const (
	noServer    server = iota
	serverToo          // the kernel refuses by what it knows of modes and owners, the server by its own lights besides
	serverAlone        // the kernel asks the server and nothing else
)

// serverOf is what the ->permission() and ->setattr() of a file system do: nfs_permission() in fs/nfs/dir.c,
// cifs_permission() in fs/smb/client/cifsfs.c, fuse_permission() in fs/fuse/dir.c, ceph_permission() in fs/ceph/inode.c,
// afs_permission() in fs/afs/security.c. 9p, orangefs and vboxsf leave it to generic_permission() and ask the server when
// they do what was allowed.
func serverOf(s *Super) server {
	switch {
	case s.FSType == "nfs", s.FSType == "nfs4", s.FSType == "afs", s.FSType == "lustre", s.FSType == "coda":
		return serverAlone
	case s.FSType == "cifs", s.FSType == "smb3":
		if slices.Contains(s.Options, "noperm") {
			return serverAlone
		}
		return serverToo
	case s.FSType == "virtiofs", s.FSType == "9p", s.FSType == "ceph", s.FSType == "orangefs", s.FSType == "vboxsf":
		return serverToo
	case isFUSE(s):
		if slices.Contains(s.Options, "default_permissions") {
			return serverToo
		}
		return serverAlone
	}
	return noServer
}

// serverText is a server as the missing fact of an answer.
func serverText(m *Mount) string {
	return "what the server of the " + m.Super.FSType + " file system decides about what is at " + m.Point
}

// askServer notes that the answer hinges on a server, if there is one. It reports whether nothing but the server decides.
//
// A FUSE server that has the kernel check permissions (default_permissions) says with that that it does not: it is taken
// at its word.
func (j *judge) askServer(n *Node) bool {
	who := serverOf(n.Mount.Super)
	switch {
	case who == noServer:
		return false
	case who == serverToo && (isFUSE(n.Mount.Super) || n.Mount.Super.FSType == "virtiofs"):
		j.assume("the server of the " + n.Mount.Super.FSType + " file system at " + n.Mount.Point + " refuses nothing that the kernel allows")
	default:
		j.hinge(n.Path, RuleFS, "", serverText(n.Mount))
	}
	return who == serverAlone
}

// served is the permission of a file that only a server decides on. What has no x bit at all no client executes.
func (j *judge) served(n *Node, want uint32) bool {
	if want&wantX != 0 && n.Type == Regular && n.Mode&0o111 == 0 {
		return j.deny(n, RuleModeOther, "EACCES", "x wanted: the mode "+modeText(n)+" has none, for nobody")
	}
	return j.pass(n, RuleFS, permText(want)+" wanted: the server decides")
}

// ownChecks are assumptions about files of the kernel's own that ask more than their mode when they are opened.
func (j *judge) ownChecks(n *Node, want uint32) {
	fs := n.Mount.Super.FSType
	switch {
	case n.Type != Regular:
	case fs == "proc", (fs == "cgroup" || fs == "cgroup2" || fs == "sysfs") && want&wantW != 0:
		j.assume(fs + " has no check of its own for " + n.Path)
	}
}

func isFUSE(s *Super) bool {
	return s.FSType == "fuse" || s.FSType == "fuseblk" || strings.HasPrefix(s.FSType, "fuse.")
}

package access

import (
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// inFS is the path of a file in its file system, "" when it is not known.
func inFS(n *Node) string {
	m := n.Mount
	below, ok := strings.CutPrefix(n.Path, strings.TrimSuffix(m.Point, "/"))
	if m.Root == "" || !ok || below != "" && below[0] != '/' {
		return ""
	}
	return path.Join(m.Root, below)
}

// sysctlName is the name of a setting or directory below /proc/sys, with slashes; "." is /proc/sys itself.
func sysctlName(n *Node) (string, bool) {
	if n.Mount.Super.FSType != "proc" {
		return "", false
	}
	where := inFS(n)
	if where == "/sys" {
		return ".", true
	}
	return strings.CutPrefix(where, "/sys/")
}

// ipcSettings are the settings of an IPC namespace (ipc/ipc_sysctl.c, ipc/mq_sysctl.c).
var ipcSettings = strings.Fields("kernel/shmmax kernel/shmall kernel/shmmni kernel/shm_rmid_forced kernel/msgmax kernel/msgmni " +
	"kernel/auto_msgmni kernel/msgmnb kernel/sem kernel/sem_next_id kernel/msg_next_id kernel/shm_next_id")

// nextIDs are those that CAP_CHECKPOINT_RESTORE opens.
var nextIDs = []string{"kernel/sem_next_id", "kernel/msg_next_id", "kernel/shm_next_id"}

// sysctl is proc_sys_permission() (fs/proc/proc_sysctl.c), which stands in for mode, ACL and capabilities: the bits of the
// owner are for an effective uid that is root's, those of the group for a group that is root's, and no capability adds to
// them, save the one that the namespace of the setting asks for.
func (j *judge) sysctl(n *Node, name string, want uint32) bool {
	if want&wantX != 0 && n.Type == Regular {
		return j.deny(n, RuleSysctl, "EACCES", "nothing below /proc/sys is executed")
	}
	perm, why, ok := j.sysctlPerm(n, name)
	if !ok {
		return j.unknown(n.Path, RuleSysctl, why)
	}
	detail := permText(want) + " wanted: " + why + ", of the mode " + modeText(n) + " " + permText(perm) + " counts"
	if want&^perm != 0 {
		return j.deny(n, RuleSysctl, "EACCES", detail)
	}
	if strings.HasPrefix(name, "net/") && n.Type == Regular && !j.w.Sysctl.SameNet {
		// Another network namespace than the first one has fewer settings, and fewer that can be written.
		if want&wantW != 0 {
			j.hinge(n.Path, RuleSysctl, "EACCES", "whether "+n.Path+" is writable in the target's network namespace")
		}
		j.assume("the target's network namespace has the setting " + n.Path)
	}
	return j.pass(n, RuleSysctl, detail)
}

// sysctlPerm is what the subject is given of a setting, and as whom; not ok: why that is not known.
func (j *judge) sysctlPerm(n *Node, name string) (perm uint32, why string, ok bool) {
	owner, group, other := n.Mode>>6&7, n.Mode>>3&7, n.Mode&7
	space, _, _ := strings.Cut(name, "/")
	ipc := slices.Contains(ipcSettings, name) || strings.HasPrefix(name, "fs/mqueue/")
	var root *UserNS
	switch {
	case n.Type == Directory:
		// The settings of namespaces are below directories that belong to the initial one.
	case space == "user":
		// set_permissions() in kernel/ucount.c: the settings are those of the subject's own user namespace.
		if j.held(capSysResource) {
			return owner, "CAP_SYS_RESOURCE counts as the owner", true
		}
		return other & wantR, "others may read at most", true
	case space == "net":
		// net_ctl_permissions() in net/sysctl_net.c.
		ns, known := j.sysctlNS(func(s *Sysctl) nsinspect.Inode { return s.NetOwner })
		switch {
		case !known:
			return 0, "the user namespace that owns the target's network namespace", false
		case j.nsCap(ns.Inode, capNetAdmin):
			return owner, "CAP_NET_ADMIN over the network namespace counts as the owner", true
		}
	case ipc:
		// ipc_permissions() in ipc/ipc_sysctl.c, mq_permissions() in ipc/mq_sysctl.c.
		var known bool
		if root, known = j.sysctlNS(func(s *Sysctl) nsinspect.Inode { return s.IPCOwner }); !known {
			return 0, "the user namespace that owns the target's IPC namespace", false
		}
		if slices.Contains(nextIDs, name) && (j.nsCap(root.Inode, capCheckpointRestore) || j.nsCap(root.Inode, capSysAdmin)) {
			return wantR | wantW, "CAP_CHECKPOINT_RESTORE over the IPC namespace counts", true
		}
	}
	uid, gid := rootOf(root)
	switch c := &j.s.Cred; {
	case j.euid == uid:
		return owner, "it is root of the namespace, the owner", true
	case c.GID.Effective == gid || slices.Contains(c.Groups, gid):
		return group, "it is in root's group", true
	}
	return other, "it is one of the others, and capabilities do not count", true
}

// sysctlNS is one of the user namespaces that own the settings.
func (j *judge) sysctlNS(which func(*Sysctl) nsinspect.Inode) (*UserNS, bool) {
	if j.w.Sysctl == nil {
		return nil, false
	}
	ns := j.host.UserNS[which(j.w.Sysctl)]
	return ns, ns != nil
}

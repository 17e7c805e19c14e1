package doctor

import (
	"fmt"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// capSysAdmin is the bit of CAP_SYS_ADMIN (capabilities(7)).
const capSysAdmin = 1 << 21

// hostRoot finds containers that have no user namespace and whose processes run as root: their root is the host's.
func (j *judge) hostRoot(i int) {
	c := j.container(i)
	init := j.s.Process(c.InitPID)
	if init == nil || c.Engine == "" || init.Namespaces.User == 0 || init.Namespaces.User != j.s.Observer.UserNS || !j.s.Observer.InitialNS {
		return
	}
	root := j.rootProcess(i)
	if root == nil {
		return
	}
	f := Finding{
		ID: HostRoot, Severity: Info, Target: j.viewers[i],
		Evidence: fmt.Sprintf("%s %d runs as uid 0 in the host's user namespace", root.Comm, root.PID),
		Meaning:  "root in the container is root on the host: what it writes into a volume belongs to host root, and whoever breaks out is root",
		Fixes:    userNamespace(c),
	}
	if root.Cred.CapEff&capSysAdmin != 0 {
		f.Severity = Warning
		f.Evidence += ", with CAP_SYS_ADMIN"
		f.Meaning += "; with this capability it can mount and reach the host's files without breaking out of anything"
	}
	j.add(f)
}

// userNamespace is how an engine makes a container with a user namespace. It is not proven to keep the container working:
// which ids the engine will choose is not known, and what root owns in its volumes is then none of theirs.
func userNamespace(c *nsinspect.Container) []access.Fix {
	how := ""
	switch {
	case c.Pod != nil && c.Pod.Namespace != "":
		how = "set in the spec of the pod: hostUsers: false"
	case c.Engine == "podman":
		how = "add to the options of the podman run that made it: --userns=auto (from the ids that /etc/subuid and /etc/subgid grant to the user containers)"
	case c.Engine == "docker":
		how = `set "userns-remap": "default" in /etc/docker/daemon.json, for all containers of this dockerd, and leave out --userns=host and --privileged, which cannot be combined with it`
	default:
		return nil
	}
	return []access.Fix{{
		Title: "make it anew in a user namespace of its own", Commands: []string{}, How: how, Restart: true,
		Opens: "nothing; what root owns in its volumes is nobody's inside until it is given to the ids that the engine chose",
	}}
}

// rootProcess is a process of a container that runs as uid 0, the one with the most capabilities; nil without one.
func (j *judge) rootProcess(container int) *nsinspect.Process {
	var root *nsinspect.Process
	for i := range j.s.Processes {
		p := &j.s.Processes[i]
		if p.Container != container || p.Cred.UID.Effective != 0 {
			continue
		}
		if root == nil || root.Cred.CapEff&capSysAdmin == 0 && p.Cred.CapEff&capSysAdmin != 0 {
			root = p
		}
	}
	return root
}

package doctor

import (
	"fmt"

	"github.com/nsview/nsview/nsinspect"
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
	}
	if root.Cred.CapEff&capSysAdmin != 0 {
		f.Severity = Warning
		f.Evidence += ", with CAP_SYS_ADMIN"
		f.Meaning += "; with this capability it can mount and reach the host's files without breaking out of anything"
	}
	j.add(f)
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

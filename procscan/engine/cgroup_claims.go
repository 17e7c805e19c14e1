package engine

import "github.com/nsview/nsview/nsinspect"

// cgroups tells of the containers of all engines by the cgroups of their processes alone: where an engine's files are
// unreadable and it has no process of its own above the container's. It comes last; about a container of which more is
// known it adds the pod.
func cgroups() Engine {
	return Engine{Name: kubernetes, Identify: cgroupIdentify}
}

// kubernetes is the engine of a container of which only the kubelet's cgroup is known.
const kubernetes = "kubernetes"

func cgroupIdentify(e *Evidence) []Found {
	type group struct {
		cgroupName
		init *nsinspect.Process
	}
	var (
		groups []group
		of     = make(map[cgroupName]int)
		names  = make(map[string]cgroupName) // of a path, most of which many processes share
	)
	for i := range e.Snapshot.Processes {
		p := &e.Snapshot.Processes[i]
		if p.Kthread || p.Cgroup == "" || e.hostFiles(p) {
			continue
		}
		name, ok := names[p.Cgroup]
		if !ok {
			if name, ok = fromCgroup(p.Cgroup); !ok {
				name = cgroupName{}
			}
			names[p.Cgroup] = name
		}
		if name.id == "" {
			continue
		}
		n, ok := of[name]
		if !ok {
			n = len(groups)
			of[name] = n
			groups = append(groups, group{cgroupName: name})
		}
		if groups[n].init == nil || standsBefore(p, groups[n].init) {
			groups[n].init = p
		}
	}
	var found []Found
	for i := range groups {
		if f := groups[i].found(e, groups[i].init); f.Engine != "" {
			found = append(found, f)
		}
	}
	return found
}

// hostFiles reports whether a process is known to be in the observer's mount namespace: it is in no container, whatever
// its cgroup.
func (e *Evidence) hostFiles(p *nsinspect.Process) bool {
	return p.Namespaces.Mnt != 0 && p.Namespaces.Mnt == e.Snapshot.Observer.MntNS
}

func (c *cgroupName) found(e *Evidence, init *nsinspect.Process) Found {
	claim := nsinspect.Claim{Engine: c.engine, ID: c.id, InitPID: init.PID, StartTime: init.StartTime}
	claim.EngineFacts = nsinspect.EngineFacts{State: "running", Evidence: "cgroup"}
	if c.engine == "" {
		claim.Engine = e.engineAbove(init)
		if claim.Engine == "" && c.podUID != "" {
			claim.Engine = kubernetes
		}
	}
	if !hexID(c.id) {
		claim.ID, claim.Name = ownID(c.by, c.id), c.id
	}
	if c.podID != "" || c.podUID != "" {
		claim.Pod = &nsinspect.Pod{ID: c.podID, UID: c.podUID}
	}
	return Found{Claim: claim, By: c.by}
}

// engineAbove is the engine whose program is the nearest above a process: several engines give a container in a pod of
// Kubernetes, or beside the observer's own, the same cgroup.
func (e *Evidence) engineAbove(p *nsinspect.Process) string {
	for _, up := range e.ancestors(p) {
		switch program := e.program(up.PID); {
		case program == nil:
		case program.Comm == "containerd-shim" && program.flag("namespace") == dockerNamespace:
			return "docker"
		case program.Comm == "containerd-shim":
			return "containerd"
		}
	}
	return ""
}

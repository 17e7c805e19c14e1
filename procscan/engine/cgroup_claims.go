package engine

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
)

// cgroups tells of the containers of all engines by the cgroups of their processes alone: where an engine's files are
// unreadable and it has no process of its own above the container's. It comes last; about a container of which more is
// known it adds the pod.
func cgroups() Engine {
	return Engine{Name: kubernetes, Identify: cgroupIdentify}
}

// kubernetes is the engine of a container of which only the kubelet's cgroup is known.
const kubernetes = "kubernetes"

func cgroupIdentify(e *Evidence) []Found {
	type place struct {
		cgroupName
		parent string
	}
	type group struct {
		place
		init *nsinspect.Process
	}
	var (
		groups []group
		of     = make(map[place]int)
		places = make(map[string]place) // of a path, most of which many processes share
	)
	for i := range e.Snapshot.Processes {
		p := &e.Snapshot.Processes[i]
		if p.Kthread || p.Cgroup == "" || e.hostFiles(p) {
			continue
		}
		at, ok := places[p.Cgroup]
		if !ok {
			if name, parent, ok := fromCgroup(p.Cgroup); ok {
				at = place{name, parent}
			}
			places[p.Cgroup] = at
		}
		if at.id == "" {
			continue
		}
		n, ok := of[at]
		if !ok {
			n = len(groups)
			of[at] = n
			groups = append(groups, group{place: at})
		}
		if precedes(p, groups[n].init) {
			groups[n].init = p
		}
	}
	var found []Found
	for i := range groups {
		if f := groups[i].found(e, groups[i].init); f.Engine != "" {
			f.madeIn = groups[i].parent
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

// cgroupMounts are the hierarchies that are mounted where systemd mounts them (cgroups(7)): the unified one, and below it
// or in its place those of version 1.
func cgroupMounts(hostRoot string) []string {
	root := filepath.Join(hostRoot, "/sys/fs/cgroup")
	var top, st unix.Stat_t
	if unix.Stat(root, &top) != nil {
		return nil
	}
	mounts := []string{root}
	entries, _ := os.ReadDir(root) // those that it could not read are not looked at
	for _, entry := range entries {
		if name := filepath.Join(root, entry.Name()); unix.Lstat(name, &st) == nil && st.Dev != top.Dev {
			mounts = append(mounts, name)
		}
	}
	return mounts
}

// disown makes a claim that rests on a cgroup the word of who could make that cgroup: the owner of the one above, in
// whichever hierarchy. It reports whether that is one user. What is above the observer's cgroup namespace is not seen.
func disown(f *Found, mounts []string) bool {
	for _, mount := range mounts {
		var st unix.Stat_t
		if unix.Stat(mount+f.madeIn, &st) != nil || st.Uid == 0 && st.Mode&0o002 == 0 {
			continue
		}
		if st.Mode&0o002 != 0 || f.By != 0 && f.By != st.Uid {
			return false
		}
		if f.By == 0 && f.Name != "" {
			f.ID = ownID(st.Uid, f.ID)
		}
		f.By = st.Uid
	}
	return true
}

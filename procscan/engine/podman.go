package engine

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// podman reads its database, ROOT/libpod/bolt_state.db, of every storage that a monitor (conmon) works for or that is
// where one is by default. It has all there is to know, and the state as podman last saw it. Where it is not (podman 5
// keeps an SQLite database instead, which is not read) the records of containers/storage, the bundles and the states of
// the runtimes tell the rest, without labels and pod names. Environments, which both hold, are not decoded.
func podman() Engine {
	return Engine{
		Name: "podman", Programs: []string{"conmon", "podman", "podman pause", "catatonit"}, Holds: []string{"conmon"},
		Files: podmanFiles, Identify: podmanIdentify,
	}
}

func podmanFiles(e *Evidence) []Pattern {
	patterns := []Pattern{}
	owners := []uint32{0}
	for i := range e.Users {
		owners = append(owners, e.Users[i].UID)
	}
	for _, name := range []string{"storage.conf", "containers.conf"} {
		for _, uid := range owners {
			for _, config := range podmanConfigs(e, name, uid) {
				owner := uint32(0)
				if strings.Contains(config, "/.config/") {
					owner = uid
				}
				patterns = append(patterns, Pattern{Glob: config, Owner: owner})
			}
		}
	}
	for _, r := range podmanRoots(e) {
		patterns = append(patterns,
			Pattern{Glob: r.state + "/bolt_state.db", Owner: r.owner},
			Pattern{Glob: r.graph + "/*-containers/containers.json", Owner: r.owner})
		if e.fileBy(r.state+"/bolt_state.db", r.owner) == nil && len(e.matchingOf(r.graph+"/*-containers/containers.json", r.owner)) > 0 {
			patterns = append(patterns, Pattern{Glob: r.graph + "/*-containers/*/userdata/config.json", Owner: r.owner})
		}
		if e.refused(r.state) || e.refused(r.graph) {
			patterns = append(patterns, apiRequests(e, r.socket, r.owner)...)
		}
	}
	for _, d := range e.stateDirs("runc") {
		patterns = append(patterns, Pattern{Glob: d.path + "/*/state.json", Owner: d.owner})
	}
	for _, d := range e.stateDirs("crun") {
		patterns = append(patterns, Pattern{Glob: d.path + "/*/status", Owner: d.owner})
	}
	return patterns
}

func podmanIdentify(e *Evidence) []Found {
	var found []Found
	running := podmanProcesses(e)
	for _, r := range podmanRoots(e) {
		claims := podmanDatabase(e, r)
		if claims == nil {
			claims = podmanStored(e, r)
		}
		for i := range claims {
			c := &claims[i]
			if p, ok := running[podmanKey{r.owner, c.ID}]; ok {
				c.InitPID, c.StartTime, c.Runtime, c.Start = p.pid, p.start, p.runtime, nil
				if !slices.Contains([]string{"running", "paused", "initialized", "stopping"}, c.State) {
					c.State, c.ExitCode = "running", nil // podman has not looked since
				}
			}
			podmanMonitored(e, r, c)
			found = append(found, Found{Claim: *c, By: r.owner})
		}
		answers := apiAnswers(e, r.socket, r.owner)
		for i := range answers {
			podmanMonitored(e, r, &answers[i].Claim)
		}
		found = append(found, answers...)
	}
	return append(found, podmanMonitors(e)...)
}

// podmanKey names a container: two users may have one of the same id.
type podmanKey struct {
	owner uint32
	id    string
}

type podmanProcess struct {
	pid     int
	start   uint64
	runtime string
}

// podmanProcesses are the processes that the runtimes say containers have, with the start time that podman does not keep.
func podmanProcesses(e *Evidence) map[podmanKey]podmanProcess {
	found := make(map[podmanKey]podmanProcess)
	add := func(owner uint32, id string, p podmanProcess) {
		if e.alive(p.pid, p.start) != nil {
			found[podmanKey{owner, id}] = p
		}
	}
	for _, d := range e.stateDirs("runc") {
		for _, f := range e.matchingOf(d.path+"/*/state.json", d.owner) {
			if id, pid, start := runcProcess(f.Data); id == path.Base(path.Dir(f.Path)) {
				add(d.owner, id, podmanProcess{pid, start, "runc"})
			}
		}
	}
	for _, d := range e.stateDirs("crun") {
		for _, f := range e.matchingOf(d.path+"/*/status", d.owner) {
			var s crunStatus
			if json.Unmarshal(f.Data, &s) == nil {
				add(d.owner, path.Base(path.Dir(f.Path)), podmanProcess{s.PID, s.Start, "crun"})
			}
		}
	}
	return found
}

// podmanMonitored adds the monitor above a container, and takes its configured maps to the observer's side.
func podmanMonitored(e *Evidence, r podmanRoot, c *nsinspect.Claim) {
	var monitor *Program
	for _, p := range e.named("conmon") {
		if p.UID == idmap.Kernel(r.owner) && podmanWatched(p) == c.ID {
			monitor = p
			c.Chain = []nsinspect.ChainLink{link(p.PID, p.Comm, "monitor")}
		}
	}
	c.UIDMap, c.GIDMap = composed(podmanOwn(e, r, monitor), c.UIDMap, c.GIDMap)
}

// podmanWatched is the id of the container that a monitor of podman watches, "" for other engines' monitors and for
// those of processes that were executed in a container.
func podmanWatched(p *Program) string {
	if podmanExitCommand(p) == nil || p.flag("c", "cid") != p.flag("u", "cuuid") {
		return ""
	}
	return p.flag("c", "cid")
}

// podmanOwn are the maps of the user namespace that a podman runs in, nil when they are unknown. A rootless one makes
// itself one; as long as it runs, a monitor or the process that holds that namespace is in it.
func podmanOwn(e *Evidence, r podmanRoot, monitor *Program) *nsinspect.IDMaps {
	for _, p := range e.named("podman pause", "catatonit", "conmon") {
		if monitor == nil && r.owner != 0 && p.UID == idmap.Kernel(r.owner) {
			monitor = p
		}
	}
	return e.mapsOf(r.owner, monitor)
}

// podmanMonitors is what the process tree tells where nothing else does.
func podmanMonitors(e *Evidence) []Found {
	var found []Found
	for _, p := range e.named("conmon") {
		id := podmanWatched(p)
		f := e.shimmed(p, id)
		if f == nil {
			continue
		}
		f.Name, f.Bundle = p.flag("n", "name"), p.flag("b", "bundle")
		f.Runtime = path.Base(cmp.Or(p.flag("r", "runtime"), "runc"))
		f.Chain = []nsinspect.ChainLink{link(p.PID, p.Comm, "monitor")}
		found = append(found, *f)
	}
	return found
}

package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// crio reads what CRI-O keeps of each container in ROOT/DRIVER-containers/ID/userdata: config.json, whose annotations
// have the names, and state.json with the process and its start time (cri-o: internal/oci/container.go,
// internal/annotations). Podman keeps its containers in the same place and runs the same conmon: the annotation
// io.container.manager says whose a container is, and without it the command line of conmon.
//
// A container is called POD/CONTAINER. Of the annotations only the kubelet's labels are taken: others may hold the
// manifest of the pod, with its environment.
func crio() Engine {
	return Engine{Name: crioName, Programs: []string{"crio", "conmon"}, Files: crioFiles, Identify: crioIdentify}
}

const (
	crioName       = "cri-o"
	crioRoot       = "/var/lib/containers/storage"
	crioAnnotation = "io.kubernetes.cri-o."
	crioManager    = "io.container.manager"
)

// crioConmons are the monitors of CRI-O's containers. Their scope is called crio-conmon-ID, and the directory of exit
// files is by default /var/run/crio/exits.
func crioConmons(e *Evidence) []*Program {
	return slices.DeleteFunc(e.named("conmon"), func(p *Program) bool {
		if _, ok := kubeName(p.flag("n", "name")); !ok || !p.UID.Mapped() {
			return true
		}
		if path.Base(path.Dir(p.flag("exit-dir"))) == "crio" {
			return false
		}
		monitor := e.Snapshot.Process(p.PID)
		return monitor == nil || !strings.HasPrefix(path.Base(monitor.Cgroup), "crio-conmon-")
	})
}

// crioStores are where the directories of containers are: where a monitor says, where a daemon says, and by default.
// Without either of these programs there are none.
func crioStores(e *Evidence) []string {
	var stores []string
	add := func(glob string) {
		if path.IsAbs(glob) && !slices.Contains(stores, glob) {
			stores = append(stores, glob)
		}
	}
	for _, p := range e.named("crio") {
		if p.UID != 0 {
			continue
		}
		if root := p.flag("root", "r"); path.IsAbs(root) {
			add(path.Join(root, "*-containers"))
		}
		add(crioRoot + "/*-containers")
	}
	for _, p := range crioConmons(e) {
		if dir := p.flag("persist-dir"); p.UID == 0 && path.IsAbs(dir) {
			add(path.Dir(path.Dir(path.Clean(dir))))
		}
	}
	return stores
}

func crioFiles(e *Evidence) []Pattern {
	var patterns []Pattern
	for _, store := range crioStores(e) {
		for _, name := range []string{"state.json", "config.json"} {
			patterns = append(patterns, Pattern{Glob: path.Join(store, "*/userdata", name)})
		}
	}
	return patterns
}

// crioState is state.json: the state of the OCI runtime specification with what CRI-O adds.
type crioState struct {
	Status   string `json:"status"` // created, running, paused, stopped
	PID      int    `json:"pid"`
	Bundle   string `json:"bundle"`
	ExitCode *int   `json:"exitCode"`
	Init     int    `json:"initPid"`
	Start    string `json:"initStartTime"` // clock ticks after boot
}

func crioIdentify(e *Evidence) []Found {
	var found []Found
	read := make(map[string]bool)
	for _, store := range crioStores(e) {
		for _, f := range e.matching(path.Join(store, "*/userdata/state.json")) {
			dir := path.Dir(f.Path)
			id := path.Base(path.Dir(dir))
			config := e.fileBy(dir+"/config.json", 0)
			if config == nil || f.By != 0 || read[id] {
				continue
			}
			var state crioState
			spec := readBundle(config.Data)
			if spec == nil || spec.Annotations[crioManager] != crioName || json.Unmarshal(f.Data, &state) != nil {
				continue
			}
			read[id] = true
			if spec.Annotations[crioAnnotation+"Spoofed"] != "true" { // the sandbox of a pod that needs no process
				found = append(found, Found{Claim: state.claim(e, id, spec)})
			}
		}
	}
	for _, conmon := range crioConmons(e) {
		id := conmon.flag("c", "cid")
		f := e.shimmed(conmon, id)
		if f == nil || read[id] {
			continue
		}
		names, _ := kubeName(conmon.flag("n", "name"))
		names.addTo(&f.Claim)
		f.Runtime, f.Chain = path.Base(conmon.flag("r", "runtime")), crioChain(e, conmon)
		found = append(found, *f)
	}
	return found
}

func (s *crioState) claim(e *Evidence, id string, spec *bundleSpec) nsinspect.Claim {
	note := func(name string) string { return spec.Annotations[crioAnnotation+name] }
	claim := nsinspect.Claim{ID: id}
	claim.EngineFacts = nsinspect.EngineFacts{State: s.Status, Evidence: "state", Bundle: s.Bundle, Image: note("ImageName")}
	if claim.Image == "" {
		claim.Image = note("Image")
	}
	if s.Status == "stopped" {
		claim.ExitCode = s.ExitCode
	} else if claim.InitPID = s.Init; claim.InitPID == 0 {
		claim.InitPID = s.PID
	}
	if start, err := strconv.ParseUint(s.Start, 10, 64); err == nil && s.Init != 0 {
		claim.StartTime = start
	}
	names, ok := kubeName(note("ContainerName")) // of a sandbox
	if !ok {
		names, _ = kubeName(note("Name"))
	}
	names.pod.ID = note("SandboxID")
	names.addTo(&claim)
	_ = json.Unmarshal([]byte(note("Labels")), &claim.Labels) // without them it has none
	spec.addTo(&claim)
	if init := e.Snapshot.Process(claim.InitPID); init != nil {
		if conmon := e.program(init.PPID); conmon != nil && conmon.Comm == "conmon" {
			claim.Runtime, claim.Chain = path.Base(conmon.flag("r", "runtime")), crioChain(e, conmon)
		}
	}
	return claim
}

// crioChain are the daemon and a container's monitor.
func crioChain(e *Evidence, conmon *Program) []nsinspect.ChainLink {
	var chain []nsinspect.ChainLink
	if daemons := e.named("crio"); len(daemons) > 0 {
		chain = append(chain, link(daemons[0].PID, daemons[0].Comm, "daemon"))
	}
	return append(chain, link(conmon.PID, conmon.Comm, "monitor"))
}

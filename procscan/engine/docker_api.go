package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// Requests to a daemon. Asking changes nothing.
const (
	dockerList    = "/containers/json?all=1"
	dockerVolumes = "/volumes"
)

// dockerRequests are what to ask a daemon whose files the observer may not read, as a user in group docker: its
// containers and volumes, and then each container that runs for its process.
func dockerRequests(e *Evidence, r dockerRoot) []Pattern {
	ask := func(get string) Pattern { return Pattern{Glob: r.socket, Owner: r.owner, Of: r.data, Get: get} }
	patterns := []Pattern{ask(dockerList)}
	listed := dockerListed(e, r)
	if len(listed) > 0 {
		patterns = append(patterns, ask(dockerVolumes))
	}
	for _, c := range listed {
		if c.State == "running" || c.State == "paused" {
			patterns = append(patterns, ask("/containers/"+c.ID+"/json"))
		}
	}
	return patterns
}

// dockerAnswer decodes what a daemon answered to a request, and reports whether it has.
func dockerAnswer(e *Evidence, r dockerRoot, get string, answer any) bool {
	for i := range e.Files {
		if f := &e.Files[i]; f.Path == r.socket && f.By == r.owner && f.Get == get {
			return json.Unmarshal(f.Data, answer) == nil
		}
	}
	return false
}

// dockerSummary is a container in the answer to /containers/json (Docker Engine API, ContainerList).
type dockerSummary struct {
	ID     string `json:"Id"`
	Names  []string
	Image  string
	State  string
	Labels map[string]string
	Mounts []struct {
		Type, Name, Source, Destination, Propagation string
		RW                                           bool
	}
}

func dockerListed(e *Evidence, r dockerRoot) []dockerSummary {
	var list []dockerSummary
	if !dockerAnswer(e, r, dockerList, &list) {
		return nil
	}
	return slices.DeleteFunc(list, func(c dockerSummary) bool { return !hexID(c.ID) })
}

// hexID reports whether id is one that docker makes, and so safe in the path of a request.
func hexID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }

// dockerAnswers are the containers that a daemon has answered with.
func dockerAnswers(e *dockerEvidence, r dockerRoot) []Found {
	var found []Found
	devices := dockerDevices(e.Evidence, r)
	for _, c := range dockerListed(e.Evidence, r) {
		claim := nsinspect.Claim{ID: c.ID}
		if len(c.Names) > 0 {
			claim.Name = strings.TrimPrefix(c.Names[0], "/")
		}
		claim.EngineFacts = nsinspect.EngineFacts{State: c.State, Image: c.Image, Labels: c.Labels, Evidence: "api"}
		for _, m := range c.Mounts {
			mount := nsinspect.EngineMount{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW}
			if m.Propagation != "" {
				mount.Options = []string{m.Propagation}
			}
			if device := devices[m.Name]; device != "" && m.Type == "volume" {
				mount.Source = device
			}
			claim.Mounts = append(claim.Mounts, mount)
		}
		var inspected struct { // ContainerInspect
			State  struct{ Pid int }
			Config struct{ User string }
		}
		if dockerAnswer(e.Evidence, r, path.Join("/containers", c.ID, "json"), &inspected) {
			claim.InitPID, claim.User = inspected.State.Pid, inspected.Config.User
		}
		claim.Chain = dockerChain(e, r, c.ID)
		found = append(found, Found{Claim: claim, By: r.owner})
	}
	return found
}

// dockerDevices are the devices of the volumes that have one (VolumeList), by name.
func dockerDevices(e *Evidence, r dockerRoot) map[string]string {
	var list struct {
		Volumes []struct {
			Name    string
			Options struct {
				Mode   string `json:"o"`
				Device string `json:"device"`
			}
		}
	}
	devices := make(map[string]string)
	if dockerAnswer(e, r, dockerVolumes, &list) {
		for _, v := range list.Volumes {
			devices[v.Name] = boundDevice(v.Options.Mode, v.Options.Device)
		}
	}
	return devices
}

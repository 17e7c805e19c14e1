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
	apiList    = "/containers/json?all=1"
	apiVolumes = "/volumes"
)

// apiRequests are what to ask a daemon, docker's or podman's, whose files the observer may not read, as a user in group
// docker: its containers and volumes, and then each container that runs for its process.
func apiRequests(e *Evidence, socket string, owner uint32) []Pattern {
	ask := func(get string) Pattern { return Pattern{Glob: socket, Owner: owner, Get: get} }
	patterns := []Pattern{ask(apiList)}
	listed := apiListed(e, socket, owner)
	if len(listed) > 0 {
		patterns = append(patterns, ask(apiVolumes))
	}
	for _, c := range listed {
		if c.State == "running" || c.State == "paused" {
			patterns = append(patterns, ask("/containers/"+c.ID+"/json"))
		}
	}
	return patterns
}

// apiAnswer decodes what a daemon answered to a request, and reports whether it has.
func apiAnswer(e *Evidence, socket string, owner uint32, get string, answer any) bool {
	for i := range e.Files {
		if f := &e.Files[i]; f.Path == socket && f.By == owner && f.Get == get {
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

func apiListed(e *Evidence, socket string, owner uint32) []dockerSummary {
	var list []dockerSummary
	if !apiAnswer(e, socket, owner, apiList, &list) {
		return nil
	}
	return slices.DeleteFunc(list, func(c dockerSummary) bool { return !hexID(c.ID) })
}

// hexID reports whether id is one that docker makes, and so safe in the path of a request.
func hexID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }

// apiAnswers are the containers that a daemon has answered with.
func apiAnswers(e *Evidence, socket string, owner uint32) []Found {
	var found []Found
	devices := apiDevices(e, socket, owner)
	for _, c := range apiListed(e, socket, owner) {
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
		if apiAnswer(e, socket, owner, path.Join("/containers", c.ID, "json"), &inspected) {
			claim.InitPID, claim.User = inspected.State.Pid, inspected.Config.User
		}
		found = append(found, Found{Claim: claim, By: owner})
	}
	return found
}

// apiDevices are the devices of the volumes that have one (VolumeList), by name.
func apiDevices(e *Evidence, socket string, owner uint32) map[string]string {
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
	if apiAnswer(e, socket, owner, apiVolumes, &list) {
		for _, v := range list.Volumes {
			devices[v.Name] = boundDevice(v.Options.Mode, v.Options.Device)
		}
	}
	return devices
}

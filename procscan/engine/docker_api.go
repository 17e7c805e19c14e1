package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// apiRequests are what to ask a daemon, docker's or podman's, whose files the observer may not read, as a user in group
// docker: its containers, and then each that runs for its process. Asking changes nothing.
func apiRequests(e *Evidence, socket string, owner uint32) []Pattern {
	patterns := []Pattern{{Glob: socket, Owner: owner, Get: "/containers/json?all=1"}}
	for _, c := range apiListed(e, socket, owner) {
		if c.State == "running" || c.State == "paused" {
			patterns = append(patterns, Pattern{Glob: socket, Owner: owner, Get: "/containers/" + c.ID + "/json"})
		}
	}
	return patterns
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
	for i := range e.Files {
		f := &e.Files[i]
		if f.Path != socket || f.By != owner || f.Get != "/containers/json?all=1" {
			continue
		}
		var list []dockerSummary
		if json.Unmarshal(f.Data, &list) != nil {
			return nil
		}
		return slices.DeleteFunc(list, func(c dockerSummary) bool { return !hexID(c.ID) })
	}
	return nil
}

// hexID reports whether id is one that docker makes, and so safe in the path of a request.
func hexID(id string) bool { return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" }

// apiAnswers are the containers that a daemon has answered with.
func apiAnswers(e *Evidence, socket string, owner uint32) []Found {
	var found []Found
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
			claim.Mounts = append(claim.Mounts, mount)
		}
		apiInspected(e, socket, owner, &claim)
		found = append(found, Found{Claim: claim, By: owner})
	}
	return found
}

// apiInspected adds what /containers/ID/json says (ContainerInspect).
func apiInspected(e *Evidence, socket string, owner uint32, c *nsinspect.Claim) {
	for i := range e.Files {
		f := &e.Files[i]
		if f.Path != socket || f.By != owner || f.Get != path.Join("/containers", c.ID, "json") {
			continue
		}
		var answer struct {
			State  struct{ Pid int }
			Config struct{ User string }
		}
		if json.Unmarshal(f.Data, &answer) == nil {
			c.InitPID, c.User = answer.State.Pid, answer.Config.User
		}
	}
}

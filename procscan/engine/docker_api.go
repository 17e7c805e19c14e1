package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// dockerRequests are what to ask a daemon whose files the observer may not read, as a user in group docker: its
// containers, and then each that runs for its process. Asking changes nothing.
func dockerRequests(e *Evidence, r dockerRoot) []Pattern {
	patterns := []Pattern{{Glob: r.socket, Owner: r.owner, Of: r.data, Get: dockerList}}
	for _, c := range dockerListed(e, r) {
		if c.State == "running" || c.State == "paused" {
			patterns = append(patterns, Pattern{Glob: r.socket, Owner: r.owner, Of: r.data, Get: "/containers/" + c.ID + "/json"})
		}
	}
	return patterns
}

const dockerList = "/containers/json?all=1"

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
	for i := range e.Files {
		f := &e.Files[i]
		if f.Path != r.socket || f.By != r.owner || f.Get != dockerList {
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

// dockerAnswers are the containers that a daemon has answered with.
func dockerAnswers(e *Evidence, r dockerRoot) []Found {
	var found []Found
	for _, c := range dockerListed(e, r) {
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
		dockerInspected(e, r, &claim)
		claim.Chain = dockerChain(e, r, &claim)
		found = append(found, Found{Claim: claim, By: r.owner})
	}
	return found
}

// dockerInspected adds what /containers/ID/json says (ContainerInspect).
func dockerInspected(e *Evidence, r dockerRoot, c *nsinspect.Claim) {
	for i := range e.Files {
		f := &e.Files[i]
		if f.Path != r.socket || f.By != r.owner || f.Get != path.Join("/containers", c.ID, "json") {
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

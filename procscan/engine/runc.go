package engine

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// runc reads the states of containers that runc made: DIR/ID/state.json of libcontainer. Containers that an engine had it
// make are that engine's, as long as their records can be read.
func runc() Engine {
	return Engine{Name: "runc", Programs: []string{"runc"}, Files: runcFiles, Identify: runcIdentify}
}

func runcFiles(e *Evidence) []Pattern {
	var patterns []Pattern
	for _, d := range e.stateDirs("runc") {
		patterns = append(patterns, Pattern{Glob: d.path + "/*/state.json", Owner: d.owner})
		for _, f := range e.matchingOf(d.path+"/*/state.json", d.owner) {
			var c nsinspect.Claim
			if managed(f.Data) {
				continue
			}
			if ociState(&c, f.Data); path.IsAbs(c.Bundle) {
				patterns = append(patterns, Pattern{Glob: path.Join(c.Bundle, "config.json"), Owner: d.owner})
			}
		}
	}
	return patterns
}

// managed reports whether the labels in a state of runc, which are KEY=VALUE, name a manager.
func managed(state []byte) bool { return bytes.Contains(state, []byte(`"`+annotationManager+`=`)) }

// runcProcess is the process of a state: its id, PID and start time, which are the first members. What follows is large.
func runcProcess(state []byte) (id string, pid int, start uint64) {
	d := json.NewDecoder(bytes.NewReader(state))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", 0, 0
	}
	for id == "" || pid == 0 || start == 0 {
		name, err := d.Token()
		if err != nil || !d.More() {
			break
		}
		switch name {
		case "id":
			err = d.Decode(&id)
		case "init_process_pid":
			err = d.Decode(&pid)
		case "init_process_start":
			err = d.Decode(&start)
		default:
			var skipped json.RawMessage
			err = d.Decode(&skipped)
		}
		if err != nil {
			break
		}
	}
	return id, pid, start
}

func runcIdentify(e *Evidence) []Found {
	var found []Found
	for _, d := range e.stateDirs("runc") {
		for _, f := range e.matchingOf(d.path+"/*/state.json", d.owner) {
			id, pid, start := runcProcess(f.Data)
			if id == "" || id != path.Base(path.Dir(f.Path)) {
				continue
			}
			p := e.alive(pid, start)
			if p == nil && managed(f.Data) {
				continue // its engine knows how it ended
			}
			claim := runtimeClaim(e, p, "runc", id, d.owner)
			ociState(&claim, f.Data)
			claim.Labels = runcLabels(f.Data)
			switch {
			case p == nil:
				claim.StartTime = 0
			case p.Comm == "runc:[2:INIT]":
				claim.State = "created" // waits for runc start
			}
			if config := e.fileBy(path.Join(claim.Bundle, "config.json"), d.owner); config != nil {
				if c := parseOCIConfig(config.Data); c != nil {
					c.configured(&claim)
				}
			}
			claim.UIDMap, claim.GIDMap = e.outside(claim.UIDMap, claim.GIDMap, d.owner, p)
			found = append(found, Found{By: d.owner, Claim: claim})
		}
	}
	return found
}

// runtimeClaim is what is alike for every runtime: p is the container's process, nil when it ended.
func runtimeClaim(e *Evidence, p *nsinspect.Process, runtime, id string, owner uint32) nsinspect.Claim {
	claim := nsinspect.Claim{ID: ownID(owner, id), Name: id}
	claim.EngineFacts = nsinspect.EngineFacts{State: "stopped", Runtime: runtime, Evidence: "state"}
	if p == nil {
		return claim
	}
	claim.State, claim.InitPID, claim.StartTime = "running", p.PID, p.StartTime
	if up := e.program(p.PPID); up != nil && up.Comm == runtime {
		claim.Chain = []nsinspect.ChainLink{link(up.PID, up.Comm, "runtime")}
	}
	return claim
}

// runcLabels are the annotations of the container, which runc keeps as KEY=VALUE.
func runcLabels(state []byte) map[string]string {
	var s struct {
		Config struct {
			Labels []string `json:"labels"`
		} `json:"config"`
	}
	if json.Unmarshal(state, &s) != nil {
		return nil
	}
	var labels map[string]string
	for _, l := range s.Config.Labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "bundle" {
			continue
		}
		if labels == nil {
			labels = make(map[string]string)
		}
		labels[key] = value
	}
	return labels
}

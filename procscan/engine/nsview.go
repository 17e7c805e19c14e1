package engine

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// nsviewName is the engine of nsview run.
const nsviewName = "nsview"

// nsview reads the states that nsview run --name leaves: DIR/NAME/state.json, the state of the OCI runtime
// specification with the start time of its process.
func nsview() Engine {
	return Engine{Name: nsviewName, Files: nsviewFiles, Identify: nsviewIdentify}
}

// nsviewFiles are where nsview run writes: as root /run/nsview, as others $XDG_RUNTIME_DIR/nsview, or without that
// variable /tmp/nsview-UID.
func nsviewFiles(e *Evidence) []Pattern {
	patterns := []Pattern{{Glob: "/run/nsview/*/state.json"}}
	for _, u := range e.Users {
		patterns = append(patterns,
			Pattern{Glob: clientRuntimeDir(u.UID) + "/nsview/*/state.json", Owner: u.UID},
			Pattern{Glob: "/tmp/nsview-" + itoa(u.UID) + "/*/state.json", Owner: u.UID})
	}
	if e.RuntimeDir != "" {
		patterns = append(patterns, Pattern{Glob: path.Join(e.RuntimeDir, "nsview/*/state.json"), Owner: e.self()})
	}
	return patterns
}

func nsviewIdentify(e *Evidence) []Found {
	var found []Found
	for _, f := range e.Files {
		dir, name := path.Split(strings.TrimSuffix(f.Path, "/state.json"))
		if base := path.Base(dir); base != "nsview" && !strings.HasPrefix(base, "nsview-") {
			continue
		}
		var s struct {
			ID        string `json:"id"`
			PID       int    `json:"pid"`
			StartTime uint64 `json:"startTime"`
			Bundle    string `json:"bundle"`
		}
		if json.Unmarshal(f.Data, &s) != nil || s.ID != name || !plainName(name) || s.PID == 0 || s.StartTime == 0 {
			continue
		}
		p := e.Snapshot.Process(s.PID)
		if p == nil || p.StartTime != s.StartTime {
			continue // it ended, and the state is stale
		}
		found = append(found, Found{By: f.By, Claim: nsinspect.Claim{
			ID: ownID(f.By, s.ID), Name: s.ID, InitPID: s.PID, StartTime: s.StartTime,
			EngineFacts: nsinspect.EngineFacts{State: "running", Evidence: "state", Chain: e.above(p, "nsview", "supervisor")},
		}})
	}
	return found
}

// ownID is the id of a container. Where names are each user's own, that of one that is not root's has the uid before it.
func ownID(uid uint32, id string) string {
	if uid == 0 {
		return id
	}
	return itoa(uid) + "/" + id
}

func itoa(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) }

// plainName reports whether name is one that nsview run --name takes, and so a TARGET that means nothing else.
func plainName(name string) bool {
	if name == "" || len(name) > 64 || name == "host" || strings.Trim(name, "0123456789") == "" {
		return false
	}
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return false
		}
	}
	return true
}

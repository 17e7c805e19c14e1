package engine

import (
	"encoding/json"
	"path"
)

// crun reads the states of containers that crun made: DIR/ID/status, and config.json beside it, which is the
// configuration as it was when the container was made.
func crun() Engine {
	return Engine{Name: "crun", Programs: []string{"crun"}, Files: crunFiles, Identify: crunIdentify}
}

func crunFiles(e *Evidence) []Pattern {
	var patterns []Pattern
	for _, d := range e.stateDirs("crun") {
		patterns = append(patterns,
			Pattern{Glob: d.path + "/*/status", Owner: d.owner},
			Pattern{Glob: d.path + "/*/config.json", Owner: d.owner})
	}
	return patterns
}

// crunStatus is a status of crun (libcrun/status.c).
type crunStatus struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"process-start-time"` // crun 0.16
	Bundle string `json:"bundle"`
}

func crunIdentify(e *Evidence) []Found {
	var found []Found
	for _, d := range e.stateDirs("crun") {
		for _, f := range e.matchingOf(d.path+"/*/status", d.owner) {
			var s crunStatus
			if json.Unmarshal(f.Data, &s) != nil || s.PID == 0 {
				continue
			}
			p := e.alive(s.PID, s.Start)
			claim := runtimeClaim(e, p, "crun", path.Base(path.Dir(f.Path)), d.owner)
			claim.Bundle = s.Bundle
			if p != nil && p.Comm == "crun" && isInit(p) {
				claim.State = "created" // waits for crun start
			}
			if config := e.fileBy(path.Join(path.Dir(f.Path), "config.json"), d.owner); config != nil {
				if c := parseOCIConfig(config.Data); c != nil {
					if p == nil && c.Annotations[annotationManager] != "" {
						continue // its engine knows how it ended
					}
					c.configured(&claim)
				}
			}
			claim.UIDMap, claim.GIDMap = e.outside(claim.UIDMap, claim.GIDMap, d.owner, p)
			found = append(found, Found{By: d.owner, Claim: claim})
		}
	}
	return found
}

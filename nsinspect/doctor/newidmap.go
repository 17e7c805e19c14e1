package doctor

import (
	"fmt"

	"github.com/nsview/nsview/nsinspect/access"
)

// newidmapRights finds a newuidmap or newgidmap that cannot do what it is there for.
func (j *judge) newidmapRights() {
	for i := range j.Newidmap {
		p := &j.Newidmap[i]
		if p.SetID || p.FileCaps {
			continue
		}
		capability := "cap_setuid"
		if p.Name == "newgidmap" {
			capability = "cap_setgid"
		}
		j.add(Finding{
			ID: Newidmap, Severity: Warning, Target: hostTarget, Path: p.Path,
			Evidence: fmt.Sprintf("%s is neither set-user-ID root nor has it the file capability %s, or its mount is nosuid", p.Path, capability),
			Meaning:  "ordinary users get no id map of more than their own id: rootless engines fail to start, or run with a single id",
			Fixes: []access.Fix{{
				Title:    "give it the one capability that it needs",
				Commands: []string{"setcap " + capability + "=ep " + p.Path},
				Opens:    "users may map the ids that /etc/subuid and /etc/subgid grant them",
			}},
		})
	}
}

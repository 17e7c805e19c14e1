package engine

import (
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

// A user's records say nothing about a container of root's, whatever id they have, and nothing about a process that is
// not his.
func TestAnotherUsersWord(t *testing.T) {
	const evil = 1001
	fake := func(id string, pid int) Found {
		return Found{By: evil, Claim: nsinspect.Claim{ID: id, Name: "fake", InitPID: pid, StartTime: mariadbStart}}
	}
	for name, f := range map[string]Found{
		"that its process is his": fake("x", mariadbPID),
		"that it is stopped":      fake(mariadbID, 0),
		"that it is running":      fake(mariadbID, mariadbPID),
	} {
		t.Run(name, func(t *testing.T) {
			e := mariadb(t)
			// Whoever speaks first.
			for _, order := range []string{"before", "after"} {
				engine := docker()
				engine.Identify = func(e *Evidence) []Found {
					if order == "before" {
						return append([]Found{f}, dockerIdentify(e)...)
					}
					return append(dockerIdentify(e), f)
				}
				claims := judge([]Engine{engine}, e, func(f *Found) bool { return f.By == 0 })
				if len(claims) != 1 || claims[0].Name != "mariadb" || claims[0].InitPID != mariadbPID {
					t.Errorf("%s root: claims %+v", order, claims)
				}
			}
		})
	}
}

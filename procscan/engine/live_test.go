package engine

import (
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

// look takes a snapshot of this host with its containers.
func look(t *testing.T) *nsinspect.Snapshot {
	t.Helper()
	s, err := snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// container is the one container of s that arg names.
func container(t *testing.T, s *nsinspect.Snapshot, arg string) *nsinspect.Container {
	t.Helper()
	target, err := nsinspect.Resolve(s, arg)
	if err != nil || target.Container == nil {
		t.Fatalf("no container %s: %v", arg, err)
	}
	return target.Container
}

// roles is a container's chain as "role comm" in order.
func roles(c *nsinspect.Container) []string {
	var list []string
	for _, l := range c.Chain {
		list = append(list, l.Role+" "+l.Comm)
	}
	return list
}

// gapAbout is the gap whose subject is below a directory, nil without one.
func gapAbout(s *nsinspect.Snapshot, dir string) *nsinspect.Gap {
	for i := range s.Gaps {
		if g := &s.Gaps[i]; g.Subject == dir || strings.HasPrefix(g.Subject, dir+"/") {
			return g
		}
	}
	return nil
}

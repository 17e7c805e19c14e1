package engine

import (
	"os"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// look takes a snapshot of this host with its containers.
func look(t *testing.T) *nsinspect.Snapshot {
	t.Helper()
	s, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	claims, gaps := Claims(t.Context(), s, Options{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR")})
	s.Gaps = append(s.Gaps, gaps...)
	nsinspect.Group(s, claims)
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

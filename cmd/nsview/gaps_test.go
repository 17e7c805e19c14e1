package main

import (
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

// One line says how much is missing of what and why, and what would lift it.
func TestGapSummary(t *testing.T) {
	gap := func(subject string, pid int, fact, err, hint string) nsinspect.Gap {
		return nsinspect.Gap{Subject: subject, PID: pid, Fact: fact, Error: err, Hint: hint}
	}
	const denied, root = "permission denied", "run as root"
	for _, tt := range []struct {
		name string
		gaps []nsinspect.Gap
		want string
	}{
		{
			"two facts of one process",
			[]nsinspect.Gap{gap("pid 1", 1, "namespaces", denied, root), gap("pid 1", 1, "names", denied, root)},
			"could not read namespaces and names of pid 1 (permission denied); run as root",
		},
		{
			"several of each kind, the most first",
			[]nsinspect.Gap{
				gap("/run/a", 0, "state", denied, ""), gap("/run/b", 0, "state", denied, ""),
				gap("user namespace 4026532182", 0, "relations", denied, root), gap("net namespace 4026532183", 0, "relations", denied, root),
				gap("uts namespace 4026532184", 0, "relations", denied, root),
				gap("pid 7", 7, "uid_map", "no such file or directory", "wait"), gap("pid 8", 8, "uid_map", "no such file or directory", ""),
			},
			"could not read relations of 3 namespaces (permission denied), state of 2 paths (permission denied), " +
				"uid_map of 2 processes (no such file or directory); run as root; wait",
		},
		{
			"more than a line holds",
			[]nsinspect.Gap{gap("a", 0, "f", "e", ""), gap("b", 0, "g", "e", ""), gap("c", 0, "h", "e", ""), gap("d", 0, "i", "e", ""), gap("e", 0, "j", "e", "")},
			"could not read f of a (e), g of b (e), h of c (e), 2 more (-v lists them)",
		},
		{
			"of different kinds",
			[]nsinspect.Gap{gap("pid 1", 1, "f", "e", ""), gap("host", 0, "f", "e", "")},
			"could not read f of 2 subjects (e)",
		},
	} {
		if got := gapSummary(tt.gaps); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

package main

import (
	"bytes"
	"testing"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/doctor"
)

// What was looked at is said also when there were no containers.
func TestNothingFoundSaysWhere(t *testing.T) {
	const grants = "the host's /etc/subuid, /etc/subgid, newuidmap and newgidmap"
	for _, tt := range []struct {
		list doctor.FindingList
		want string
	}{
		{doctor.FindingList{Host: true}, grants},
		{doctor.FindingList{Containers: []string{"web"}}, "1 container"},
		{doctor.FindingList{Containers: []string{"web", "db"}, Host: true}, "2 containers and " + grants},
	} {
		var out bytes.Buffer
		if err := printFindings(&out, &tt.list, render.TableOptions{}); err != nil {
			t.Fatal(err)
		}
		if want := "nothing found in " + tt.want + "\n"; out.String() != want {
			t.Errorf("%q, not %q", out.String(), want)
		}
	}
}

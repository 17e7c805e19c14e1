package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/doctor"
)

// Where not all containers can be drawn, those of which something was found are, the worst first.
func TestSomeOf(t *testing.T) {
	var rows []nsinspect.ContainerRow
	for i := range 50 {
		rows = append(rows, nsinspect.ContainerRow{Viewer: fmt.Sprintf("sh/%d", i)})
	}
	for _, name := range []string{"fine", "told", "warned", "broken"} {
		rows = append(rows, nsinspect.ContainerRow{Engine: "docker", Viewer: "docker:" + name})
	}
	findings := []doctor.Finding{
		{Severity: doctor.Info, Target: "docker:told"},
		{Severity: doctor.Warning, Target: "docker:warned"},
		{Severity: doctor.Info, Target: "docker:broken"},
		{Severity: doctor.Error, Target: "docker:broken"},
		{Severity: doctor.Info, Target: "docker:broken"},
	}
	some, about := someOf(rows, findings, 5, "About.")
	var names []string
	for i := range some {
		names = append(names, some[i].Viewer)
	}
	if got := strings.Join(names, " "); got != "docker:broken docker:warned docker:told docker:fine sh/0" {
		t.Errorf("drawn are %s", got)
	}
	if about != "About. 5 of 54 containers are drawn, those with the worst findings first." {
		t.Error(about)
	}
	if all, about := someOf(rows, findings, 54, "About."); len(all) != 54 || all[0].Viewer != "sh/0" || about != "About." {
		t.Errorf("%d drawn: %s", len(all), about)
	}
}

package main

import (
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

func TestShortViewer(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for viewer, want := range map[string]string{
		"docker:" + id:                      "docker:0123456789ab",
		"docker:web":                        "docker:web",
		"docker:" + strings.Repeat("z", 64): "docker:" + strings.Repeat("z", 64), // a name
		id:                                  id,                                  // COMM/PID has no engine
		"host":                              "host",
	} {
		if got := shortViewer(viewer); got != want {
			t.Errorf("%s is shown as %s, want %s", viewer, got, want)
		}
	}
}

// What the engine mounts on its own is folded, what the user mounts there is not; nor anything where no engine is known.
func TestEngineMounts(t *testing.T) {
	docker := &nsinspect.ContainerRow{Engine: "docker"}
	docker.Mounts = []nsinspect.EngineMount{{Destination: "/etc/hosts"}, {Destination: "/var/lib/mysql"}}
	for point, want := range map[string]bool{
		"/etc/resolv.conf": true, "/dev/shm": true, "/etc/hosts": false, "/var/lib/mysql": false, "/srv": false,
	} {
		if got := docker.OwnMount(point); got != want {
			t.Errorf("%s: %v", point, got)
		}
	}
	if (&nsinspect.ContainerRow{}).OwnMount("/etc/resolv.conf") {
		t.Error("a group without an engine has mounts of one")
	}
}

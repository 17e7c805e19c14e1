package engine

import (
	"os"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// A container that shares the host's PID namespace, and even one that was given the host's root directory, calls itself
// dockerd and a shim, with a data root in which there is a record of the other container. Neither is believed.
func TestLiveDockerImpostor(t *testing.T) {
	d := enginetest.StartDocker(t)
	victim := d.Container("--name", "nsview-test-victim", "busybox", "sleep", "1000")
	fake := d.Dir + "/fake"
	if err := os.MkdirAll(fake+"/containers/"+victim, 0o755); err != nil {
		t.Fatal(err)
	}
	record := strings.NewReplacer("@ID", victim).Replace(`{"ID":"@ID","Name":"/fake","State":{"Running":true,"Pid":1,"StartedAt":"2026-01-01T00:00:00Z"}}`)
	if err := os.WriteFile(fake+"/containers/"+victim+"/config.v2.json", []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	const rename = `printf %s "$0" >/proc/self/comm; while :; do sleep 1; done`
	pretend := map[string][]string{
		"dockerd":         {"--data-root", fake},
		"containerd-shim": {"-namespace", "moby", "-id", strings.Repeat("f", 64), "-address", "/nonexistent"},
	}
	for comm, args := range pretend {
		sh := append([]string{"sh", "-c", rename, comm}, args...)
		d.Container(append([]string{"--pid=host", "busybox"}, sh...)...)
		d.Container(append([]string{"--pid=host", "-v", "/:/host:ro", "busybox", "busybox", "chroot", "/host"}, sh...)...)
	}
	enginetest.Eventually(t, "four impostors", func() bool {
		found := 0
		s, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Args})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Processes {
			if args, ok := pretend[p.Comm]; ok && strings.HasSuffix(strings.Join(p.Args, " "), strings.Join(args, " ")) {
				found++
			}
		}
		return found == 4
	})
	s := look(t)
	for i := range s.Containers {
		if c := &s.Containers[i]; c.Name == "fake" || c.ID == strings.Repeat("f", 64) || c.ID == victim && c.Name != "nsview-test-victim" {
			t.Errorf("an impostor is believed: %s:%s %s", c.Engine, c.Name, c.ID)
		}
	}
	if c := container(t, s, victim); c.InitPID != d.InitPID(victim) || s.Process(c.InitPID).Comm != "sleep" {
		t.Errorf("init is %d, docker says %d", c.InitPID, d.InitPID(victim))
	}
}

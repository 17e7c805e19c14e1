package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// A volume of which only the directory was given to the container's user looks healthy, and the database in it does not
// start: doctor finds the files, live and in a snapshot, and each fix that is a command makes the container read and write
// all of them.
func TestLiveFilesOfAVolume(t *testing.T) {
	d := enginetest.StartDocker(t)
	volume := d.Dir + "/files"
	make := func() {
		t.Helper()
		if err := os.RemoveAll(volume); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(volume+"/shop", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"/ibdata1", "/shop/a b", "/shop/--x"} {
			if err := os.WriteFile(volume+name, []byte("x"), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		enginetest.Run(t, nil, "chown", "-R", "1000:1000", volume)
		enginetest.Run(t, nil, "chown", "999", volume)
	}
	make()
	d.Container("--name", "live-part", "--user", "mysql", "-v", volume+":/var/lib/mysql", "busybox", "sleep", "1000")
	find := func(from ...string) []doctor.Finding {
		t.Helper()
		cmd := exec.Command("nsview", append([]string{"doctor", "live-part", "-o", "json"}, from...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out) // warnings are no error, and there is no gap
		}
		var list doctor.FindingList
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatal(err)
		}
		var found []doctor.Finding
		for _, f := range list.Findings {
			if f.ID == doctor.Files {
				found = append(found, f)
			}
		}
		return found
	}
	use := func(script string) error {
		_, err := enginetest.Try(t, nil, "docker", "-H", "unix://"+d.Socket, "exec", "live-part", "sh", "-c", script)
		return err
	}
	const everyFile = `cd /var/lib/mysql && cat ibdata1 "shop/a b" shop/--x && : >>ibdata1 && : >>"shop/a b" && : >>shop/--x && : >shop/new`
	if use(everyFile) == nil {
		t.Fatal("the container can use the files already")
	}
	snapshot := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(snapshot, []byte(enginetest.Run(t, nil, "nsview", "snapshot", "--volumes")), 0o600); err != nil {
		t.Fatal(err)
	}
	found := find()
	if stored := find("--from", snapshot); len(found) != 2 || len(stored) != 2 {
		t.Fatalf("found %+v, in a snapshot %+v", found, stored)
	}
	for _, words := range []string{"on /var/lib/mysql/ibdata1", "3 of 5 files in", "on /var/lib/mysql/shop ", "1 of 5 files in"} {
		if !strings.Contains(found[0].Evidence+found[1].Evidence, words) {
			t.Errorf("no evidence says %q: %q, %q", words, found[0].Evidence, found[1].Evidence)
		}
	}
	if found[0].Evidence == found[1].Evidence {
		t.Errorf("twice: %q", found[0].Evidence)
	}
	tried := 0
	for n, fix := range found[0].Fixes {
		if len(fix.Commands) == 0 {
			continue
		}
		tried++
		make()
		// The container has the directory that was there when it started.
		d.Run("restart", "-t", "0", "live-part")
		for _, commands := range [][]string{fix.Commands, found[1].Fixes[n].Commands} {
			for _, command := range commands {
				enginetest.Run(t, nil, "sh", "-c", command)
			}
		}
		if err := use(everyFile); err != nil {
			t.Errorf("after %q and %q: %v", fix.Commands, found[1].Fixes[n].Commands, err)
		}
		if rest := find(); len(rest) > 0 {
			t.Errorf("after %q: %+v", fix.Commands, rest)
		}
	}
	if tried < 3 {
		t.Errorf("%d fixes are commands: %+v", tried, found[0].Fixes)
	}
	// What was not looked at may not be well.
	out, err := exec.Command("nsview", "doctor", "live-part", "--budget", "1ns").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUnknown || !strings.Contains(string(out), "not all were counted in 1ns") {
		t.Errorf("without time to count: %v\n%s", err, out)
	}
}

// A volume that was filled without a user namespace is nobody's in a container with one. The fix has the container's user
// own it, as before.
func TestLiveUnmappedFix(t *testing.T) {
	d := enginetest.StartDocker(t, "--userns-remap="+enginetest.NewUser(t).Name)
	volume := d.Dir + "/files"
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/ibdata1", "/a b"} {
		if err := os.WriteFile(volume+name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	enginetest.Run(t, nil, "chown", "-R", "999:999", volume)
	d.Container("--name", "live-unmapped", "--user", "mysql", "-v", volume+":/var/lib/mysql", "busybox", "sleep", "1000")
	use := func() error {
		_, err := enginetest.Try(t, nil, "docker", "-H", "unix://"+d.Socket, "exec", "live-unmapped", "sh", "-c", `cd /var/lib/mysql && cat ibdata1 "a b" && : >new`)
		return err
	}
	if use() == nil {
		t.Fatal("the container can use the files already")
	}
	out, _ := enginetest.Try(t, nil, "nsview", "doctor", "live-unmapped", "-o", "json")
	var list doctor.FindingList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	tried := false
	for _, f := range list.Findings {
		if f.ID != doctor.Unmapped {
			continue
		}
		for _, command := range f.Fixes[0].Commands {
			enginetest.Run(t, nil, "sh", "-c", command)
		}
		tried = true
	}
	if err := use(); err != nil || !tried {
		t.Errorf("after the fix: %v; found %+v", err, list.Findings)
	}
	if text := enginetest.Run(t, nil, "nsview", "doctor", "live-unmapped"); !strings.Contains(text, "nothing found") {
		t.Errorf("after the fix doctor says\n%s", text)
	}
}

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// An ordinary user who runs podman can carry out every command of a fix without being root, and the container can then
// do what it could not: chown(1) alone would refuse.
func TestLiveRootlessFixes(t *testing.T) {
	user := enginetest.NewUser(t)
	p := enginetest.StartRootlessPodman(t, user)
	volume := filepath.Join(user.Home, "files")
	as := func(argv ...string) (string, error) {
		argv = user.Argv(argv...)
		return enginetest.Try(t, p.Env(), argv[0], argv[1:]...)
	}
	reset := func() {
		if err := os.MkdirAll(volume, 0o755); err != nil {
			t.Fatal(err)
		}
		enginetest.Run(t, nil, "setfacl", "-b", volume)
		enginetest.Run(t, nil, "chown", user.Name+":"+user.Name, volume)
		enginetest.Run(t, nil, "chmod", "0755", volume)
		if err := os.RemoveAll(volume + "/made"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(user.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	// The one of this test is where only root comes.
	program, err := exec.LookPath("nsview")
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, nil, "cp", "-L", "--", program, user.Home+"/nsview")
	reset()
	for name, flags := range map[string][]string{"live-rootless": nil, "live-rootless-kept": {"--userns=keep-id"}} {
		p.Run(append(append([]string{"run", "-d", "--name", name, "--user", "999:999", "-v", volume + ":/vol"}, flags...), "busybox", "sh", "-c", "while :; do touch /vol/made; sleep 0.1; done")...)
		out, err := as("./nsview", "access", "-o", "json", "podman:"+name, "/vol/made", "create")
		var v access.Verdict
		if wrong := json.Unmarshal([]byte(out), &v); wrong != nil || v.Verdict != access.Deny {
			t.Fatalf("verdict %q: %v\n%v", v.Verdict, wrong, err)
		}
		argv := user.Argv("./nsview", "access", "podman:"+name, "/vol/made", "create")
		if text, err := exec.Command("env", append(p.Env(), argv...)...).CombinedOutput(); err == nil || !strings.Contains(string(text), "hint: a command that your user may not run is for root") {
			t.Errorf("%v, and nothing says whose commands these are:\n%s", err, text)
		}
		unshared := 0
		for _, f := range v.Fixes {
			for _, command := range f.Commands {
				if strings.HasPrefix(command, "podman unshare ") {
					unshared++
				}
				if _, err := as("sh", "-c", command); err != nil {
					t.Errorf("%s: %s: the user may not: %v", name, command, err)
				}
			}
			if len(f.Commands) > 0 {
				// By the first process itself: one of podman exec may be in other groups.
				enginetest.Eventually(t, name+": "+strings.Join(f.Commands, "; "), func() bool {
					_, err := os.Stat(volume + "/made")
					return err == nil
				})
				reset()
			}
		}
		p.Run("rm", "-f", "-t", "0", name)
		if unshared == 0 {
			t.Errorf("%s: no command is of podman unshare: %+v", name, v.Fixes)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// restarted is an engine that containers are made with, once as they were and once as a fix says.
type restarted struct {
	engine string
	run    func(args ...string) string // fails the test when the command fails
	try    func(args ...string) error
	flags  []string // of the container that is refused
	owner  int      // of its volume
	mode   os.FileMode
	want   []string // words of the fixes that have to be among those carried out
}

// What an engine is told by a fix that needs the container made anew has the new container do what the old one may not.
func TestLiveRestartFixes(t *testing.T) {
	user := enginetest.NewUser(t)
	d := enginetest.StartDocker(t)
	p := enginetest.StartPodman(t, user)
	r := enginetest.StartRootlessPodman(t, user)
	try := func(env []string, command []string) error {
		_, err := enginetest.Try(t, env, command[0], command[1:]...)
		return err
	}
	engines := map[string]restarted{
		"docker": {
			engine: "docker", run: d.Run, try: func(args ...string) error {
				return try(nil, append([]string{"docker", "-H", "unix://" + d.Socket}, args...))
			},
			flags: []string{"--net=none", "--user", "472"}, owner: 1000, mode: 0o770, want: []string{"--group-add 1000", "--user 1000:1000"},
		},
		"podman": {
			engine: "podman", run: p.Run, try: func(args ...string) error { return try(p.Env(), p.Command(args...)) },
			flags: []string{"--user", "472"}, owner: 1000, mode: 0o770, want: []string{"--group-add 1000", "--user 1000:1000"},
		},
		"root without capabilities": {
			engine: "podman", run: p.Run, try: func(args ...string) error { return try(p.Env(), p.Command(args...)) },
			flags: []string{"--cap-drop", "ALL"}, owner: 1000, mode: 0o700, want: []string{"--cap-add DAC_OVERRIDE", "--user 1000:1000"},
		},
		"mapped": {
			engine: "podman", run: p.RunCrun, try: func(args ...string) error {
				command := p.Command(args...)
				command[slices.Index(command, "runc")] = "crun" // runc 1.1 makes no idmapped mounts
				return try(p.Env(), enginetest.Crunnable(command...))
			},
			flags: []string{"-i", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--user", "1000"}, owner: 1000, mode: 0o700,
			want: []string{":/vol:idmap", ":/vol:U"},
		},
		"rootless": {
			engine: "podman", run: r.Run, try: func(args ...string) error { return try(r.Env(), r.Command(args...)) },
			flags: []string{"--user", "1000"}, owner: user.UID, mode: 0o700, want: []string{"--userns=keep-id", ":/vol:U"},
		},
	}
	for name, e := range engines {
		t.Run(name, func(t *testing.T) { e.test(t, "restart-"+strings.ReplaceAll(name, " ", "-")) })
	}
}

func (e *restarted) test(t *testing.T, name string) {
	volume := t.TempDir()
	for dir := volume; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	reset := func() {
		if err := os.Chown(volume, e.owner, e.owner); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(volume, e.mode); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(volume + "/made")
	}
	reset()
	made := func(flags ...string) []string {
		return append(append([]string{"run", "--rm"}, flags...), "busybox", "touch", "/vol/made")
	}
	base := append([]string{"-v", volume + ":/vol"}, e.flags...)
	if e.try(made(base...)...) == nil {
		t.Fatal("the container may make the file")
	}
	e.run(append(append([]string{"run", "-d", "--name", name}, base...), "busybox", "sleep", "1000")...)
	out, _ := enginetest.Try(t, nil, "nsview", "access", "-o", "json", e.engine+":"+name, "/vol/made", "create")
	var v access.Verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Verdict != access.Deny {
		t.Fatalf("verdict %q: %v\n%s", v.Verdict, err, out)
	}
	carried := ""
	for _, f := range v.Fixes {
		if !f.Restart || len(f.Commands) > 0 || !f.Proven {
			continue
		}
		flags := slices.Clone(base)
		if _, options, ok := strings.Cut(f.How, " run that made it: "); ok {
			flags = append(flags, strings.Fields(options)...)
		} else if _, spec, ok := strings.Cut(f.How, "mounted with -v "); ok {
			flags[1], _, _ = strings.Cut(spec, " ")
		} else {
			t.Errorf("it is not said how: %q", f.How)
			continue
		}
		carried += " " + f.How
		if err := e.try(made(flags...)...); err != nil {
			t.Errorf("%s (%s): %v", f.Title, f.How, err)
		}
		reset()
	}
	for _, want := range e.want {
		if !strings.Contains(carried, want) {
			t.Errorf("no fix has %s, only %q", want, carried)
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// crashing is a docker with a database that cannot read its volume, which is a folder of uid 1000, and so ends whenever
// it is started; and with one that runs.
type crashing struct {
	*enginetest.Docker
	volume string
}

func startCrashing(t *testing.T) crashing {
	t.Helper()
	d := crashing{Docker: enginetest.StartDocker(t)}
	d.volume = d.Dir + "/files"
	if err := os.Mkdir(d.volume, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.volume+"/ibdata1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{d.volume, d.volume + "/ibdata1"} {
		if err := os.Chown(name, 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	d.Run("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device="+d.volume, "live-files")
	d.Container("--name", "live-web", "busybox", "sleep", "1000")
	d.Container("--name", "live-db", "--user", "mysql", "-v", "live-files:/var/lib/mysql", "busybox", "ls", "/var/lib/mysql")
	enginetest.Eventually(t, "the end of live-db", func() bool { return d.Run("inspect", "-f", "{{.State.Status}}", "live-db") == "exited" })
	return d
}

// seen are the views of a file, but for those of what else runs on this host: viewer, ids inside, volume and path.
func seen(t *testing.T, report string) []string {
	t.Helper()
	var r nsinspect.OwnerReport
	if err := json.Unmarshal([]byte(report), &r); err != nil || len(r.Files) != 1 {
		t.Fatalf("%v: %s", err, report)
	}
	list := []string{}
	for _, v := range r.Files[0].Views {
		if v.Viewer == "host" || strings.HasPrefix(v.Viewer, "docker:live-") {
			list = append(list, fmt.Sprintf("%s %v:%v %s %s", v.Viewer, v.UID, v.GID, v.Mount.Volume, v.Path))
		}
	}
	return list
}

// A database that cannot read its volume has no process, and still its view of the files is what the user asks for: now,
// and from a snapshot.
func TestLiveStoppedDocker(t *testing.T) {
	d := startCrashing(t)
	store := func(args ...string) string {
		name := filepath.Join(t.TempDir(), "host.json")
		out := enginetest.Run(t, nil, "nsview", append([]string{"snapshot"}, args...)...)
		if err := os.WriteFile(name, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	file, inside := d.volume+"/ibdata1", "/var/lib/mysql/ibdata1"
	volumes, paths := store("--volumes"), store("--path", "live-db:"+inside)
	views := []string{"host 1000:1000  " + file, "docker:live-db 1000:1000 live-files " + inside}
	dirs := []string{"host 1000:1000  " + d.volume, "docker:live-db 1000:1000 live-files /var/lib/mysql"}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{file}, views},
		{[]string{"--in", "live-db", inside}, views},
		{[]string{"--in", "live-db", inside, "--from", paths}, views},
		{[]string{file, "--from", paths}, views},
		{[]string{d.volume, "--from", volumes}, dirs},
		{[]string{"--in", "docker:live-db", "/var/lib/mysql", "--from", volumes}, dirs},
	} {
		out, err := enginetest.Try(t, nil, "nsview", append([]string{"owner", "-o", "json"}, c.args...)...)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(c.want, seen(t, out)); diff != "" {
			t.Errorf("owner %q (-want +got):\n%s", c.args, diff)
		}
		if !strings.Contains(out, "docker:live-db is not running") {
			t.Errorf("owner %q does not say what it assumes", c.args)
		}
	}
	for _, from := range [][]string{nil, {"--from", volumes}} {
		text := enginetest.Run(t, nil, "nsview", append([]string{"containers", "live-db"}, from...)...)
		for _, words := range [][]string{{"state", "exited,", "exit", "status", "1"}, {"user", "mysql", "configured"}, {"live-files", "/var/lib/mysql", "1000:1000", d.volume}} {
			if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return hasWords(line, words) }) {
				t.Errorf("containers %q shows no line with %q:\n%s", from, words, text)
			}
		}
		for _, command := range []string{"ps", "ns"} {
			_, err := enginetest.Try(t, nil, "nsview", append([]string{command, "live-db"}, from...)...)
			if err == nil || !strings.Contains(err.Error(), "exit status 2: nsview: live-db is not running: exited, exit status 1") {
				t.Errorf("%s of a container that is not running: %v", command, err)
			}
		}
		if out := enginetest.Run(t, nil, "nsview", append([]string{"map", "live-db", "999"}, from...)...); !strings.Contains(out, "999  999") {
			t.Errorf("map says\n%s", out)
		}
	}
}

// In a container with the host's root mounted nsview says what it says outside.
func TestLiveInContainer(t *testing.T) {
	d := startCrashing(t)
	program, err := exec.LookPath("nsview")
	if err != nil {
		t.Fatal(err)
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		t.Fatal(err)
	}
	in := func(t *testing.T, flags, args []string) (stdout string, err error) {
		t.Helper()
		command := append([]string{"-H", "unix://" + d.Socket, "run", "--rm", "--net=none", "-v", program + ":/bin/nsview:ro"}, flags...)
		return enginetest.Try(t, nil, "docker", append(append(command, "busybox", "nsview"), args...)...)
	}
	host := []string{"-v", "/:/host:ro", "--cap-add=SYS_PTRACE"}
	for name, c := range map[string]struct{ flags, args []string }{
		"pid=host":               {append([]string{"--pid=host"}, host...), nil},
		"pid=host, --proc":       {append([]string{"--pid=host"}, host...), []string{"--proc", "/host/proc"}},
		"own PID namespace":      {host, nil},
		"without CAP_SYS_PTRACE": {[]string{"-v", "/:/host:ro"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--host-root", "/host"}, c.args...)
			out, err := in(t, c.flags, append([]string{"containers", "-a", "-o", "json"}, args...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ours(t, enginetest.Run(t, nil, "nsview", "containers", "-a", "-o", "json"), ""), ours(t, out, "/host")); diff != "" {
				t.Errorf("containers (-outside +inside):\n%s", diff)
			}
			if out, err = in(t, c.flags, append([]string{"owner", "-o", "json", "/host" + d.volume + "/ibdata1"}, args...)); err != nil {
				t.Fatal(err)
			}
			want := []string{"host 1000:1000  /host" + d.volume + "/ibdata1", "docker:live-db 1000:1000 live-files /var/lib/mysql/ibdata1"}
			if diff := cmp.Diff(want, seen(t, out)); diff != "" {
				t.Errorf("owner (-want +got):\n%s", diff)
			}
			if out, err = in(t, c.flags, append([]string{"ps", "-o", "json", "live-web"}, args...)); err != nil {
				t.Fatal(err)
			}
			var list nsinspect.ProcessList
			if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Processes) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			if p := list.Processes[0]; p.PID != d.InitPID("live-web") || p.Host.User != "root" || p.Viewer != "docker:live-web" {
				t.Errorf("ps shows %+v", p)
			}
		})
	}
	t.Run("no procfs of the host", func(t *testing.T) {
		out, err := in(t, []string{"-v", d.Dir + ":/host" + d.Dir + ":ro"}, []string{"containers", "-o", "json", "--host-root", "/host"})
		if err != nil {
			t.Fatal(err)
		}
		var list nsinspect.ContainerList
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list.Gaps, func(g nsinspect.Gap) bool { return g.Subject == "the host" && g.Fact == "processes" }) {
			t.Errorf("the lack of the host's processes is no gap: %+v", list.Gaps)
		}
	})
}

// ours are the containers of startCrashing, with the paths on the host without root.
func ours(t *testing.T, containers, root string) []nsinspect.ContainerRow {
	t.Helper()
	var list nsinspect.ContainerList
	if err := json.Unmarshal([]byte(containers), &list); err != nil {
		t.Fatal(err)
	}
	var rows []nsinspect.ContainerRow
	for _, c := range list.Containers {
		if !strings.HasPrefix(c.Name, "live-") {
			continue
		}
		for i := range c.Volumes {
			c.Volumes[i].Source = strings.TrimPrefix(c.Volumes[i].Source, root)
		}
		for i := range c.Mounts {
			c.Mounts[i].Source = strings.TrimPrefix(c.Mounts[i].Source, root)
		}
		if c.Start != nil {
			c.Start.Rootfs = strings.TrimPrefix(c.Start.Rootfs, root)
		}
		rows = append(rows, c)
	}
	if len(rows) != 2 {
		t.Fatalf("%d containers: %s", len(rows), containers)
	}
	return rows
}

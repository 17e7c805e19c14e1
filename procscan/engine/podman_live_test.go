package engine

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// inspected is what podman itself says about a container.
type inspected struct {
	ID    string `json:"Id"`
	State struct {
		Status           string
		Pid, ConmonPid   int
		ExitCode         int
		Running, Restart bool
	}
	Pod string
}

func inspect(t *testing.T, p *enginetest.Podman, name string) inspected {
	t.Helper()
	var list []inspected
	if err := json.Unmarshal([]byte(p.Run("container", "inspect", name)), &list); err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	return list[0]
}

// agrees compares a container with what podman says of it.
func agrees(t *testing.T, s *nsinspect.Snapshot, p *enginetest.Podman, name string) *nsinspect.Container {
	t.Helper()
	c, want := container(t, s, "podman:"+name), inspect(t, p, name)
	if c.ID != want.ID || c.State != want.State.Status || c.InitPID != want.State.Pid || c.Evidence != "state" {
		t.Errorf("%s is %+v, podman says %+v", name, c, want)
	}
	if c.Running() {
		if len(c.Chain) != 1 || c.Chain[0] != (nsinspect.ChainLink{PID: want.State.ConmonPid, Comm: "conmon", Role: "monitor"}) {
			t.Errorf("the chain of %s is %v", name, c.Chain)
		}
	} else if c.State == "exited" && (c.ExitCode == nil || *c.ExitCode != want.State.ExitCode) {
		t.Errorf("%s exited with %v, podman says %d", name, c.ExitCode, want.State.ExitCode)
	}
	return c
}

func TestLivePodman(t *testing.T) {
	p := enginetest.StartPodman(t, enginetest.NewUser(t).LoggedIn(t))
	device := p.Dir + "/device"
	if err := os.Mkdir(device, 0o755); err != nil {
		t.Fatal(err)
	}
	const sleep = "sleep 1000"
	p.Run("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device="+device, "nsview-test-volume")
	p.Run("pod", "create", "--name", "nsview-test-pod", "--infra-command", "/bin/"+sleep, "--infra-image", "busybox")
	p.Run("run", "-d", "--pod", "nsview-test-pod", "--name", "nsview-test-db", "--label", "a=b", "-u", "mysql",
		"-v", "nsview-test-volume:/var/lib/mysql", "-v", device+":/data:ro", "busybox", "sleep", "1000")
	p.RunCrun("run", "-d", "-i", "--name", "nsview-test-auto", "--userns=auto:size=1024", "busybox", "sleep", "1000")
	p.Run("run", "-d", "--name", "nsview-test-gone", "busybox", "sh", "-c", "exit 3")
	p.Run("create", "--name", "nsview-test-made", "busybox", "sleep", "1000")
	enginetest.Eventually(t, "the end of nsview-test-gone", func() bool { return inspect(t, p, "nsview-test-gone").State.Status == "exited" })
	impostor(t, p, device)

	s := look(t)
	c := agrees(t, s, p, "nsview-test-db")
	if c.Image != "localhost/busybox:latest" || c.User != "mysql" || c.Runtime != "runc" || c.Labels["a"] != "b" {
		t.Errorf("the container is %+v", c)
	}
	if pod := inspect(t, p, "nsview-test-db").Pod; c.Pod == nil || c.Pod.ID != pod || c.Pod.Name != "nsview-test-pod" {
		t.Errorf("the pod is %+v, podman says %s", c.Pod, pod)
	}
	if diff := cmp.Diff([]nsinspect.EngineMount{
		{Type: "bind", Source: device, Destination: "/data", ReadOnly: true, Options: []string{"rprivate"}},
		{Type: "volume", Name: "nsview-test-volume", Source: device, Destination: "/var/lib/mysql", Options: []string{"rprivate", "nosuid", "nodev"}},
	}, c.Mounts); diff != "" {
		t.Error(diff)
	}
	c = agrees(t, s, p, "nsview-test-auto")
	if maps := s.Maps(c.IDMaps); c.Runtime != "crun" || !c.UIDMap.Equal(maps.UID) || !c.GIDMap.Equal(maps.GID) || c.UIDMap[0].Count != 1024 {
		t.Errorf("the maps are %v and %v, the kernel says %+v; runtime %s", c.UIDMap, c.GIDMap, maps, c.Runtime)
	}
	agrees(t, s, p, "nsview-test-gone")
	if c := agrees(t, s, p, "nsview-test-made"); c.State != "created" || c.ExitCode != nil {
		t.Errorf("the created container is %+v", c)
	}
	for i := range s.Containers {
		if c := &s.Containers[i]; c.Name == "nsview-test-fake" || c.Engine == "runc" && strings.Contains(c.Bundle, p.Dir) {
			t.Errorf("there is a container %+v", c)
		}
	}
	if c := agrees(t, s, p, "nsview-test-evil"); c.Processes != 2 {
		t.Errorf("the impostor has %d processes", c.Processes)
	}
	podmanAnswers(t, s, p)
}

// impostor starts a container on the host's PID namespace that calls itself conmon, and has a child, and state files.
func impostor(t *testing.T, p *enginetest.Podman, dir string) {
	t.Helper()
	const script = "#!/bin/sh\nmkdir -p /run/runc/nsview-test-fake\necho '{\"id\":\"nsview-test-fake\",\"init_process_pid\":1,\"init_process_start\":1}' >/run/runc/nsview-test-fake/state.json\nsleep 1000\n"
	if err := os.WriteFile(dir+"/conmon", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("f", 64)
	p.Run("run", "-d", "--pid=host", "--name", "nsview-test-evil", "-v", dir+":/data", "busybox",
		"/data/conmon", "-c", id, "-u", id, "-n", "nsview-test-fake", "-r", "/usr/bin/runc", "-b", "/x/overlay-containers/"+id+"/userdata", "--exit-command", "/usr/bin/podman", "--exit-command-arg", "container")
	pid := inspect(t, p, "nsview-test-evil").State.Pid
	enginetest.Eventually(t, "the sleep of the impostor", func() bool {
		s := processes(t)
		return slices.ContainsFunc(s.Processes, func(q nsinspect.Process) bool { return q.PPID == pid && q.Comm == "sleep" })
	})
}

// podmanAnswers asks podman's API service, as an observer does who may not read the files.
func podmanAnswers(t *testing.T, s *nsinspect.Snapshot, p *enginetest.Podman) {
	t.Helper()
	socket := p.Dir + "/podman.sock"
	argv := p.Command("system", "service", "--time=0", "unix://"+socket)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), p.Env()...)
	enginetest.Daemon(t, cmd, func() bool {
		_, err := getFile(t.Context(), "/", Pattern{Glob: socket, Get: "/containers/json?all=1"})
		return err == nil
	})
	e := &Evidence{Snapshot: s, Refused: []string{p.Dir + "/root"}}
	e.Programs = newReader(t.Context(), Options{Proc: "/proc", HostRoot: "/"}, processes(t)).programs([]Engine{{Programs: []string{"podman"}}})
	done := make(map[Pattern]bool)
	for range maxRounds {
		for _, q := range podmanFiles(e) {
			if q.Get == "" || q.Glob != socket || done[q] {
				continue
			}
			done[q] = true
			files, err := getFile(t.Context(), "/", q)
			if err != nil {
				t.Fatal(err)
			}
			e.Files = append(e.Files, files...)
		}
	}
	for _, f := range podmanIdentify(e) {
		if f.Name != "nsview-test-db" {
			continue
		}
		want := container(t, s, "podman:nsview-test-db")
		if f.ID != want.ID || f.InitPID != want.InitPID || f.State != "running" || f.Evidence != "api" || f.Labels["a"] != "b" || f.User != "mysql" || len(f.Mounts) != 2 {
			t.Errorf("the API tells of %+v", f)
		}
		return
	}
	t.Errorf("the API does not tell of the container; asked %v", done)
}

func TestLivePodmanRootless(t *testing.T) {
	p := enginetest.StartRootlessPodman(t, enginetest.NewUser(t).LoggedIn(t))
	p.Run("run", "-d", "--name", "nsview-test-keep", "--userns=keep-id", "-v", "nsview-test-volume:/data", "busybox", "sleep", "1000")
	p.Run("run", "-d", "--name", "nsview-test-plain", "busybox", "sleep", "1000")
	p.Run("run", "-d", "--name", "nsview-test-gone", "--userns=nomap", "busybox", "sh", "-c", "exit 3")
	enginetest.Eventually(t, "the end of nsview-test-gone", func() bool { return inspect(t, p, "nsview-test-gone").State.Status == "exited" })

	s := look(t)
	for _, name := range []string{"nsview-test-keep", "nsview-test-plain"} {
		c := agrees(t, s, p, name)
		if maps := s.Maps(c.IDMaps); !c.UIDMap.Equal(maps.UID) || !c.GIDMap.Equal(maps.GID) {
			t.Errorf("%s: the configured maps are %v and %v, the kernel says %+v", name, c.UIDMap, c.GIDMap, maps)
		}
	}
	if c := container(t, s, "podman:nsview-test-keep"); len(c.Mounts) != 1 || c.Mounts[0].Name != "nsview-test-volume" || c.User == "" {
		t.Errorf("the container is %+v", c)
	}
	gone := agrees(t, s, p, "nsview-test-gone")
	keep := container(t, s, "podman:nsview-test-keep")
	if len(gone.UIDMap) == 0 || gone.UIDMap[0].Outside != keep.UIDMap[0].Outside {
		t.Errorf("nomap is %v on this side, keep-id %v", gone.UIDMap, keep.UIDMap)
	}
}

// processes is what look sees, without the containers.
func processes(t *testing.T) *nsinspect.Snapshot {
	t.Helper()
	s, err := procscan.Scan(t.Context(), procscan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

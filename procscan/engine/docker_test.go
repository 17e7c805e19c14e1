package engine

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// The container of testdata/docker, whose files are those of a real one.
const (
	mariadbID    = "511b54380903da0b26ba424429c57cb58bbb2aae3848f1671d64ea4fd3775f4c"
	mariadbPID   = 6624
	mariadbStart = 420217
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mariadb is the evidence of one container on a host with docker, as root sees it.
func mariadb(t testing.TB) *Evidence {
	t.Helper()
	s := &nsinspect.Snapshot{Observer: nsinspect.Observer{InitialNS: true}, Processes: []nsinspect.Process{
		{PID: 1, PIDs: []int{1}, Comm: "init", StartTime: 1},
		{PID: 300, PPID: 1, PIDs: []int{300}, Comm: "dockerd", StartTime: 300},
		{PID: 310, PPID: 300, PIDs: []int{310}, Comm: "containerd", StartTime: 310},
		{PID: 6600, PPID: 1, PIDs: []int{6600}, Comm: "containerd-shim", StartTime: mariadbStart - 9},
		{PID: mariadbPID, PPID: 6600, PIDs: []int{mariadbPID, 1}, Comm: "sleep", StartTime: mariadbStart, Cgroup: "/docker/" + mariadbID},
	}}
	return &Evidence{
		Snapshot: s,
		Programs: []Program{
			{PID: 300, PPID: 1, Comm: "dockerd", Args: []string{"dockerd"}},
			{PID: 310, PPID: 300, Comm: "containerd", Args: []string{"containerd", "--config", "/var/run/docker/containerd/containerd.toml"}},
			{PID: 6600, PPID: 1, Comm: "containerd-shim", Args: []string{
				"/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", mariadbID, "-address", "/var/run/docker/containerd/containerd.sock",
			}},
		},
		Files: []File{
			{Path: "/var/lib/docker/containers/" + mariadbID + "/config.v2.json", Data: testdata(t, "docker/config.v2.json")},
			{Path: "/var/lib/docker/volumes/blog_mariadb/opts.json", Data: testdata(t, "docker/opts.json")},
			{Path: "/var/run/docker/containerd/containerd.toml", Data: testdata(t, "docker/containerd.toml")},
			{Path: "/var/run/docker/runtime-runc/moby/" + mariadbID + "/state.json", Data: testdata(t, "docker/state.json")},
		},
	}
}

// dockerClaims are docker's claims, of which everybody is believed.
func dockerClaims(e *Evidence) []nsinspect.Claim {
	return judge([]Engine{docker()}, e, func(*Found) bool { return true })
}

func wantMariadb() nsinspect.Claim {
	return nsinspect.Claim{
		Engine: "docker", ID: mariadbID, Name: "mariadb", InitPID: mariadbPID, StartTime: mariadbStart,
		EngineFacts: nsinspect.EngineFacts{
			State: "running", Image: "busybox", Runtime: "runc", User: "ctr", Evidence: "state",
			Bundle: "/var/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/" + mariadbID,
			Labels: map[string]string{"com.docker.compose.project": "blog", "com.docker.compose.service": "mariadb"},
			UIDMap: idmap.Identity(), GIDMap: idmap.Identity(),
			Mounts: []nsinspect.EngineMount{
				{Type: "bind", Source: "/home/khope/data/mariadb", Destination: "/backup", ReadOnly: true, Options: []string{"rprivate"}},
				{Type: "volume", Name: "blog_mariadb", Source: "/home/khope/data/mariadb", Destination: "/var/lib/mysql"},
			},
			Chain: []nsinspect.ChainLink{
				{PID: 300, Comm: "dockerd", Role: "daemon"},
				{PID: 310, Comm: "containerd", Role: "containerd"},
				{PID: 6600, Comm: "containerd-shim", Role: "shim"},
			},
		},
	}
}

func TestDockerIdentify(t *testing.T) {
	if diff := cmp.Diff([]nsinspect.Claim{wantMariadb()}, dockerClaims(mariadb(t))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Nothing of the environment, which holds passwords, is in a claim.
func TestDockerLeavesTheEnvironmentAlone(t *testing.T) {
	e := mariadb(t)
	if !bytes.Contains(e.Files[0].Data, []byte("secret")) {
		t.Fatal("the fixture has no secret")
	}
	if text := cmp.Diff(nil, dockerClaims(e)); strings.Contains(text, "secret") {
		t.Errorf("a claim has the environment: %s", text)
	}
}

// Each case changes the evidence; want is what changes in the claim, nil when there is none.
func TestDockerEvidence(t *testing.T) {
	config := func(e *Evidence, old, with string) {
		f := &e.Files[0]
		if !bytes.Contains(f.Data, []byte(old)) {
			t.Fatalf("the fixture has no %s", old)
		}
		f.Data = bytes.ReplaceAll(f.Data, []byte(old), []byte(with))
	}
	stopped := func(c *nsinspect.Claim) {
		c.InitPID, c.State = 0, "stopped"
	}
	for name, c := range map[string]struct {
		change func(*Evidence)
		want   func(*nsinspect.Claim)
	}{
		"paused": {
			func(e *Evidence) { config(e, `"Paused": false`, `"Paused": true`) },
			func(c *nsinspect.Claim) { c.State = "paused" },
		},
		"labels with escapes": {
			func(e *Evidence) {
				config(e, `"com.docker.compose.project": "blog"`, `"a\u001b[31m\n": "b\u202e\u0000"`)
			},
			func(c *nsinspect.Claim) {
				c.Labels = map[string]string{"a\x1b[31m\n": "b\u202e\x00", "com.docker.compose.service": "mariadb"}
			},
		},
		"a mount with odd values": {
			func(e *Evidence) {
				config(e, `"Source": "/home/khope/data/mariadb",
   "Destination": "/backup"`, `"Source": "../../etc\u0000",
   "Destination": ""`)
				config(e, `"Name": "blog_mariadb"`, `"Name": "../../../etc"`)
			},
			func(c *nsinspect.Claim) {
				c.Mounts[0].Source, c.Mounts[0].Destination = "../../etc\x00", ""
				c.Mounts[1].Name, c.Mounts[1].Source = "../../../etc", "/var/lib/docker/volumes/blog_mariadb/_data"
			},
		},
		"a volume whose device is no path": {
			func(e *Evidence) {
				e.Files[1].Data = []byte(`{"MountType":"nfs","MountOpts":"addr=host","MountDevice":":/x"}`)
			},
			func(c *nsinspect.Claim) { c.Mounts[1].Source = "/var/lib/docker/volumes/blog_mariadb/_data" },
		},
		"a process that has its PID since": {
			func(e *Evidence) {
				p := &e.Snapshot.Processes[4]
				p.StartTime, p.PPID, p.Cgroup = mariadbStart+1, 1, "/system.slice/cron.service"
			},
			stopped,
		},
		"a process that has its PID since, and no state of runc": {
			func(e *Evidence) {
				e.Files = e.Files[:3]
				e.Programs = e.Programs[:2]
				e.Snapshot.Processes = append(e.Snapshot.Processes[:3], nsinspect.Process{
					PID: mariadbPID, PPID: 1, PIDs: []int{mariadbPID}, Comm: "cron", StartTime: mariadbStart + 9, Cgroup: "/system.slice/cron.service",
				})
			},
			func(c *nsinspect.Claim) {
				stopped(c)
				c.StartTime, c.Runtime, c.Bundle, c.Chain = 0, "", "", c.Chain[:2]
			},
		},
		"no state of runc": {
			func(e *Evidence) { e.Files = e.Files[:3] },
			func(c *nsinspect.Claim) { c.Runtime, c.Bundle = "", "" },
		},
		"no process": {
			func(e *Evidence) { e.Snapshot.Processes = e.Snapshot.Processes[:4] },
			stopped,
		},
		"a dead daemon": {
			func(e *Evidence) {
				e.Programs = e.Programs[2:]
				e.Snapshot.Processes = slices.Delete(e.Snapshot.Processes, 1, 3)
			},
			func(c *nsinspect.Claim) { c.Chain = c.Chain[2:] },
		},
		"the ids of userns-remap": {
			func(e *Evidence) {
				e.Files[3].Data = bytes.Replace(e.Files[3].Data, []byte(`"uid_mappings": null`),
					[]byte(`"uid_mappings": [{"container_id":0,"host_id":100000,"size":65536}]`), 1)
			},
			func(c *nsinspect.Claim) {
				c.UIDMap, c.GIDMap = idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}, nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, want := mariadb(t), wantMariadb()
			c.change(e)
			c.want(&want)
			if diff := cmp.Diff([]nsinspect.Claim{want}, dockerClaims(e)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A container that is not running has the maps that its daemon would give it.
func TestDockerMapsOfStoppedContainers(t *testing.T) {
	remapped := func(e *Evidence) {
		for i := range e.Files {
			e.Files[i].Path = strings.Replace(e.Files[i].Path, "/var/lib/docker/", "/var/lib/docker/100000.200000/", 1)
		}
		e.Files = append(e.Files,
			File{Path: "/etc/subuid", Data: []byte("khope:300000:65536\ndockremap:100000:65536\n")},
			File{Path: "/etc/subgid", Data: []byte("dockremap:200000:1000\n")})
	}
	for name, c := range map[string]struct {
		change   func(*Evidence)
		uid, gid idmap.Map
	}{
		"plain":        {func(*Evidence) {}, idmap.Identity(), idmap.Identity()},
		"userns-remap": {remapped, idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}}, idmap.Map{{Inside: 0, Outside: 200000, Count: 1000}}},
		"userns-remap, without the grant": {func(e *Evidence) {
			remapped(e)
			e.Files = e.Files[:len(e.Files)-1]
		}, nil, nil},
		"userns-remap, made with --userns=host": {func(e *Evidence) {
			remapped(e)
			e.Files = append(e.Files, File{
				Path: "/var/lib/docker/100000.200000/containers/" + mariadbID + "/hostconfig.json", Data: []byte(`{"UsernsMode": "host"}`),
			})
		}, idmap.Identity(), idmap.Identity()},
		"seen from a container": {func(e *Evidence) { e.Snapshot.Observer.InitialNS = false }, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := mariadb(t)
			e.Files[0].Data = bytes.Replace(e.Files[0].Data, []byte(`"Running": true`), []byte(`"Running": false`), 1)
			e.Files = slices.Delete(e.Files, 3, 4) // the state of runc
			c.change(e)
			e.sortFiles()
			claims := dockerClaims(e)
			i := slices.IndexFunc(claims, func(c nsinspect.Claim) bool { return c.Evidence == "state" })
			if i < 0 || !claims[i].UIDMap.Equal(c.uid) || !claims[i].GIDMap.Equal(c.gid) {
				t.Errorf("claims %+v, want the maps %v and %v", claims, c.uid, c.gid)
			}
		})
	}
}

// What is left when the record of a container is not one, or not its own: that the shim has a container.
func TestDockerRecordsThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*File){
		"another's id":    func(f *File) { f.Data = bytes.ReplaceAll(f.Data, []byte(`"ID": "511b`), []byte(`"ID": "611b`)) },
		"no id":           func(f *File) { f.Data = []byte("{}") },
		"not JSON":        func(f *File) { f.Data = []byte("\x00") },
		"empty":           func(f *File) { f.Data = nil },
		"a number":        func(f *File) { f.Data = []byte("7") },
		"a PID of text":   func(f *File) { f.Data = bytes.Replace(f.Data, []byte("6624"), []byte(`"6624"`), 1) },
		"nested too deep": func(f *File) { f.Data = bytes.Repeat([]byte("["), 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			e := mariadb(t)
			change(&e.Files[0])
			claims := dockerClaims(e)
			if len(claims) != 1 || claims[0].Name != "" || claims[0].ID != mariadbID || claims[0].InitPID != mariadbPID || claims[0].Evidence != "process" {
				t.Errorf("claims %+v", claims)
			}
		})
	}
}

// A user's program that calls itself the shim of root's container stands in nobody's way.
func TestDockerShimOfSomebodyElse(t *testing.T) {
	e := mariadb(t)
	e.Files = nil
	e.Programs = slices.Insert(e.Programs, 2, Program{PID: 400, PPID: 1, Comm: "containerd-shim", UID: 1001, Args: e.Programs[2].Args})
	e.Snapshot.Processes = slices.Insert(e.Snapshot.Processes, 3, nsinspect.Process{PID: 400, PPID: 1, PIDs: []int{400}, Comm: "containerd-shim", StartTime: 400},
		nsinspect.Process{PID: 401, PPID: 400, PIDs: []int{401}, Comm: "sleep", StartTime: 401})
	claims := dockerClaims(e)
	if len(claims) != 1 || claims[0].InitPID != mariadbPID || claims[0].Chain[len(claims[0].Chain)-1].PID != 6600 {
		t.Errorf("claims %+v", claims)
	}
}

// Where a daemon's things are.
func TestDockerRoots(t *testing.T) {
	toml := func(root string) []byte {
		return bytes.ReplaceAll(testdata(t, "docker/containerd.toml"), []byte("/var/lib/docker"), []byte(root))
	}
	for name, c := range map[string]struct {
		e    Evidence
		want dockerRoot
	}{
		"flags": {
			Evidence{Programs: []Program{{PID: 3, Comm: "dockerd", Args: []string{
				"dockerd", "-H", "tcp://[::1]:1", "-Hunix:///s", "--data-root=/d/./x", "--exec-root", "/e/",
			}}}},
			dockerRoot{data: "/d/x", exec: "/e", socket: "/s", daemon: 3},
		},
		"flags that are no paths": {
			Evidence{Programs: []Program{{PID: 3, Comm: "dockerd", Args: []string{"dockerd", "--data-root", "d", "--exec-root=", "-H", "unix://s"}}}},
			dockerRoot{data: dockerData, exec: dockerExec, socket: dockerSocket, daemon: 3},
		},
		"daemon.json": {
			Evidence{
				Programs: []Program{{PID: 3, Comm: "dockerd", Args: []string{"dockerd", "--config-file", "/c.json"}}},
				Files:    []File{{Path: "/c.json", Data: []byte(`{"data-root":"/d","exec-root":"/e","hosts":["fd://","unix:///s"]}`)}},
			},
			dockerRoot{data: "/d", exec: "/e", socket: "/s", daemon: 3},
		},
		"a daemon.json of somebody else": {
			Evidence{
				Programs: []Program{{PID: 3, Comm: "dockerd", Args: []string{"dockerd", "--config-file", "/c.json"}}},
				Files:    []File{{Path: "/c.json", By: 1000, Data: []byte(`{"data-root":"/d"}`)}},
			},
			dockerRoot{data: dockerData, exec: dockerExec, socket: dockerSocket, daemon: 3},
		},
		"rootless, by what it started": {
			Evidence{
				Programs: []Program{
					{PID: 3, Comm: "dockerd", UID: 1000, Args: []string{"dockerd", "--rootless"}},
					{PID: 4, PPID: 3, Comm: "containerd", UID: 1000, Args: []string{"containerd", "--config", "/x/docker/containerd/containerd.toml"}},
				},
				Files: []File{{Path: "/x/docker/containerd/containerd.toml", By: 1000, Data: toml("/home/khope/data")}},
			},
			dockerRoot{data: "/home/khope/data", exec: "/x/docker", socket: "/x/docker.sock", owner: 1000, daemon: 3},
		},
		"dead, by a shim, with userns-remap": {
			Evidence{
				Programs: []Program{{PID: 5, Comm: "containerd-shim", Args: []string{
					"shim", "-namespace", "moby", "-id", mariadbID, "-address", "/x/docker/containerd/containerd.sock",
				}}},
				Files: []File{{Path: "/x/docker/containerd/containerd.toml", Data: toml("/d/100000.100001")}},
			},
			dockerRoot{data: "/d", exec: "/x/docker"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			roots := dockerRoots(&c.e)
			if len(roots) == 0 || roots[0] != c.want {
				t.Errorf("roots %+v, want %+v first", roots, c.want)
			}
		})
	}
}

// One whom the files are closed to asks the daemon.
func TestDockerAPIIdentify(t *testing.T) {
	e := mariadb(t)
	e.Refused = []string{"/var/lib/docker"}
	answer := func(get string, data []byte) File { return File{Path: dockerSocket, Get: get, Data: data} }
	e.Files = []File{
		answer(apiList, testdata(t, "docker/containers.json")),
		answer("/containers/"+mariadbID+"/json", testdata(t, "docker/inspect.json")),
		answer(apiVolumes, []byte(`{"Volumes":[{"Name":"blog_mariadb","Options":{"device":"/home/khope/data/mariadb","o":"bind","type":"none"}},{"Name":"x","Options":null}]}`)),
	}
	want := wantMariadb()
	want.Evidence, want.Runtime, want.Bundle = "api", "", ""
	want.UIDMap, want.GIDMap = nil, nil // it does not tell
	if diff := cmp.Diff([]nsinspect.Claim{want}, dockerClaims(e)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	asked := make(map[string]bool)
	for _, p := range dockerFiles(e) {
		asked[p.Get] = asked[p.Get] || p.Glob == dockerSocket
	}
	for _, get := range []string{apiList, apiVolumes, "/containers/" + mariadbID + "/json"} {
		if !asked[get] {
			t.Errorf("the daemon is not asked for %s", get)
		}
	}
	e.Files[0].Data = bytes.Replace(e.Files[0].Data, []byte(mariadbID), []byte("../../secrets?"), 1)
	for _, p := range dockerFiles(e) {
		if strings.Contains(p.Get, "secrets") {
			t.Errorf("what the daemon calls an id is in the path of a request: %s", p.Get)
		}
	}
}

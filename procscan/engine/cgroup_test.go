package engine

import (
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

const (
	hexA   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	unitID = "0c8f7e6d_5b4a_4c3d_9e2f_1a0b9c8d7e6f"
)

func TestFromCgroup(t *testing.T) {
	const (
		burst = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + unitID + ".slice/"
		user  = "/user.slice/user-1000.slice/user@1000.service/"
	)
	for path, want := range map[string]cgroupName{
		"/docker/" + hexA:                                                                       {engine: "docker", id: hexA},
		"/docker/" + hexA + "/init.scope":                                                       {engine: "docker", id: hexA},
		"/docker/" + hexA + " (deleted)":                                                        {engine: "docker", id: hexA},
		"/system.slice/docker-" + hexA + ".scope":                                               {engine: "docker", id: hexA},
		user + "app.slice/docker-" + hexA + ".scope":                                            {engine: "docker", id: hexA, by: 1000},
		"/libpod_parent/libpod-" + hexA:                                                         {engine: "podman", id: hexA},
		"/libpod_parent/" + hexB + "/libpod-" + hexA:                                            {engine: "podman", id: hexA, podID: hexB},
		"/machine.slice/libpod-" + hexA + ".scope/container":                                    {engine: "podman", id: hexA},
		"/machine.slice/machine-libpod_pod_" + hexB + ".slice/libpod-" + hexA + ".scope":        {engine: "podman", id: hexA, podID: hexB},
		user + "user.slice/libpod-" + hexA + ".scope":                                           {engine: "podman", id: hexA, by: 1000},
		"/system.slice/web.service/libpod-payload-" + hexA:                                      {engine: "podman", id: hexA},
		"/kubepods/burstable/pod" + kubeUID + "/" + hexA:                                        {id: hexA, podUID: kubeUID},
		"/kubepods/pod" + kubeUID + "/" + hexA:                                                  {id: hexA, podUID: kubeUID},
		"/kubepods/besteffort/pod" + kubeUID + "/crio-" + hexA:                                  {engine: "cri-o", id: hexA, podUID: kubeUID},
		burst + "cri-containerd-" + hexA + ".scope":                                             {engine: "containerd", id: hexA, podUID: kubeUID},
		burst + "crio-" + hexA + ".scope/container":                                             {engine: "cri-o", id: hexA, podUID: kubeUID},
		burst + "docker-" + hexA + ".scope":                                                     {engine: "docker", id: hexA, podUID: kubeUID},
		burst + hexA:                                                                            {id: hexA, podUID: kubeUID},
		"/kubepods.slice/kubepods-pod" + hexB[:32] + ".slice/cri-containerd-" + hexA + ".scope": {engine: "containerd", id: hexA, podUID: hexB[:32]}, // a static pod
		"/system.slice/containerd.service/kubepods-burstable-pod" + unitID + ".slice:cri-containerd:" + hexA: {
			engine: "containerd", id: hexA, podUID: kubeUID, // the drivers of kubelet and containerd differ
		},
		"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + unitID + ".slice/cri-containerd-" + hexA + ".scope": {
			engine: "containerd", id: hexA, podUID: kubeUID, // kind
		},
		"/k8s.io/" + hexA:                          {engine: "containerd", id: hexA},
		"/default/" + hexA:                         {engine: "containerd", id: hexA},
		"/system.slice/nerdctl-" + hexA + ".scope": {engine: "containerd", id: hexA},
		"/crio/crio-" + hexA:                       {engine: "cri-o", id: hexA},
		"/lxc.payload.web-1":                       {engine: "lxc", id: "web-1"},
		"/lxc.payload.web-1/system.slice/docker-" + hexA + ".scope": {engine: "lxc", id: "web-1"},
		"/lxc/100/ns":            {engine: "lxc", id: "100"},
		user + "lxc.payload.web": {engine: "lxc", id: "web", by: 1000},
		`/machine.slice/machine-web\x2dserver.scope/payload`: {engine: "nspawn", id: "web-server"},
		`/machine.slice/machine-lxc\x2dhost.scope`:           {engine: "nspawn", id: "lxc-host"},
		"/machine.slice/systemd-nspawn@web.service/payload":  {engine: "nspawn", id: "web"},
		"/system.slice/runc-web.scope":                       {engine: "runc", id: "web"},
		user + "crun-web.scope":                              {engine: "crun", id: "web", by: 1000},
		// The observer is in a cgroup namespace.
		"/../" + hexA:                                   {id: hexA},
		"/../docker-" + hexA + ".scope":                 {engine: "docker", id: hexA},
		"/../../pod" + kubeUID + "/" + hexA:             {id: hexA, podUID: kubeUID},
		"/../../.." + burst + "crio-" + hexA + ".scope": {engine: "cri-o", id: hexA, podUID: kubeUID},
		"/../user@1000.service/lxc.payload.web":         {engine: "lxc", id: "web", by: 1000},

		// Host processes, and the engines' own.
		"": {}, "/": {}, "/..": {}, "/init.scope": {}, "/system.slice/docker.service": {},
		burst + "crio-conmon-" + hexA + ".scope":                     {},
		"/machine.slice/libpod-conmon-" + hexA + ".scope":            {},
		"/libpod_parent/conmon":                                      {},
		"/libpod_parent/" + hexB:                                     {},
		"/lxc.monitor.web":                                           {},
		`/machine.slice/machine-web.scope/supervisor`:                {},
		`/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/vcpu0`: {},
		"/user.slice/user-1000.slice/session-3.scope":                {},
		"/docker/buildkit/x":                                         {},
		"/default/w1":                                                {}, // ctr's name: what is called default may be anyone's
		"/docker/" + hexA[:12]:                                       {},
		"/docker-" + hexA:                                            {},
		"/kubepods/burstable/pod" + kubeUID:                          {},

		// What a container, or a user, made to look like another's.
		"/docker/" + hexA + "/docker/" + hexB:                        {engine: "docker", id: hexA},
		"/lxc.payload.web/lxc.payload.db":                            {engine: "lxc", id: "web"},
		"/web/docker/" + hexB:                                        {}, // made in web, which runc alone started
		"/web/system.slice/docker-" + hexB + ".scope":                {},
		"/system.slice/runc-web.scope/docker/" + hexB:                {engine: "runc", id: "web"},
		"/machine.slice/machine-web.scope/payload/docker/" + hexB:    {engine: "nspawn", id: "web"},
		"/payload/docker/" + hexB:                                    {},
		user + "user-0.slice/docker-" + hexB + ".scope":              {engine: "docker", id: hexB, by: 1000},
		"/user.slice/user-1000.slice/session-3.scope/docker/" + hexB: {},
		"/lxc.payload.\x1b[31m":                                      {},
		"/lxc.payload.a b":                                           {},
		"/lxc.payload.":                                              {},
		`/machine.slice/machine-\x2e\x2e.scope`:                      {},
		`/machine.slice/machine-a\x2fb.scope`:                        {},
		`/machine.slice/machine-a\x0.scope`:                          {},
		"/system.slice/runc-\xff.scope":                              {},
		"/lxc.payload." + strings.Repeat("x", 256):                   {},
		"/docker/" + strings.ToUpper(hexA):                           {},
		"/podkubepods/pod" + kubeUID + "/" + hexA:                    {},
		"/pod" + kubeUID + "/" + hexA:                                {},
		"//docker//" + hexA:                                          {},
	} {
		got, _, ok := fromCgroup(path)
		if !ok {
			got = cgroupName{}
		}
		if got != want || ok != (want.id != "") {
			t.Errorf("%s\n got %+v, %v\nwant %+v", path, got, ok, want)
		}
	}
}

func FuzzFromCgroup(f *testing.F) {
	for _, seed := range []string{
		"/docker/" + hexA, "/../kubepods-pod" + unitID + ".slice:crio:" + hexA, `/machine.slice/machine-a\x2db.scope/payload`, "/user.slice/user-1000.slice/lxc.payload.a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, parent, ok := fromCgroup(path)
		if ok != (name.id != "") && ok {
			t.Errorf("%q: %+v, %v", path, name, ok)
		}
		if !ok {
			return
		}
		if !strings.HasPrefix("/"+strings.Trim(path, "/")+"/", strings.TrimSuffix(parent, "/")+"/") {
			t.Errorf("%q: made in %q", path, parent)
		}
		if !plainUnit(name.id) {
			t.Errorf("%q: the id is %q", path, name.id)
		}
		// What is made below a container's cgroup is the container's.
		if below, _, ok := fromCgroup(path + "/payload/docker/" + hexB); !strings.HasSuffix(path, ")") && (!ok || below != name) {
			t.Errorf("%q: %+v, below it %+v", path, name, below)
		}
	})
}

func TestCgroupIdentify(t *testing.T) {
	const host, inside = 1000, 1001
	process := func(pid, ppid int, start uint64, mnt nsinspect.Inode, cgroup string, pids ...int) nsinspect.Process {
		return nsinspect.Process{PID: pid, PPID: ppid, StartTime: start, PIDs: pids, Cgroup: cgroup, Namespaces: nsinspect.NamespaceSet{Mnt: mnt}}
	}
	pod := "/kubepods/pod" + kubeUID + "/"
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{
			Observer: nsinspect.Observer{MntNS: host},
			Processes: []nsinspect.Process{
				process(10, 1, 10, host, "/system.slice/containerd.service", 10),
				process(11, 1, 11, host, "/", 11), process(12, 1, 12, host, "/", 12),
				process(20, 10, 30, inside, "/docker/"+hexA, 20, 7),
				process(21, 10, 20, inside, "/docker/"+hexA+"/x", 21, 8), // older
				process(22, 10, 40, inside, "/docker/"+hexA, 22, 1),      // but this is PID 1
				process(23, 1, 5, host, "/docker/"+hexA, 23),             // the host's, whoever moved it
				process(30, 11, 30, 0, pod+hexB, 30),                     // an ordinary observer may not read namespaces
				process(40, 1, 40, inside, "/user.slice/user-1000.slice/lxc.payload.web", 40, 1),
				process(50, 12, 50, inside, "/kubepods/pod"+kubeUID+"/"+hexA, 50, 1),
				process(60, 1, 60, inside, "/kubepods/pod"+kubeUID+"/"+strings.Repeat("c", 64), 60, 1),
				process(70, 1, 70, inside, "/../"+strings.Repeat("d", 64), 70, 1), // nothing tells whose
				{PID: 80, StartTime: 80, Kthread: true, Cgroup: "/docker/" + strings.Repeat("e", 64)},
			},
		},
		Programs: []Program{
			{PID: 11, Comm: "containerd-shim", Args: []string{"shim", "-namespace", "moby", "-id", hexB}},
			{PID: 12, Comm: "containerd-shim", Args: []string{"shim", "-namespace", "k8s.io", "-id", hexA}},
		},
	}
	got := make(map[string]Found)
	for _, f := range cgroupIdentify(e) {
		got[f.Engine+":"+f.ID] = f
	}
	for id, pid := range map[string]int{
		"docker:" + hexA: 22, "docker:" + hexB: 30, "lxc:1000/web": 40, "containerd:" + hexA: 50, "kubernetes:" + strings.Repeat("c", 64): 60,
	} {
		if f, ok := got[id]; !ok || f.InitPID != pid || f.Evidence != "cgroup" {
			t.Errorf("%s: got %+v, want pid %d", id, f, pid)
		}
	}
	if len(got) != 5 {
		t.Errorf("there are %d: %+v", len(got), got)
	}
	if f := got["lxc:1000/web"]; f.By != 1000 || f.Name != "web" {
		t.Errorf("the word of uid 1000 is %+v", f)
	}
	if f := got["docker:"+hexB]; f.By != 0 || f.Pod == nil || f.Pod.UID != kubeUID {
		t.Errorf("the container of the pod is %+v", f)
	}
}

// A user who names a container of root's does not get a word in.
func TestJudgeRootFirst(t *testing.T) {
	claim := func(engine string, by uint32, pid int) Engine {
		return Engine{Name: engine, Identify: func(*Evidence) []Found {
			return []Found{{By: by, Claim: nsinspect.Claim{ID: hexA, InitPID: pid, StartTime: uint64(pid), EngineFacts: nsinspect.EngineFacts{State: "x"}}}}
		}}
	}
	e := &Evidence{Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{{PID: 5, StartTime: 5}, {PID: 6, StartTime: 6}}}}
	for name, list := range map[string][]Engine{
		"root first":  {claim("docker", 0, 0), claim("docker", 1000, 5)},
		"user first":  {claim("docker", 1000, 5), claim("docker", 0, 0)},
		"user's only": {claim("docker", 1000, 0), claim("docker", 1000, 5)},
		"root's both": {claim("docker", 0, 0), claim("docker", 0, 5)},
	} {
		want := 0
		if strings.HasSuffix(name, "only") || strings.HasSuffix(name, "both") {
			want = 5
		}
		if got := judge(list, e, everyone); len(got) != 1 || got[0].InitPID != want {
			t.Errorf("%s: got %+v, want pid %d", name, got, want)
		}
	}
}

package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
)

func TestContainerd(t *testing.T) {
	list := []Engine{docker(), containerd(), cgroups()}
	e := k8sEvidence(t, "containerd", list...)
	got := claimed(judge(list, e, everyone))
	want := []string{"containerd:" + sandboxID, "containerd:" + kubeID, "containerd:other/w1", "containerd:w1"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatal(diff)
	}
	const data = "/var/lib/kubelet/pods/" + kubeUID + "/volumes/kubernetes.io~empty-dir/data"
	if diff := cmp.Diff(&nsinspect.Claim{
		Engine: "containerd", ID: kubeID, Name: "db-0/mariadb", InitPID: 6043, StartTime: 379695,
		EngineFacts: nsinspect.EngineFacts{
			State: "running", Image: "docker.io/library/mariadb:11", Runtime: "runc", User: "0:0", Evidence: "state",
			Bundle: "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/" + kubeID,
			Labels: map[string]string{
				"io.kubernetes.cri.container-name": "mariadb", "io.kubernetes.cri.container-type": "container",
				"io.kubernetes.cri.image-name": "docker.io/library/mariadb:11", "io.kubernetes.cri.sandbox-id": sandboxID,
				"io.kubernetes.cri.sandbox-name": "db-0", "io.kubernetes.cri.sandbox-namespace": "prod",
			},
			Pod: &nsinspect.Pod{ID: sandboxID, Name: "db-0", Namespace: "prod", UID: kubeUID}, // the uid is from the cgroup
			Mounts: []nsinspect.EngineMount{
				{Type: "volume", Name: "data", Source: data, Destination: "/data", Options: []string{"rbind", "ro"}, ReadOnly: true},
			},
			Chain: []nsinspect.ChainLink{link(2107, "containerd", "daemon"), link(5980, "containerd-shim", "shim")}, // the sandbox's
		},
	}, got["containerd:"+kubeID]); diff != "" {
		t.Error(diff)
	}
	if c := got["containerd:"+sandboxID]; c.Name != "db-0/POD" || c.InitPID != 6001 {
		t.Errorf("the sandbox is %+v", c)
	}
	if c := got["containerd:other/w1"]; c.Name != "w1" || c.InitPID != 10514 {
		t.Errorf("the container of another namespace is %+v", c)
	}
}

// Where the state is unreadable the shims tell, and of a pod whose containers share one the cgroups.
func TestContainerdUnreadable(t *testing.T) {
	list := []Engine{docker(), containerd(), cgroups()}
	e := k8sEvidence(t, "containerd", list...)
	e.Files = nil
	got := claimed(judge(list, e, everyone))
	for id, pid := range map[string]int{"w1": 10333, "other/w1": 10514, sandboxID: 6001, kubeID: 6043} {
		c := got["containerd:"+id]
		if c == nil || c.InitPID != pid {
			t.Errorf("%s is %+v, want pid %d", id, c, pid)
			continue
		}
		evidence := "process"
		if id == kubeID {
			evidence = "cgroup"
		}
		if kube := id == kubeID || id == sandboxID; c.Evidence != evidence || kube != (c.Pod != nil && c.Pod.UID == kubeUID) {
			t.Errorf("%s is %+v", id, c)
		}
		if want := map[bool]string{false: "w1"}[hexID(id)]; c.Name != want {
			t.Errorf("%s is called %q, want %q", id, c.Name, want)
		}
	}
	if len(got) != 4 {
		t.Errorf("there are %v", slices.Sorted(maps.Keys(got)))
	}
}

// What docker has containerd run is docker's, also where docker's own files tell nothing.
func TestContainerdLeavesDocker(t *testing.T) {
	list := []Engine{docker(), containerd(), cgroups()}
	e := k8sEvidence(t, "containerd", list...)
	for i := range e.Programs {
		if p := &e.Programs[i]; p.flag("id") == "w1" {
			p.Args[2] = dockerNamespace // of -namespace
		}
	}
	asked := containerdFiles(e)
	e.Files = slices.DeleteFunc(e.Files, func(f File) bool {
		return !slices.ContainsFunc(asked, func(p Pattern) bool { return matches(p.Glob, f.Path) })
	})
	got := claimed(judge(list, e, everyone))
	if want := []string{"containerd:" + sandboxID, "containerd:" + kubeID, "docker:w1"}; !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Errorf("there are %v, want %v", slices.Sorted(maps.Keys(got)), want)
	}
	for _, p := range containerdFiles(e) {
		if matches(p.Glob, "/run/k3s/containerd/io.containerd.runtime.v2.task/moby/w1/config.json") {
			t.Errorf("%s is asked for", p.Glob)
		}
	}
	e.Programs = slices.DeleteFunc(e.Programs, func(p Program) bool { return p.flag("namespace") == "k8s.io" })
	if p := containerdFiles(e); p != nil {
		t.Errorf("without a container of containerd's own %v are asked for", p)
	}
}

// Ids are each namespace's and each daemon's own.
func TestContainerdSecondDaemon(t *testing.T) {
	list := []Engine{containerd()}
	e := k8sEvidence(t, "containerd", list...)
	const bundle = "/run/containerd/io.containerd.runtime.v2.task/default/w1"
	config := e.fileBy("/run/k3s/containerd/io.containerd.runtime.v2.task/default/w1/config.json", 0)
	e.Files = append(e.Files, File{Path: bundle + "/config.json", Data: config.Data}, File{Path: bundle + "/init.pid", Data: []byte("20000")})
	e.sortFiles()
	e.Snapshot.Processes = append(e.Snapshot.Processes, nsinspect.Process{PID: 19999, StartTime: 76}, nsinspect.Process{
		PID: 20000, PPID: 19999, StartTime: 77, PIDs: []int{20000, 1}, Cgroup: "/default/w1",
	})
	e.Programs = append(e.Programs, Program{
		PID: 19999, Comm: "containerd-shim", Args: []string{"shim", "-namespace", "default", "-id", "w1"}, Cwd: bundle,
	})
	got := claimed(judge(list, e, everyone))
	if a, b := got["containerd:w1"], got["containerd:"+bundle]; a == nil || b == nil || a.InitPID != 10333 || b.InitPID != 20000 || b.StartTime != 77 {
		t.Errorf("the containers are %+v and %+v", a, b)
	}
}

func TestTOMLState(t *testing.T) {
	for text, want := range map[string]string{
		"state = \"/a/b\"\n":                          "/a/b",
		"version = 3\n  state='/a' # x\n":             "/a",
		"# state = \"/a\"\n":                          "",
		"state_dir = \"/a\"\n":                        "",
		"[plugins]\nstate = \"/a\"\n":                 "",
		"state =\n":                                   "",
		"state = /a\n":                                "",
		"root = \"/r\"\nstate   =   \"/s\"\n[a]\nb=1": "/s",
		"state = \"":                                  "",
	} {
		if got := tomlState([]byte(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestVolumeName(t *testing.T) {
	for source, want := range map[string]string{
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/data":  "data",
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/pvc-1/mount": "pvc-1",
		"/var/lib/kubelet/pods/u/volume-subpaths/data/mariadb/0":        "data",
		"/var/lib/nerdctl/1935db59/volumes/default/db/_data":            "db",
		"/var/lib/kubelet/pods/u/etc-hosts":                             "",
		"/srv/volumes/a/b":                                              "",
		"/volumes/a":                                                    "",
		"volumes":                                                       "",
		"":                                                              "",
		"/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/data/below": "",
	} {
		if got := volumeName(source); got != want {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
}

package engine

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

const (
	crioID        = "cc00000000000000000000000000000000000000000000000000000000000003"
	crioSandboxID = "dd00000000000000000000000000000000000000000000000000000000000004"
	crioStoppedID = "ee00000000000000000000000000000000000000000000000000000000000005"
	crioPodUID    = "3b1f6f0e-7c52-4b5a-9a53-0d4f2f1c9e11"
)

func TestCRIO(t *testing.T) {
	list := []Engine{crio()}
	e := k8sEvidence(t, "crio", list...)
	got := claimed(judge(list, e, everyone))
	// Podman's container is none, though it has a state.json, a conmon and a name like CRI-O's.
	if want := []string{"cri-o:" + crioID, "cri-o:" + crioSandboxID, "cri-o:" + crioStoppedID}; !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Fatalf("there are %v, want %v", slices.Sorted(maps.Keys(got)), want)
	}
	ids := idmap.Map{{Inside: 0, Outside: 200000, Count: 65536}}
	if diff := cmp.Diff(&nsinspect.Claim{
		Engine: "cri-o", ID: crioID, Name: "web-0/nginx", InitPID: 1011, StartTime: 1011,
		EngineFacts: nsinspect.EngineFacts{
			State: "running", Image: "docker.io/library/nginx:1", Runtime: "crun", User: "101:101", Evidence: "state", UIDMap: ids, GIDMap: ids,
			Bundle: "/run/containers/storage/overlay-containers/" + crioID + "/userdata",
			Labels: map[string]string{
				"io.kubernetes.pod.name": "web-0", "io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.uid": crioPodUID,
				"io.kubernetes.container.name": "nginx",
			},
			Pod: &nsinspect.Pod{ID: crioSandboxID, Name: "web-0", Namespace: "prod", UID: crioPodUID},
			Mounts: []nsinspect.EngineMount{{
				Type: "volume", Name: "pvc-1", Destination: "/usr/share/nginx/html", Options: []string{"rw", "rbind", "rprivate", "bind"},
				Source: "/var/lib/kubelet/pods/" + crioPodUID + "/volumes/kubernetes.io~csi/pvc-1/mount",
			}},
			Chain: []nsinspect.ChainLink{link(900, "crio", "daemon"), link(1010, "conmon", "monitor")},
		},
	}, got["cri-o:"+crioID]); diff != "" {
		t.Error(diff)
	}
	if c := got["cri-o:"+crioSandboxID]; c.Name != "web-0/POD" || c.InitPID != 1001 || c.Labels["app"] != "web" {
		t.Errorf("the sandbox is %+v", c)
	}
	if c := got["cri-o:"+crioStoppedID]; c.State != "stopped" || c.InitPID != 0 || c.ExitCode == nil || *c.ExitCode != 3 || c.Name != "web-0/init-db" {
		t.Errorf("the stopped container is %+v", c)
	}
}

// Where the state is unreadable the monitors tell.
func TestCRIOUnreadable(t *testing.T) {
	list := []Engine{crio(), cgroups()}
	e := k8sEvidence(t, "crio", list...)
	e.Files = nil
	got := claimed(judge(list, e, everyone))
	c := got["cri-o:"+crioID]
	if c == nil || c.Name != "web-0/nginx" || c.InitPID != 1011 || c.Evidence != "process" || c.Pod == nil || c.Pod.UID != crioPodUID || c.Runtime != "crun" {
		t.Errorf("the container is %+v", c)
	}
	delete(got, "podman:ff00000000000000000000000000000000000000000000000000000000000006") // by its cgroup
	if want := []string{"cri-o:" + crioID, "cri-o:" + crioSandboxID}; !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Errorf("there are %v, want %v", slices.Sorted(maps.Keys(got)), want)
	}
}

// A record that is older than the end of its process is a stopped container's.
func TestCRIOStale(t *testing.T) {
	list := []Engine{crio()}
	e := k8sEvidence(t, "crio", list...)
	e.Snapshot.Process(1011).StartTime = 5000
	if c := claimed(judge(list, e, everyone))["cri-o:"+crioID]; c == nil || c.InitPID != 0 || c.State != "stopped" {
		t.Errorf("the container is %+v", c)
	}
}

// Without CRI-O its store, which is Podman's too, is left alone.
func TestCRIOAbsent(t *testing.T) {
	e := k8sEvidence(t, "crio", crio())
	e.Programs = slices.DeleteFunc(e.Programs, func(p Program) bool {
		return p.Comm == "crio" || strings.Contains(p.flag("exit-dir"), "crio")
	})
	if len(e.Programs) != 1 {
		t.Fatalf("there are %v", e.Programs)
	}
	if p := crioFiles(e); p != nil {
		t.Errorf("%v are asked for", p)
	}
}

package engine

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

const (
	sandboxID = "aa00000000000000000000000000000000000000000000000000000000000001"
	kubeID    = "bb00000000000000000000000000000000000000000000000000000000000002"
	kubeUID   = "0c8f7e6d-5b4a-4c3d-9e2f-1a0b9c8d7e6f"
)

func TestLiveContainerd(t *testing.T) {
	slice := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + unitID + ".slice"
	for _, left := range []string{slice, "/default", "/nsview-test"} {
		enginetest.RemoveCgroups(t, left)
	}
	d := enginetest.StartContainerd(t, "default", "nsview-test", "k8s.io")
	data := d.Dir + "/data/pods/" + kubeUID + "/volumes/kubernetes.io~empty-dir/data"
	enginetest.Run(t, nil, "mkdir", "-p", data)
	mount := "type=bind,src=" + data + ",dst=/var/lib/mysql,options=rbind:ro"
	d.Container("default", nil, "nsview-test-web", "sleep", "1000")
	d.Container("nsview-test", []string{"--mount", mount}, "nsview-test-web", "sleep", "1000")
	d.Container("default", []string{"--uidmap", "0:500000:65536", "--gidmap", "0:600000:65536"}, "nsview-test-mapped", "sleep", "1000")
	d.Run("default", "container", "create", enginetest.ContainerdImage, "nsview-test-made")

	// As the CRI plugin and the kubelet with systemd's cgroup driver have it.
	notes := func(id string, more ...string) []string {
		flags := []string{"--cgroup", slice + "/cri-containerd-" + id + ".scope"}
		for _, note := range append(more, "sandbox-id="+sandboxID, "sandbox-name=db-0", "sandbox-namespace=prod") {
			flags = append(flags, "--annotation", "io.kubernetes.cri."+note)
		}
		return flags
	}
	d.Container("k8s.io", notes(sandboxID, "container-type=sandbox"), sandboxID, "sleep", "1000")
	d.Container("k8s.io", notes(kubeID, "container-type=container", "container-name=mariadb", "image-name=docker.io/library/mariadb:11"),
		kubeID, "sleep", "1000")

	s := look(t)
	web := container(t, s, "containerd:nsview-test-web")
	if web.ID != "nsview-test-web" || web.State != "running" || web.User != "0:0" || web.Runtime != "runc" || web.Evidence != "state" ||
		web.Bundle != d.Dir+"/state/io.containerd.runtime.v2.task/default/nsview-test-web" || web.Pod != nil {
		t.Errorf("the container is %+v", web)
	}
	if want := []string{"daemon containerd", "shim containerd-shim"}; !slices.Equal(roles(web), want) {
		t.Errorf("chain %v, want %v", roles(web), want)
	}
	if init := s.Process(web.InitPID); init.Comm != "sleep" || web.Processes != 1 {
		t.Errorf("%d processes, the first is %s", web.Processes, init.Comm)
	}
	other := container(t, s, "nsview-test/nsview-test-web")
	if other.Name != "nsview-test-web" || other.InitPID == web.InitPID {
		t.Errorf("the container of the other namespace is %+v", other)
	}
	if diff := cmp.Diff([]nsinspect.EngineMount{{
		Type: "volume", Name: "data", Source: data, Destination: "/var/lib/mysql", Options: []string{"rbind", "ro"}, ReadOnly: true,
	}}, other.Mounts); diff != "" {
		t.Error(diff)
	}
	mapped := container(t, s, "nsview-test-mapped")
	if diff := cmp.Diff(idmap.Map{{Inside: 0, Outside: 500000, Count: 65536}}, mapped.UIDMap); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(idmap.Map{{Inside: 0, Outside: 600000, Count: 65536}}, mapped.GIDMap); diff != "" {
		t.Error(diff)
	}
	if _, err := nsinspect.Resolve(s, "nsview-test-made"); err == nil {
		t.Error("a container without a task is only in containerd's database, and was found")
	}

	sandbox := container(t, s, "db-0/POD")
	if sandbox.ID != sandboxID {
		t.Errorf("the sandbox is %+v", sandbox)
	}
	db := container(t, s, "containerd:db-0/mariadb")
	if db.ID != kubeID || db.Image != "docker.io/library/mariadb:11" || container(t, s, kubeID[:12]) != db {
		t.Errorf("the container of the pod is %+v", db)
	}
	if diff := cmp.Diff(&nsinspect.Pod{ID: sandboxID, Name: "db-0", Namespace: "prod", UID: kubeUID}, db.Pod); diff != "" {
		t.Error(diff)
	}

	// The cgroups alone tell engine, id and pod.
	var known []string
	for _, f := range cgroupIdentify(&Evidence{Snapshot: s}) {
		if f.Pod != nil && f.Pod.UID == kubeUID {
			known = append(known, f.Engine+":"+f.ID)
		}
	}
	if want := []string{"containerd:" + sandboxID, "containerd:" + kubeID}; !slices.Equal(known, want) {
		t.Errorf("cgroups tell of %v, want %v", known, want)
	}
}

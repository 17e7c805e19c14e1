package engine

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// Containers of docker where the kubelet has them, with both of its drivers.
func TestLiveKubepods(t *testing.T) {
	parents := map[string]string{
		"cgroupfs": "/kubepods/burstable/pod" + kubeUID,
		"systemd":  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + unitID + ".slice",
	}
	for _, parent := range parents {
		enginetest.RemoveCgroups(t, parent)
	}
	d := enginetest.StartDocker(t, "--exec-opt", "native.cgroupdriver=cgroupfs")
	for driver, parent := range parents {
		d.Container("--name", "nsview-test-"+driver, "--cgroup-parent", parent, "busybox", "sleep", "1000")
	}
	s := look(t)
	alone := make(map[string]Found)
	for _, f := range cgroupIdentify(shims(s)) {
		alone[f.ID] = f
	}
	for driver := range parents {
		c := container(t, s, "docker:nsview-test-"+driver)
		if c.Pod == nil || c.Pod.UID != kubeUID || c.Evidence != "state" {
			t.Errorf("%s: the container is %+v", driver, c)
		}
		f := alone[c.ID]
		if f.Engine != "docker" || f.InitPID != c.InitPID || f.Pod == nil || f.Pod.UID != kubeUID {
			t.Errorf("%s: the cgroup tells of %+v", driver, f)
		}
	}
}

// shims is the evidence that a snapshot and the command lines of shims are.
func shims(s *nsinspect.Snapshot) *Evidence {
	e := &Evidence{Snapshot: s}
	for i := range s.Processes {
		p := &s.Processes[i]
		if p.Comm != "containerd-shim" {
			continue
		}
		if args, err := readArgs("/proc/" + itoa(uint32(p.PID)) + "/cmdline"); err == nil {
			e.Programs = append(e.Programs, Program{PID: p.PID, PPID: p.PPID, Comm: p.Comm, Args: args})
		}
	}
	return e
}

// A cgroup that is called as docker calls that of a stopped container makes nobody that container: neither a container
// below its own cgroup, nor a user below one that is that user's.
func TestLiveCgroupImpostor(t *testing.T) {
	enginetest.RemoveCgroups(t, "/nsview-test.slice/docker/*")
	d := enginetest.StartDocker(t, "--exec-opt", "native.cgroupdriver=cgroupfs")
	victim := d.Run("create", "--net=none", "--name", "nsview-test-victim", "busybox", "true")
	evil := d.Container("--name", "nsview-test-evil", "busybox", "sh", "-c", "sleep 1000 & sleep 1000")
	below := func() int {
		for _, p := range look(t).Processes {
			if p.Comm == "sleep" && strings.HasSuffix(p.Cgroup, "/docker/"+evil) && p.PIDs[len(p.PIDs)-1] != 1 {
				return p.PID
			}
		}
		return 0
	}
	var inside int
	enginetest.Eventually(t, "the second process", func() bool { inside = below(); return inside != 0 })
	enginetest.Move(t, inside, enginetest.Cgroup(t, "/docker/"+evil+"/docker/"+victim))

	const uid = 12345
	for _, delegated := range []string{"/nsview-test.slice", "/nsview-test.slice/docker"} {
		if err := os.Chown(enginetest.Cgroup(t, delegated), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("unshare", "-Urmpf", "--kill-child", "sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	user := 0
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		enginetest.Eventually(t, "the end of the user's process", func() bool { return syscall.Kill(user, 0) == syscall.ESRCH })
	})
	enginetest.Eventually(t, "the user's process", func() bool {
		for _, p := range look(t).Processes {
			if p.PPID == cmd.Process.Pid && p.Comm == "sleep" {
				user = p.PID
			}
		}
		return user != 0
	})
	enginetest.Move(t, user, enginetest.Cgroup(t, "/nsview-test.slice/docker/"+victim))

	s := look(t)
	for pid, cgroup := range map[int]string{inside: "/docker/" + evil + "/docker/" + victim, user: "/nsview-test.slice/docker/" + victim} {
		if got := s.Process(pid).Cgroup; got != cgroup {
			t.Fatalf("process %d is in cgroup %s, want %s", pid, got, cgroup)
		}
	}
	if c := container(t, s, "docker:nsview-test-victim"); c.Running() || c.State != "created" || c.Processes != 0 {
		t.Errorf("the victim is %+v", c)
	}
	if c := container(t, s, "docker:nsview-test-evil"); s.ContainerOf(s.Process(inside)) != c {
		t.Errorf("process %d is in %+v", inside, s.ContainerOf(s.Process(inside)))
	}
	if c := s.ContainerOf(s.Process(user)); c == nil || c.Engine != "" {
		t.Errorf("the user's process %d is in %+v", user, c)
	}
}

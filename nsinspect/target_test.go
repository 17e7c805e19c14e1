package nsinspect

import (
	"slices"
	"testing"
)

const (
	dockerID = "3f4a8c1e9b2d4f60718293a4b5c6d7e8f90123456789abcdef0123456789abcd"
	podmanID = "3f4b000000000000000000000000000000000000000000000000000000000000"
	digitsID = "9999990000000000000000000000000000000000000000000000000000000000"
)

func targetHost() *Snapshot {
	s := host(
		in(10, 1, "nginx", 101, 102, 103, 10, 1),
		in(20, 1, "mariadbd", 4026533000, 4026533001, 4026533002, 20, 1), in(21, 20, "worker", 4026533000, 4026533001, 4026533002, 21, 2),
		in(30, 1, "db", 301, 302, 303, 30, 1), in(40, 1, "db2", 401, 402, 403, 40, 1), in(60, 1, "a/b:c", 601, 602, 603, 60, 1),
		in(70, 1, "host", 701, 702, 703, 70, 1), in(80, 1, "twin", 801, 802, 803, 80, 1), in(90, 1, "slash", 901, 902, 903, 90, 1),
	)
	s.Namespaces = []Namespace{
		{Type: PID, Inode: 4026533001, Leader: 20}, {Type: Net, Inode: 4026539999}, {Type: User, Inode: 4026533000, Leader: 20},
	}
	Group(s, []Claim{
		{Engine: "docker", ID: dockerID, Name: "web", InitPID: 10, StartTime: 10},
		{Engine: "docker", ID: digitsID, Name: "db", InitPID: 30, StartTime: 30},
		{Engine: "podman", ID: podmanID, Name: "db", InitPID: 40, StartTime: 40},
		{Engine: "docker", ID: "aaaa", Name: "host", InitPID: 70, StartTime: 70},
		{Engine: "docker", ID: "bbbb", Name: "web", InitPID: 80, StartTime: 80},
		{Engine: "nsview", ID: "cccc", Name: "x/20", InitPID: 90, StartTime: 90},
	})
	return s
}

func TestResolve(t *testing.T) {
	s := targetHost()
	tests := []struct {
		arg       string
		pid       int
		container string // ENGINE:ID, or the name of a group
		namespace Inode
		err       string
	}{
		{arg: "20", pid: 20},
		{arg: "0", err: "no process 0"},
		{arg: "123", err: "no process 123"},
		{arg: "4194304", err: "no process 4194304"},
		{arg: "4026533001", pid: 20, namespace: 4026533001},
		{arg: "pid:4026533001", pid: 20, namespace: 4026533001},
		{arg: "pid:[4026533001]", pid: 20, namespace: 4026533001},
		{arg: "mnt:4026533002", pid: 20, namespace: 4026533002}, // not in the list, but a process is in it
		{arg: "4026533002", pid: 20, namespace: 4026533002},
		{arg: "4026539999", namespace: 4026539999}, // held by no process
		{arg: "user:4026533001", err: "no user namespace 4026533001"},
		{arg: "4026531999", err: "no namespace 4026531999"},
		{arg: "999999", err: "no process 999999"},
		{arg: "9999990", container: "docker:" + digitsID, pid: 30}, // digits beyond PIDs begin an id
		{arg: "99999999999999999999999999", err: `no container or namespace named "99999999999999999999999999"`},
		{arg: dockerID, container: "docker:" + dockerID, pid: 10},
		{arg: "3f4a", container: "docker:" + dockerID, pid: 10},
		{arg: "3f4", err: `"3f4" is ambiguous: docker:` + dockerID + ", podman:" + podmanID},
		{arg: "docker:3f4", container: "docker:" + dockerID, pid: 10},
		{arg: "db", err: `"db" is ambiguous: docker:` + digitsID + ", podman:" + podmanID},
		{arg: "docker:db", container: "docker:" + digitsID, pid: 30},
		{arg: "podman:" + podmanID, container: "podman:" + podmanID, pid: 40},
		{arg: "docker:web", err: `"docker:web" is ambiguous: docker:` + dockerID + ", docker:bbbb"},
		{arg: "docker:host", container: "docker:aaaa", pid: 70},
		{arg: "mariadbd/20", container: "mariadbd/20", pid: 20},
		{arg: "renamed/20", container: "mariadbd/20", pid: 20}, // only the PID decides
		{arg: "worker/21", container: "mariadbd/20", pid: 20},
		{arg: "a/b:c/60", container: "a/b:c/60", pid: 60},
		{arg: "web/10", err: `no container or namespace named "web/10"`}, // an engine's
		{arg: "systemd/1", err: `no container or namespace named "systemd/1"`},
		{arg: "x/999999999999999999999", err: `no container or namespace named "x/999999999999999999999"`},
		{arg: "nsview:x/20", container: "mariadbd/20", pid: 20},
		{arg: "nsview:cccc", container: "nsview:cccc", pid: 90},
		{arg: "", err: `no container or namespace named ""`},
		{arg: "docker:", err: `no container or namespace named "docker:"`},
		{arg: ":", err: `no container or namespace named ":"`},
		{arg: "-1", err: `no container or namespace named "-1"`},
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			got, err := Resolve(s, tt.arg)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("got %+v, %v, want error %s", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			pid, container := 0, ""
			if got.Process != nil {
				pid = got.Process.PID
			}
			if c := got.Container; c != nil && c.Engine != "" {
				container = c.Engine + ":" + c.ID
			} else if c != nil {
				container = c.Name
			}
			if pid != tt.pid || container != tt.container || got.Namespace != tt.namespace {
				t.Errorf("got process %d, container %q, namespace %d", pid, container, got.Namespace)
			}
		})
	}
}

func TestResolveHost(t *testing.T) {
	got, err := Resolve(targetHost(), "host")
	if err != nil || !got.Host || got.Process == nil || got.Process.PID != 900 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Every viewer that is printed is a TARGET for the container it stands for.
func TestViewersResolve(t *testing.T) {
	s := targetHost()
	for i, viewer := range s.Viewers() {
		got, err := Resolve(s, viewer)
		if err != nil || got.Container != &s.Containers[i] {
			t.Errorf("%s: %+v, %v", viewer, got.Container, err)
		}
	}
}

// One user's container may be called what another's has as its id.
func TestResolveIDOverName(t *testing.T) {
	s := host(in(10, 1, "a", 101, 102, 103, 10, 1), in(20, 1, "b", 201, 202, 203, 20, 1))
	Group(s, []Claim{
		{Engine: "containerd", ID: "other/web", Name: "web", InitPID: 10, StartTime: 10},
		{Engine: "containerd", ID: "web", Name: "web", InitPID: 20, StartTime: 20},
	})
	for arg, want := range map[string]int{"containerd:web": 20, "containerd:other/web": 10, "other/web": 10} {
		if got, err := Resolve(s, arg); err != nil || got.Container == nil || got.Container.InitPID != want {
			t.Errorf("%s: got %+v, %v, want the container of pid %d", arg, got.Container, err, want)
		}
	}
	want := `"web" is ambiguous: containerd:other/web, containerd:web`
	if _, err := Resolve(s, "web"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := s.Viewers(); !slices.Equal(got, []string{"containerd:other/web", "containerd:web"}) {
		t.Errorf("viewers %v", got)
	}
}

func TestTargetHas(t *testing.T) {
	s := targetHost()
	for arg, want := range map[string][]int{
		"20": {20}, "mariadbd/20": {20, 21}, "docker:db": {30}, "4026533001": {20, 21}, "host": {1, 900},
	} {
		target, err := Resolve(s, arg)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for i := range s.Processes {
			if target.Has(&s.Processes[i]) {
				got = append(got, s.Processes[i].PID)
			}
		}
		if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("%s has %v, want %v", arg, got, want)
		}
	}
}

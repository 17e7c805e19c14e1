package nsinspect

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

func TestGroup(t *testing.T) {
	tests := []struct {
		name      string
		processes []Process
		claims    []Claim
		want      map[int]string
	}{
		{
			name:      "the host's own and a service with a private mount namespace are none",
			processes: []Process{onHost(2, 0, "kthreadd"), in(50, 1, "udevd", hostUser, hostPID, 70, 50)},
			want:      map[int]string{},
		},
		{
			name: "three deep, each with namespaces of its own",
			processes: []Process{
				in(10, 1, "a", 1, 2, 3, 10, 1), in(11, 10, "b", 4, 5, 6, 11, 2, 1), in(12, 11, "c", 7, 8, 9, 12, 3, 2, 1),
				in(13, 12, "d", 7, 8, 9, 13, 4, 3, 2),
			},
			want: map[int]string{10: "a/10", 11: "b/11", 12: "c/12", 13: "c/12"},
		},
		{
			name: "a pod shares a PID namespace, its containers have their own files",
			processes: []Process{
				in(10, 1, "pause", hostUser, 2, 3, 10, 1), in(20, 1, "web", hostUser, 2, 4, 20, 7), in(21, 20, "worker", hostUser, 2, 4, 21, 8),
				in(30, 1, "db", hostUser, 2, 5, 30, 9),
			},
			want: map[int]string{10: "pause/10", 20: "web/20", 21: "web/20", 30: "db/30"},
		},
		{
			name:      "PID 1 inside stands for a group, also when an older process is in it",
			processes: []Process{in(10, 1, "joined", 1, 2, 3, 10, 5), in(20, 1, "init", 1, 2, 3, 20, 1)},
			want:      map[int]string{10: "init/20", 20: "init/20"},
		},
		{
			name:      "the PID namespace is not unshared",
			processes: []Process{in(10, 1, "shell", 1, hostPID, 3, 10), in(11, 10, "sleep", 1, hostPID, 3, 11)},
			want:      map[int]string{10: "shell/10", 11: "shell/10"},
		},
		{
			name:      "pid_for_children differs: the parent is the host's, the child is not",
			processes: []Process{forChildren(onHost(10, 1, "unshare"), 2), in(11, 10, "sh", hostUser, 2, hostMnt, 11, 1)},
			want:      map[int]string{11: "sh/11"},
		},
		{
			name: "a claim takes those in the namespaces of its init and what they started",
			processes: []Process{
				in(10, 1, "init", hostUser, 2, 3, 10, 1), in(11, 10, "child", hostUser, 2, 3, 11, 2), in(12, 11, "sandbox", 7, 8, 9, 12, 3, 1),
				onHost(40, 1, "shim"), in(41, 40, "exec", hostUser, 2, 3, 41, 9),
			},
			claims: []Claim{{Engine: "docker", ID: "abc", Name: "web", InitPID: 10, StartTime: 10}},
			want:   map[int]string{10: "docker:web", 11: "docker:web", 12: "docker:web", 41: "docker:web"},
		},
		{
			name:      "a claim about a PID that was reused is not believed",
			processes: []Process{in(10, 1, "other", 1, 2, 3, 10, 1)},
			claims:    []Claim{{Engine: "docker", ID: "abc", Name: "web", InitPID: 10, StartTime: 9}},
			want:      map[int]string{10: "other/10"},
		},
		{
			name:      "a claim on the host's namespaces has its descendants only",
			processes: []Process{onHost(10, 1, "init"), onHost(11, 10, "child"), onHost(12, 1, "other")},
			claims:    []Claim{{Engine: "nsview", ID: "x", Name: "x", InitPID: 10, StartTime: 10}},
			want:      map[int]string{10: "nsview:x", 11: "nsview:x"},
		},
		{
			name: "a nested claim keeps its own",
			processes: []Process{
				in(10, 1, "outer", 1, 2, 3, 10, 1), in(11, 10, "inner", 4, 5, 6, 11, 2, 1), in(12, 11, "below", 4, 5, 6, 12, 3, 2),
			},
			claims: []Claim{
				{Engine: "lxc", Name: "outer", InitPID: 10, StartTime: 10},
				{Engine: "docker", Name: "inner", InitPID: 11, StartTime: 11},
			},
			want: map[int]string{10: "lxc:outer", 11: "docker:inner", 12: "docker:inner"},
		},
		{
			name: "two claims on the same namespaces: descent decides",
			processes: []Process{
				in(10, 1, "a", 1, 2, 3, 10, 1), in(11, 10, "a2", 1, 2, 3, 11, 3), in(20, 1, "b", 1, 2, 3, 20, 2), in(21, 20, "b2", 1, 2, 3, 21, 4),
			},
			claims: []Claim{
				{Engine: "nsview", Name: "a", InitPID: 10, StartTime: 10},
				{Engine: "nsview", Name: "b", InitPID: 20, StartTime: 20},
			},
			want: map[int]string{10: "nsview:a", 11: "nsview:a", 20: "nsview:b", 21: "nsview:b"},
		},
		{
			name:      "a zombie has left its mount namespace and stays in its container",
			processes: []Process{in(10, 1, "init", 1, 2, 3, 10, 1), in(11, 10, "zombie", 1, 2, 0, 11, 2)},
			want:      map[int]string{10: "init/10", 11: "init/10"},
		},
		{
			name: "unreadable namespaces: id maps and PID levels stand in for them",
			processes: []Process{
				withMaps(in(10, 1, "init", 0, 0, 0, 10, 1), 1), withMaps(in(11, 10, "child", 0, 0, 0, 11, 2), 1),
				withMaps(in(12, 11, "nested", 0, 0, 0, 12, 3, 1), 1),
				withMaps(in(20, 1, "rootless", 0, 0, 0, 20), 1), withMaps(in(30, 1, "host's", 0, 0, 0, 30), 2),
			},
			want: map[int]string{10: "init/10", 11: "init/10", 12: "nested/12", 20: "rootless/20"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := host(tt.processes...)
			s.IDMaps = append(s.IDMaps,
				IDMaps{UID: idmap.Map{{Outside: 100000, Count: 65536}}, GID: idmap.Map{{Outside: 100000, Count: 65536}}},
				IDMaps{UID: idmap.Identity(), GID: idmap.Identity()})
			for range 2 { // a second time changes nothing
				Group(s, tt.claims)
				if diff := cmp.Diff(tt.want, containerNames(s)); diff != "" {
					t.Fatal(diff)
				}
			}
			if err := s.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func forChildren(p Process, pidNS Inode) Process {
	p.Namespaces.PIDForChildren = pidNS
	return p
}

func withMaps(p Process, index int) Process {
	p.IDMaps = index
	return p
}

// An observer in a container that was given a procfs of the host is a process of the host's as any other.
func TestGroupInContainer(t *testing.T) {
	const pidNS, mnt = 4026532500, 4026532501
	s := host(in(700, 1, "nsview", hostUser, pidNS, mnt, 700, 1), onHost(800, 1, "sshd"))
	s.Observer.PID, s.Observer.PIDNS, s.Observer.MntNS = 700, pidNS, mnt
	Group(s, nil)
	if diff := cmp.Diff(map[int]string{700: "nsview/700"}, containerNames(s)); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

func TestGroupFillsContainersAndNamespaces(t *testing.T) {
	s := host(in(10, 1, "sleep", 1, 2, 3, 10, 1), in(11, 10, "child", 1, 2, 3, 11, 2))
	s.Processes[1].Names, s.Processes[1].MountTable = 0, 0
	s.Namespaces = []Namespace{{Type: PID, Inode: 2, Leader: 10}, {Type: PID, Inode: hostPID, Leader: 1}}
	Group(s, nil)
	want := []Container{{
		Name: "sleep/10", InitPID: 10, Processes: 2, IDMaps: -1,
		Namespaces:  NamespaceSet{User: 1, PID: 2, PIDForChildren: 2, Mnt: 3},
		EngineFacts: EngineFacts{State: "running"},
	}}
	if diff := cmp.Diff(want, s.Containers); diff != "" {
		t.Error(diff)
	}
	if c := s.Namespaces[0].Container; c == nil || c.Name != "sleep/10" {
		t.Errorf("container of the PID namespace: %v", c)
	}
	if c := s.Namespaces[1].Container; c != nil {
		t.Errorf("container of the host's PID namespace: %v", c)
	}
}

// What an engine says of a container that is not running is kept, and no process is in it.
func TestGroupKeepsStoppedContainers(t *testing.T) {
	s := host(in(10, 1, "sleep", 1, 2, 3, 10, 1))
	code := 3
	gone := Claim{Engine: "docker", ID: "0123", Name: "db", EngineFacts: EngineFacts{State: "exited", ExitCode: &code}}
	Group(s, []Claim{gone, {Engine: "docker", ID: "4567", Name: "web", InitPID: 10, StartTime: 10}})
	want := []string{"docker:web running", "docker:db exited"}
	var got []string
	for i := range s.Containers {
		got = append(got, s.Viewer(i)+" "+s.Containers[i].State)
	}
	if diff := cmp.Diff(want[1:], got[1:]); diff != "" || s.Processes[1].Container != 0 {
		t.Errorf("%v, the process is in %d: %s", got, s.Processes[1].Container, diff)
	}
	target, err := Resolve(s, "db")
	if err != nil || target.Container != &s.Containers[1] || target.Process != nil {
		t.Errorf("db is %+v, %v", target, err)
	}
	for _, all := range []bool{false, true} {
		if n := len(s.ContainerList(nil, all).Containers); n != map[bool]int{false: 1, true: 2}[all] {
			t.Errorf("all %v: %d containers", all, n)
		}
	}
	if n := len(s.ContainerList([]Target{target}, false).Containers); n != 1 {
		t.Errorf("asked for by name: %d containers", n)
	}
	if err := s.check(); err != nil {
		t.Error(err)
	}
}

// However the processes look: each is in at most one container, a group without an engine has one view, its init is a
// member, and the counts are right.
func TestGroupProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		s := randomHost(rng)
		var claims []Claim
		for range rng.IntN(4) {
			p := &s.Processes[rng.IntN(len(s.Processes))]
			claims = append(claims, Claim{Engine: "e", ID: string(rune('a' + rng.IntN(26))), InitPID: p.PID, StartTime: p.StartTime})
		}
		Group(s, claims)
		members := make([]int, len(s.Containers))
		for i := range s.Processes {
			p := &s.Processes[i]
			c := s.ContainerOf(p)
			if c == nil {
				if p.Namespaces.User != hostUser || p.Namespaces.PID != hostPID {
					t.Fatalf("process %d is in no container but in %+v", p.PID, p.Namespaces)
				}
				continue
			}
			members[p.Container]++
			if c.Engine == "" && (c.Namespaces.User != p.Namespaces.User || c.Namespaces.PID != p.Namespaces.PID || c.Namespaces.Mnt != p.Namespaces.Mnt) {
				t.Fatalf("%s has another view than process %d of it", c.Name, p.PID)
			}
		}
		for i := range s.Containers {
			c := &s.Containers[i]
			init := s.Process(c.InitPID)
			if init == nil || init.Container != i || c.Processes != members[i] || members[i] == 0 {
				t.Fatalf("container %+v: init %+v, %d members", c, init, members[i])
			}
		}
		for i, viewer := range s.Viewers() {
			if viewer != s.Viewer(i) {
				t.Fatalf("Viewers has %q, Viewer %q", viewer, s.Viewer(i))
			}
		}
	}
}

// randomHost has a few dozen processes with random parents, also circular ones, in few namespaces.
func randomHost(rng *rand.Rand) *Snapshot {
	s := host()
	s.Processes = nil
	pick := func(own Inode) Inode {
		if n := rng.IntN(4); n > 0 {
			return Inode(n)*10 + own%10
		}
		return own
	}
	for pid := 1; pid < 2+rng.IntN(40); pid++ {
		p := in(pid, rng.IntN(40), "p", pick(hostUser), pick(hostPID), pick(hostMnt), pid)
		if rng.IntN(2) == 0 {
			p.PIDs = append(p.PIDs, 1+rng.IntN(3))
		}
		p.StartTime = uint64(rng.IntN(10))
		s.Processes = append(s.Processes, p)
	}
	return s
}

func TestGroupIsLinear(t *testing.T) {
	// A chain of parents as a fork bomb makes it: quadratic walks would take minutes here.
	const length = 200_000
	for _, user := range []Inode{hostUser, 0} {
		s := host()
		s.IDMaps = append(s.IDMaps, IDMaps{})
		s.Processes = s.Processes[:1]
		for pid := 2; pid < length; pid++ {
			p := in(pid, pid-1, "bomb", user, hostPID, hostMnt, pid)
			if user == 0 {
				p.IDMaps = 1
			}
			s.Processes = append(s.Processes, p)
		}
		Group(s, []Claim{{Engine: "e", ID: "x", InitPID: length - 1, StartTime: length - 1}})
		if s.Processes[length-2].Container < 0 {
			t.Error("the claimed process is in no container")
		}
	}
}

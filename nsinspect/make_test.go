package nsinspect

import (
	"slices"

	"github.com/nsview/nsview/idmap"
)

// Inodes of the host in the hand-made snapshots of these tests.
const (
	hostUser Inode = 4026531837
	hostPID  Inode = 4026531836
	hostMnt  Inode = 4026531832
)

// host is a snapshot of a host with its PID 1 and an observer, PID 900.
func host(processes ...Process) *Snapshot {
	s := &Snapshot{
		Schema: Schema, Kind: "Snapshot",
		Observer: Observer{
			PID: 900, UserNS: hostUser, PIDNS: hostPID, ProcPIDNS: hostPID, MntNS: hostMnt, InitialNS: true,
			IDMaps: 0, MountTable: -1, Names: -1, Namespaces: NamespaceSet{User: hostUser, PID: hostPID, Mnt: hostMnt},
		},
		IDMaps: []IDMaps{{UserNS: hostUser, UID: idmap.Identity(), GID: idmap.Identity()}},
	}
	s.Processes = append([]Process{onHost(1, 0, "systemd")}, processes...)
	s.Processes = append(s.Processes, onHost(900, 1, "nsview"))
	slices.SortFunc(s.Processes, func(a, b Process) int { return a.PID - b.PID })
	return s
}

// onHost is a process in the host's own namespaces.
func onHost(pid, ppid int, comm string) Process {
	return in(pid, ppid, comm, hostUser, hostPID, hostMnt, pid)
}

// in is a process in the given namespaces with the given PIDs, started in the order of PIDs.
func in(pid, ppid int, comm string, user, pidNS, mnt Inode, pids ...int) Process {
	return Process{
		PID: pid, PPID: ppid, PIDs: pids, Comm: comm, State: "S", StartTime: uint64(pid), IDMaps: -1, MountTable: -1, Names: -1,
		Namespaces: NamespaceSet{User: user, PID: pidNS, PIDForChildren: pidNS, Mnt: mnt},
	}
}

// containerNames maps each process of s to the container it is in.
func containerNames(s *Snapshot) map[int]string {
	names := make(map[int]string)
	for i := range s.Processes {
		if c := s.ContainerOf(&s.Processes[i]); c != nil {
			names[s.Processes[i].PID] = c.Ref().String()
		}
	}
	return names
}

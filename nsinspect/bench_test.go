package nsinspect

import (
	"testing"

	"github.com/nsview/nsview/idmap"
)

// bigHost has that many containers of 10 processes, each with namespaces and id maps of its own.
func bigHost(containers int) *Snapshot {
	s := &Snapshot{IDMaps: []IDMaps{{UserNS: 1, UID: idmap.Identity(), GID: idmap.Identity()}}}
	s.Observer = Observer{PID: 1, UserNS: 1, PIDNS: 2, MntNS: 3, ProcPIDNS: 2, InitialNS: true, Names: -1, MountTable: -1}
	for c := range containers {
		ns := NamespaceSet{User: Inode(10 + 3*c), PID: Inode(11 + 3*c), Mnt: Inode(12 + 3*c)}
		m := idmap.Map{{Inside: 0, Outside: idmap.Kernel(100_000 + c*65536), Count: 65536}}
		s.IDMaps = append(s.IDMaps, IDMaps{UserNS: ns.User, UID: m, GID: m})
		s.Namespaces = append(s.Namespaces,
			Namespace{Type: User, Inode: ns.User, Parent: 1, OwnerUserNS: 1},
			Namespace{Type: PID, Inode: ns.PID, Parent: 2, OwnerUserNS: ns.User},
			Namespace{Type: Mnt, Inode: ns.Mnt, OwnerUserNS: ns.User})
		for i := range 10 {
			pid := 100 + 10*c + i
			p := Process{PID: pid, PPID: 100 + 10*c, PIDs: []int{pid, i + 1}, Comm: "idle", Namespaces: ns, IDMaps: c + 1, Names: -1, MountTable: -1}
			p.Cred.UID.Effective = idmap.Kernel(100_000 + c*65536)
			s.Processes = append(s.Processes, p)
		}
	}
	return s
}

// What is done of every process of a host, by how many there are: the time of each is to stay the same.
func BenchmarkHost(b *testing.B) {
	for name, containers := range map[string]int{"1,000": 100, "20,000": 2000} {
		s := bigHost(containers)
		for work, f := range map[string]func(){
			"group": func() { Group(s, nil) },
			"rows":  func() { s.ProcessList(ProcessQuery{All: true}) },
			"graph": func() { OwnerTree(s.Namespaces) },
		} {
			b.Run(work+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(s.Processes)), "ns/process")
			})
		}
	}
}

package taskiter

import (
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// A record of relations follows that of a process that is in another namespace than its parent: what ioctl_nsfs(2) would
// tell of the namespaces that it is in. Those of other processes are their parents'.
const (
	relMark     = recPID // u32: 0, which is the PID of no process
	relNSProxy  = 8      // u64, before they were read
	relNSAgain  = 16     // u64, and after
	relMntID    = 24     // u64: the mount namespace's for statmount(2)
	relEntries  = 32     // one of each kind, see relKinds
	relPointer  = recordSize - 8
	relInode    = 0 // u32, of an entry
	relOwner    = 4 // u32: the user namespace that owns it
	relParent   = 8
	relOwnerUID = 12 // u32: who made a user namespace
	relID       = 16 // u64
	relEntry    = 24
)

// relKind is a kind of namespace, and where the kernel has it.
type relKind struct {
	kind      nsinspect.Type
	field     string // of struct nsproxy; "" for the user namespace, which the credentials have
	structure string
}

// relKinds are in the order of the entries. The PID namespace is that for children: nearly always the process's own.
func relKinds() []relKind {
	return []relKind{
		{nsinspect.User, "", "user_namespace"},
		{nsinspect.PID, "pid_ns_for_children", "pid_namespace"},
		{nsinspect.Mnt, "mnt_ns", "mnt_namespace"},
		{nsinspect.Net, "net_ns", "net"},
		{nsinspect.UTS, "uts_ns", "uts_namespace"},
		{nsinspect.IPC, "ipc_ns", "ipc_namespace"},
		{nsinspect.Cgroup, "cgroup_ns", "cgroup_namespace"},
		{nsinspect.Time, "time_ns", "time_namespace"},
	}
}

// relations writes the record of relations of the task in r7, after its own. Pointers of namespaces are numbers here, and
// read by the helper: that takes longer than a load, but few tasks come to it. What a pointer that leads nowhere points to
// reads as 0.
func (a *assembler) relations(l *layout) {
	rec := func(at int) int { return at - recordSize }
	pointer := func(dst, from register, offset int) {
		a.probe(8, rec(relPointer), from, offset)
		a.load(double, dst, r10, rec(relPointer))
	}
	nsproxy, cred, userNS := l.at("task_struct", "nsproxy"), l.at("task_struct", "real_cred"), l.at("cred", "user_ns")
	inum := l.at("ns_common", "inum")

	a.set(r1, 0)
	a.store(word, r10, rec(relMark), r1)
	a.store(word, r10, rec(mountsMark), r1)
	a.load(double, r9, r7, nsproxy)
	a.store(double, r10, rec(relNSProxy), r9)
	a.load(double, r8, r7, l.at("task_struct", "real_parent"))
	a.load(double, r1, r8, nsproxy)
	other := a.ifNot(r1, r9)
	a.load(double, r8, r8, cred)
	a.load(double, r8, r8, userNS)
	a.load(double, r9, r7, cred)
	a.load(double, r9, r9, userNS)
	a.endIfEqual(r8, r9)
	a.land(other)

	pointer(r9, r7, cred)
	pointer(r8, r9, userNS)
	a.load(double, r9, r10, rec(relNSProxy))
	for i, k := range relKinds() {
		to := relEntries + i*relEntry
		ns, owner := l.at(k.structure, "ns"), "user_ns"
		if k.field == "" {
			owner = "parent"
			a.probe(4, rec(to+relOwnerUID), r8, l.at(k.structure, "owner"))
		} else {
			pointer(r8, r9, l.at("nsproxy", k.field))
		}
		a.probe(4, rec(to+relInode), r8, ns+inum)
		a.zero(r10, rec(to+relID))
		if id, ok := l.has("ns_common", "ns_id"); ok { // Linux 6.18
			a.probe(8, rec(to+relID), r8, ns+id)
		}
		if k.kind == nsinspect.Mnt {
			a.load(double, r1, r10, rec(to+relID))
			a.store(double, r10, rec(relMntID), r1)
			if seq, ok := l.has(k.structure, "seq"); ok { // before
				a.probe(8, rec(relMntID), r8, seq)
			}
		}
		if k.kind == nsinspect.PID {
			pointer(r1, r8, l.at(k.structure, "parent"))
			a.probe(4, rec(to+relParent), r1, l.at(k.structure, "ns")+inum)
		}
		pointer(r1, r8, l.at(k.structure, owner))
		a.probe(4, rec(to+relOwner), r1, l.at("user_namespace", "ns")+inum)
	}
	a.probe(8, rec(relNSAgain), r7, nsproxy)
	a.write()
}

// IsRelations says that the record is one of relations, and not of a process.
func (r *Record) IsRelations() bool { return r.u32(relMark) == 0 && r.u32(mountsMark) == 0 }

// Relation is what ioctl_nsfs(2) tells of a namespace to who is in the initial ones.
type Relation struct {
	Type        nsinspect.Type
	Inode       nsinspect.Inode
	Parent      nsinspect.Inode // of a user or a PID namespace; 0 at the top
	OwnerUserNS nsinspect.Inode
	OwnerUID    idmap.Kernel // of a user namespace, else unmapped
	ID, MntID   uint64       // 0 where the kernel has none
}

// Relations calls see with the relations of each namespace of a record of them. It does not for a process that changed its
// namespaces meanwhile, or gave them up.
func (r *Record) Relations(see func(Relation)) {
	if r.u64(relNSProxy) == 0 || r.u64(relNSProxy) != r.u64(relNSAgain) {
		return
	}
	for i, k := range relKinds() {
		at := relEntries + i*relEntry
		n := Relation{
			Type: k.kind, Inode: nsinspect.Inode(r.u32(at + relInode)), OwnerUserNS: nsinspect.Inode(r.u32(at + relOwner)),
			OwnerUID: idmap.UnmappedKernel, ID: r.u64(at + relID),
		}
		switch k.kind {
		case nsinspect.User:
			n.Parent, n.OwnerUID = n.OwnerUserNS, idmap.Kernel(r.u32(at+relOwnerUID))
		case nsinspect.PID:
			n.Parent = nsinspect.Inode(r.u32(at + relParent))
		case nsinspect.Mnt:
			n.MntID = r.u64(relMntID)
		}
		if n.Inode != 0 {
			see(n)
		}
	}
}

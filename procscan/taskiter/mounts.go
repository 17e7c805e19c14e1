package taskiter

import "github.com/nsview/nsview/nsinspect"

// Records of mounts follow those of all processes: in which mount namespaces a namespace file is mounted.
const (
	mountsMark  = recPPID // u32: 1 for a mount namespace, 2 for the end of them; 0 in a record of relations
	mountsInode = 8       // u32
	mountsRest  = 16      // u64, at the end: 0 when all mounts were seen

	// The kernel makes what one call of the program writes in 8 pages.
	maxMountRecords = 48
	maxMounts       = 1 << 16

	mountsIter = -recordSize - 8 // struct bpf_iter_num, below the record on the stack
)

// helperGetCurrentTask is bpf_get_current_task_btf() (Linux 5.11).
const helperGetCurrentTask = 158

// iterFuncs are what a loop takes (Linux 6.4).
func iterFuncs() []string {
	return []string{"bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"}
}

// mounts writes the records of mounts, to be called after the last task. All mounts of namespace files are of one
// superblock, which has them in a list; the reader's own mount namespace leads to it while its file is open. Before Linux
// 6.18 the list is another: then it writes nothing, which is the same as not having seen all.
//
// A mount stays where it is in memory until the program is over, and goes on leading to the next when it was unmounted
// meanwhile (mnt_del_instance() in fs/namespace.c).
func (a *assembler) mounts(l *layout) {
	rec := func(at int) int { return at - recordSize }
	pointer := func(dst, from register, offset int) {
		a.probe(8, rec(relPointer), from, offset)
		a.load(double, dst, r10, rec(relPointer))
	}
	known := true
	at := func(structure, field string) int {
		n, ok := l.has(structure, field)
		known = known && ok
		return n
	}
	path := []int{
		at("task_struct", "nsproxy"), at("nsproxy", "mnt_ns"), at("mnt_namespace", "ns") + at("ns_common", "stashed"),
		at("dentry", "d_sb"), at("super_block", "s_mounts"),
	}
	next, mountNS, inum := at("mount", "mnt_next_for_sb"), at("mount", "mnt_ns"), at("mnt_namespace", "ns")+at("ns_common", "inum")
	var calls []uint32
	for _, name := range iterFuncs() {
		id, ok := l.types.funcs[name]
		calls, known = append(calls, id), known && ok
	}
	if !known {
		return
	}
	iter := func() { a.move(r1, r10); a.add(r1, mountsIter) }

	for n := 0; n < recordSize; n += 8 {
		a.zero(r10, rec(n))
	}
	a.call(helperGetCurrentTask)
	a.move(r8, r0)
	for _, offset := range path {
		pointer(r8, r8, offset)
	}
	a.endIfZero(r8)
	a.set(r1, 1)
	a.store(word, r10, rec(mountsMark), r1)
	a.set(r9, 0) // the mount namespace of the last
	// How many were written. It is read from nowhere, which makes it a 0 that the verifier does not know: one that it knows it
	// follows through each turn of the loop.
	pointer(r7, r9, 0)
	iter()
	a.set(r2, 0)
	a.set(r3, maxMounts)
	a.callKernel(calls[0])
	loop := len(a.code) / 8
	iter()
	a.callKernel(calls[1])
	over := []int{a.ifIs(r0, 0), a.ifIs(r8, 0)}
	pointer(r1, r8, mountNS)
	same := a.ifEqual(r1, r9)
	a.move(r9, r1)
	a.probe(4, rec(mountsInode), r9, inum)
	over = append(over, a.ifIs(r7, maxMountRecords))
	a.add(r7, 1)
	a.write()
	a.land(same)
	pointer(r8, r8, next)
	a.jump(loop)
	for _, at := range over {
		a.land(at)
	}
	iter()
	a.callKernel(calls[2])
	a.set(r1, 2)
	a.store(word, r10, rec(mountsMark), r1)
	a.store(double, r10, rec(mountsRest), r8)
	a.write()
}

// Mounts are the mount namespaces in which namespace files are mounted.
type Mounts struct {
	In    map[nsinspect.Inode]bool
	Known bool // all there are in namespaces that the iterator came across are in In
}

// IsMounts says that the record is one of mounts, and not of a process.
func (r *Record) IsMounts() bool { return r.u32(relMark) == 0 && r.u32(mountsMark) != 0 }

// Mounts adds what a record of mounts says.
func (r *Record) Mounts(m *Mounts) {
	if m.In == nil {
		m.In = map[nsinspect.Inode]bool{}
	}
	switch r.u32(mountsMark) {
	case 1:
		if inode := nsinspect.Inode(r.u32(mountsInode)); inode != 0 { // the kernel's own mount is in none
			m.In[inode] = true
		}
	case 2:
		m.Known = r.u64(mountsRest) == 0
	}
}

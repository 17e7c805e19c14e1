package taskiter

import "fmt"

// How much of what may be long a record has. What has more is marked, and its reader asks procfs.
const (
	maxLevels  = 8  // PID namespaces that a process is in
	maxGroups  = 16 // supplementary groups
	maxExtents = 5  // of an id map: beyond, the kernel keeps them elsewhere
)

// Where each part of a record stands. All numbers are the kernel's own, in its byte order.
const (
	recPID          = 0  // u32
	recPPID         = 4  // u32
	recFlags        = 8  // u32: PF_*
	recState        = 12 // u32
	recExitState    = 16 // u32
	recSeccomp      = 20 // u32
	recUmask        = 24 // u32
	recLevel        = 28 // u32: how many PID namespaces are above its own
	recStart        = 32 // u64: nanoseconds after boot
	recAtomic       = 40 // u64: atomic_flags
	recCSSSet       = 48 // u64: names the set of cgroups that it is in
	recComm         = 56 // 16 bytes
	recIDs          = 72 // 8 u32: uid, gid, suid, sgid, euid, egid, fsuid, fsgid
	recCaps         = 104
	recPIDs         = 144 // maxLevels u32
	recNS           = 176 // 10 u32, see the order of namespaces
	recNGroups      = 216 // u32
	recRootMount    = 224 // u64: names the mount of its root directory
	recRootDentry   = 232 // u64: names that directory in it
	recUserNSFlags  = 240 // u64
	recNSProxy      = 248 // u64, before the namespaces were read
	recNSProxyAgain = 256 // u64, and after
	recGroups       = 264 // maxGroups u32
	recUIDMap       = 328 // struct uid_gid_map
	recGIDMap       = 392
	recordSize      = 456 // of the 512 bytes that a program's stack has

	mapSize  = recGIDMap - recUIDMap
	commSize = recIDs - recComm
)

// structs are those whose fields the program reads.
func structs() []string {
	return []string{
		"task_struct", "seccomp", "cred", "group_info", "fs_struct", "path", "nsproxy",
		"mnt_namespace", "uts_namespace", "ipc_namespace", "net", "cgroup_namespace", "time_namespace", "pid_namespace",
		"dentry", "super_block", "mount",
		"user_namespace", "ns_common", "pid", "upid", "uid_gid_map", "bpf_iter__task", "bpf_iter_meta",
	}
}

// iterFunc is what a program that iterates over tasks is attached to.
const iterFunc = "bpf_iter_task"

// castFunc takes a pointer for one to what its caller says (Linux 6.2).
const castFunc = "bpf_rdonly_cast"

// layout finds fields, and remembers the first that is missing.
type layout struct {
	types *kernelTypes
	err   error
}

func (l *layout) at(structure, field string) int {
	n, err := l.types.offset(structure, field)
	if err != nil && l.err == nil {
		l.err = err
	}
	return n
}

// has is where a field is that not every kernel has.
func (l *layout) has(structure, field string) (int, bool) {
	n, err := l.types.offset(structure, field)
	return n, err == nil
}

// shape is what a reader of records has to know of the kernel's types.
type shape struct {
	extents, nrExtents int // in struct uid_gid_map
}

// program writes a record of every process: a task that leads its thread group, and what else is asked for. It follows pointers of the kernel, which
// the verifier allows since it knows their types; one that leads nowhere reads as 0.
func program(types *kernelTypes, with Facts) ([]byte, shape, error) {
	l := &layout{types: types}
	a := &assembler{}
	rec := func(at int) int { return at - recordSize }
	copyField := func(size byte, from register, offset, to int) {
		a.load(size, r1, from, offset)
		a.store(size, r10, rec(to), r1)
	}

	// ctx is struct bpf_iter__task: what seq_file to write to, and the task, null at the end.
	a.load(double, r8, r1, l.at("bpf_iter__task", "meta"))
	a.load(double, r6, r8, l.at("bpf_iter_meta", "seq"))
	a.load(double, r7, r1, l.at("bpf_iter__task", "task"))
	last := a.ifIs(r7, 0)
	a.load(word, r1, r7, l.at("task_struct", "pid"))
	a.load(word, r2, r7, l.at("task_struct", "tgid"))
	a.endIfNot(r1, r2)
	for at := 0; at < recordSize; at += 8 {
		a.zero(r10, rec(at))
	}
	a.store(word, r10, rec(recPID), r2)

	// Of each pointer that is loaded from a task which is known to be one, the verifier asks whether that is one still, and
	// searches all types by name four times for it: most of what loading the program took. Of one that may be anything it asks
	// nothing.
	if cast, ok := types.funcs[castFunc]; ok {
		task, err := types.id("task_struct", "pid")
		if err != nil && l.err == nil {
			l.err = err
		}
		a.move(r1, r7)
		a.set(r2, int(task))
		a.callKernel(cast)
		a.move(r7, r0)
	}

	copyField(double, r7, l.at("task_struct", "nsproxy"), recNSProxy)
	copyField(word, r7, l.at("task_struct", "__state"), recState)
	copyField(word, r7, l.at("task_struct", "exit_state"), recExitState)
	copyField(word, r7, l.at("task_struct", "seccomp")+l.at("seccomp", "mode"), recSeccomp)
	copyField(double, r7, l.at("task_struct", "start_boottime"), recStart)
	copyField(double, r7, l.at("task_struct", "atomic_flags"), recAtomic)
	copyField(double, r7, l.at("task_struct", "cgroups"), recCSSSet)
	a.load(double, r8, r7, l.at("task_struct", "real_parent"))
	copyField(word, r8, l.at("task_struct", "tgid"), recPPID)

	probe := func(size, to int, from register, offset int) { a.probe(size, rec(to), from, offset) }

	probe(commSize, recComm, r7, l.at("task_struct", "comm"))

	a.load(double, r8, r7, l.at("task_struct", "real_cred"))
	for i, name := range []string{"uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid"} {
		copyField(word, r8, l.at("cred", name), recIDs+4*i)
	}
	for i, name := range []string{"cap_inheritable", "cap_permitted", "cap_effective", "cap_bset", "cap_ambient"} {
		copyField(double, r8, l.at("cred", name), recCaps+8*i)
	}
	a.load(double, r9, r8, l.at("cred", "group_info"))
	copyField(word, r9, l.at("group_info", "ngroups"), recNGroups)
	probe(4*maxGroups, recGroups, r9, l.at("group_info", "gid"))
	a.load(double, r8, r8, l.at("cred", "user_ns"))
	inum := l.at("ns_common", "inum")
	copyField(word, r8, l.at("user_namespace", "ns")+inum, recNS)
	copyField(double, r8, l.at("user_namespace", "flags"), recUserNSFlags)
	probe(mapSize, recUIDMap, r8, l.at("user_namespace", "uid_map"))
	probe(mapSize, recGIDMap, r8, l.at("user_namespace", "gid_map"))

	// The PIDs, and the PID namespace, which is that of the innermost: how far in that is is not known here, so each
	// level overwrites what the one before it wrote.
	a.load(double, r8, r7, l.at("task_struct", "thread_pid"))
	a.load(word, r9, r8, l.at("pid", "level"))
	a.store(word, r10, rec(recLevel), r9)
	numbers, nr, ns := l.at("pid", "numbers"), l.at("upid", "nr"), l.at("upid", "ns")
	size, err := types.size("upid", "nr")
	if err != nil && l.err == nil {
		l.err = err
	}
	var below []int
	for level := range maxLevels {
		below = append(below, len(a.code)/8)
		a.op(0xa5, r9, 0, 0, int32(level)) // beyond its level: done
		probe(4, recPIDs+4*level, r8, numbers+level*size+nr)
		// The pointer is read as a number, so what it points to is read by the helper too: through a place on the stack.
		probe(8, recRootDentry, r8, numbers+level*size+ns)
		a.load(double, r3, r10, rec(recRootDentry))
		a.add(r3, l.at("pid_namespace", "ns")+inum)
		a.move(r1, r10)
		a.add(r1, rec(recNS+4))
		a.set(r2, 4)
		a.call(helperProbeReadKernel)
	}
	for _, at := range below {
		a.land(at)
	}

	a.load(double, r8, r7, l.at("task_struct", "fs"))
	copyField(word, r8, l.at("fs_struct", "umask"), recUmask)
	root := l.at("fs_struct", "root")
	copyField(double, r8, root+l.at("path", "mnt"), recRootMount)
	copyField(double, r8, root+l.at("path", "dentry"), recRootDentry)

	a.load(double, r8, r7, l.at("task_struct", "nsproxy"))
	for i, n := range []struct{ field, structure string }{
		{"mnt_ns", "mnt_namespace"},
		{"net_ns", "net"},
		{"uts_ns", "uts_namespace"},
		{"ipc_ns", "ipc_namespace"},
		{"cgroup_ns", "cgroup_namespace"},
		{"time_ns", "time_namespace"},
		{"pid_ns_for_children", "pid_namespace"},
		{"time_ns_for_children", "time_namespace"},
	} {
		a.load(double, r9, r8, l.at("nsproxy", n.field))
		copyField(word, r9, l.at(n.structure, "ns")+inum, recNS+8+4*i)
	}
	// Last: who is not on its way out now was not when its namespaces were read, and they were not given up meanwhile.
	copyField(double, r7, l.at("task_struct", "nsproxy"), recNSProxyAgain)
	copyField(word, r7, l.at("task_struct", "flags"), recFlags)

	a.write()
	if with&Relations != 0 {
		a.relations(l)
	}
	a.exit()
	a.land(last)
	if with&Mounted != 0 {
		a.mounts(l)
	}

	s := shape{extents: l.at("uid_gid_map", "extent"), nrExtents: l.at("uid_gid_map", "nr_extents")}
	if l.err != nil {
		return nil, s, l.err
	}
	if n, err := types.size("uid_gid_map", "nr_extents"); err != nil || n > mapSize {
		return nil, s, fmt.Errorf("an id map of this kernel has %d bytes", n)
	}
	return a.finish(), s, nil
}

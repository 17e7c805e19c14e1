package taskiter

import (
	"bytes"
	"math/bits"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// Flags of a task (include/linux/sched.h).
const (
	flagExiting = 0x00000004 // PF_EXITING
	flagKthread = 0x00200000 // PF_KTHREAD
)

// PID is the process's in the initial PID namespace.
func (r *Record) PID() int { return int(r.u32(recPID)) }

// Kthread says that it is a kernel thread, whose name is longer than a record has.
func (r *Record) Kthread() bool { return r.u32(recFlags)&flagKthread != 0 }

// Whole says that the record has all of the process. It has not for one that is on its way out or changed its namespaces
// while it was read, and where a part is longer than max... says.
func (r *Record) Whole() bool {
	return r.u32(recFlags)&flagExiting == 0 && r.u32(recExitState) == 0 && r.u64(recNSProxy) == r.u64(recNSProxyAgain) &&
		r.u32(recLevel) < maxLevels && r.u32(recNGroups) <= maxGroups
}

// CgroupsKey is the same for processes that are in the same cgroups.
func (r *Record) CgroupsKey() uint64 { return r.u64(recCSSSet) }

// RootKey is the same for processes that have the same root directory.
func (r *Record) RootKey() [2]uint64 { return [2]uint64{r.u64(recRootMount), r.u64(recRootDentry)} }

// Started is when it started, in nanoseconds after boot.
func (r *Record) Started() uint64 { return r.u64(recStart) }

// clockTick is one tick of field 22 of proc_pid_stat(5): USER_HZ is 100 on all machines that nsview is built for.
const clockTick = 10_000_000

// Process fills in what a record tells: ids are those of the initial user namespace, PIDs from the initial PID namespace on.
func (r *Record) Process(p *nsinspect.Process) {
	p.PID, p.PPID = r.PID(), int(r.u32(recPPID))
	comm, _, _ := bytes.Cut(r.b[recComm:recComm+commSize], []byte{0})
	p.Comm = r.intern(comm)
	p.State = state(r.u32(recState), r.u32(recExitState))
	p.StartTime = r.Started() / clockTick
	p.Kthread = r.Kthread()
	p.PIDs = r.ints(int(r.u32(recLevel)) + 1)
	for i := range p.PIDs {
		p.PIDs[i] = int(r.u32(recPIDs + 4*i))
	}
	c := &p.Cred
	for i, id := range []*idmap.Kernel{
		&c.UID.Real, &c.GID.Real, &c.UID.Saved, &c.GID.Saved, &c.UID.Effective, &c.GID.Effective, &c.UID.FS, &c.GID.FS,
	} {
		*id = idmap.Kernel(r.u32(recIDs + 4*i))
	}
	for i, set := range []*uint64{&c.CapInh, &c.CapPrm, &c.CapEff, &c.CapBnd, &c.CapAmb} {
		*set = r.u64(recCaps + 8*i)
	}
	c.Groups = make([]idmap.Kernel, r.u32(recNGroups))
	for i := range c.Groups {
		c.Groups[i] = idmap.Kernel(r.u32(recGroups + 4*i))
	}
	c.NoNewPrivs = r.u64(recAtomic)&1 != 0 // PFA_NO_NEW_PRIVS
	c.Seccomp, c.Umask = int(r.u32(recSeccomp)), r.u32(recUmask)
	n := &p.Namespaces
	for i, ns := range []*nsinspect.Inode{
		&n.User, &n.PID, &n.Mnt, &n.Net, &n.UTS, &n.IPC, &n.Cgroup, &n.Time, &n.PIDForChildren, &n.TimeForChildren,
	} {
		*ns = nsinspect.Inode(r.u32(recNS + 4*i))
	}
}

// intern makes a string of b, the same for equal b: thousands of processes have a few names.
func (r *Record) intern(b []byte) string {
	if s, ok := r.comms[string(b)]; ok { // does not allocate
		return s
	}
	s := string(b)
	r.comms[s] = s
	return s
}

// ints makes a slice of n numbers. Those of many processes are one allocation.
func (r *Record) ints(n int) []int {
	if len(r.spare) < n {
		r.spare = make([]int, max(n, spareInts))
	}
	s := r.spare[:n:n]
	r.spare = r.spare[n:]
	return s
}

const spareInts = 512

// state is the letter that proc_pid_stat(5) has for a task (task_state_index() in include/linux/sched.h).
func state(running, exit uint32) string {
	const (
		report  = 0x7f
		idle    = 0x402
		waiting = 0x1000 | 0x8000 // TASK_RTLOCK_WAIT, TASK_FROZEN: shown as an uninterruptible sleep
		sleep   = 2
	)
	s := (running | exit) & report
	switch {
	case running == idle:
		s = report + 1
	case running&waiting != 0:
		s = sleep
	}
	const letters = "RSDTtXZPI"
	at := bits.Len32(s)
	return letters[at : at+1]
}

// IDMaps are the id maps of its user namespace. False: they have more extents than a record holds.
func (r *Record) IDMaps() (m nsinspect.IDMaps, ok bool) {
	m.UserNS = nsinspect.Inode(r.u32(recNS))
	m.Setgroups = "deny"
	if r.u64(recUserNSFlags)&1 != 0 { // USERNS_SETGROUPS_ALLOWED
		m.Setgroups = "allow"
	}
	for _, half := range []struct {
		at   int
		into *idmap.Map
	}{{recUIDMap, &m.UID}, {recGIDMap, &m.GID}} {
		n := r.u32(half.at + r.shape.nrExtents)
		if n > maxExtents {
			return m, false
		}
		*half.into = make(idmap.Map, n)
		for i := range *half.into {
			e := half.at + r.shape.extents + 12*i
			(*half.into)[i] = idmap.Extent{
				Inside: idmap.Inside(r.u32(e)), Outside: idmap.Kernel(r.u32(e + 4)), Count: r.u32(e + 8),
			}
		}
	}
	return m, true
}

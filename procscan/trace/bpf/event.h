/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records, how they are made and sent, and what of them is lost. */
#pragma once

#define PROC_SUPER_MAGIC 0x9fa0
#define NSFS_MAGIC 0x6e736673
#define CLONE_THREAD 0x10000
#define PR_SET_NAME 15
#define SIGNAL_GROUP_EXIT 4
#define USERNS_SETGROUPS_ALLOWED 1
#define MOUNT_ATTR_IDMAP 0x100000

/* Kinds of records; decode.go has the same. */
enum { CLONE = 1, SYSCALL, EXEC, EXIT, MAP, DENIED };

struct nsset {
	u32 user, pid, pid_children, mnt, net, uts, ipc, cgroup, time, time_children;
};

struct event {
	u64 time;
	s64 ret;
	u64 args[6];
	u64 caps;
	u64 opener_caps;
	u32 kind, nr;
	u32 pid, tid, inside, ppid;
	struct nsset before, after;
	u32 ids[8];
	char comm[16];
	u32 x[8];
	u16 len[6];
	u32 seccomp;
	char data[8192];
};
#define HEADER __builtin_offsetof(struct event, data)
#define STRING 1024 /* with the NUL; longer ones are cut */
#define CONTENT 4095

struct pending {
	u64 args[6];
	u32 nr, file; /* file: which of the id map files a write is to */
	struct nsset before;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct event);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct pending);
} pending SEC(".maps");

/* What is not shown, by reason; the reader sums the CPUs up. */
enum { LOST_FULL, LOST_PENDING, LOST_COMPAT, LOST_KINDS };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOST_KINDS);
	__type(key, u32);
	__type(value, u64);
} lost SEC(".maps");

static __always_inline void lose(u32 why)
{
	u64 *n = bpf_map_lookup_elem(&lost, &why);
	if (n)
		*n += 1;
}

static __always_inline void read_ns(struct nsset *s, struct task_struct *t)
{
	struct nsproxy *p = t->nsproxy;
	struct pid *pid = BPF_CORE_READ(t, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid up = {};

	bpf_probe_read_kernel(&up, bpf_core_type_size(struct upid),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid));
	s->user = t->cred->user_ns->ns.inum;
	s->pid = BPF_CORE_READ(up.ns, ns.inum);
	s->pid_children = p->pid_ns_for_children->ns.inum;
	s->mnt = p->mnt_ns->ns.inum;
	s->net = p->net_ns->ns.inum;
	s->uts = p->uts_ns->ns.inum;
	s->ipc = p->ipc_ns->ns.inum;
	s->cgroup = p->cgroup_ns->ns.inum;
	s->time = p->time_ns->ns.inum;
	s->time_children = p->time_ns_for_children->ns.inum;
}

/* innermost is the number of a process in its own PID namespace. */
static __always_inline u32 innermost(struct pid *pid)
{
	u32 level = BPF_CORE_READ(pid, level);
	struct upid up = {};

	bpf_probe_read_kernel(&up, bpf_core_type_size(struct upid),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid));
	return up.nr;
}

static __always_inline struct event *new_event(struct task_struct *t, u32 kind)
{
	u32 zero = 0;
	struct event *e = bpf_map_lookup_elem(&scratch, &zero);
	const struct cred *c;

	if (!e)
		return NULL;
	__builtin_memset(e, 0, HEADER);
	e->time = bpf_ktime_get_boot_ns();
	e->kind = kind;
	e->pid = t->tgid;
	e->tid = t->pid;
	e->inside = innermost(BPF_CORE_READ(t, signal, pids[1]));
	e->ppid = t->real_parent->tgid;
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), &t->comm);
	read_ns(&e->after, t);
	c = t->cred;
	e->ids[0] = c->uid.val;
	e->ids[1] = c->euid.val;
	e->ids[2] = c->suid.val;
	e->ids[3] = c->fsuid.val;
	e->ids[4] = c->gid.val;
	e->ids[5] = c->egid.val;
	e->ids[6] = c->sgid.val;
	e->ids[7] = c->fsgid.val;
	bpf_probe_read_kernel(&e->caps, sizeof(e->caps), &c->cap_effective);
	return e;
}

/* A wake-up for each record would cost the traced more than the record does. */
static __always_inline void send(struct event *e, u32 size)
{
	u64 flags = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= (256 << 10) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	if (bpf_ringbuf_output(&events, e, HEADER + (size & (sizeof(e->data) - 1)), flags))
		lose(LOST_FULL);
}

/* text appends string i, from the memory of the process, and returns the new size. */
static __always_inline u32 text(struct event *e, u32 off, int i, u64 from)
{
	long n;

	off &= CONTENT;
	if (!from || off > CONTENT - STRING)
		return off;
	n = bpf_probe_read_user_str(&e->data[off], STRING, (void *)from);
	if (n <= 0)
		return off;
	e->len[i] = n;
	return off + n;
}

static __always_inline u32 bytes(struct event *e, u32 off, int i, u64 from, u64 n)
{
	off &= CONTENT;
	if (n > STRING)
		n = STRING;
	if (!from || !n || off > CONTENT - STRING)
		return off;
	if (bpf_probe_read_user(&e->data[off], n & 2047, (void *)from))
		return off;
	e->len[i] = n;
	return off + n;
}

/* compat: a 32-bit system call, whose number means another one. */
static __always_inline bool compat(struct task_struct *t, long nr)
{
#ifdef __TARGET_ARCH_x86
	return BPF_CORE_READ(t, thread_info.status) & 2 || nr & 0x40000000;
#else
	return BPF_CORE_READ(t, thread_info.flags) >> 22 & 1;
#endif
}

static __always_inline void read_args(u64 *args, void *regs)
{
#ifdef __TARGET_ARCH_x86
	struct pt_regs *r = regs;
	args[0] = BPF_CORE_READ(r, di);
	args[1] = BPF_CORE_READ(r, si);
	args[2] = BPF_CORE_READ(r, dx);
	args[3] = BPF_CORE_READ(r, r10);
	args[4] = BPF_CORE_READ(r, r8);
	args[5] = BPF_CORE_READ(r, r9);
#else
	struct pt_regs *r = regs;
	args[0] = BPF_CORE_READ(r, orig_x0);
	args[1] = BPF_CORE_READ(r, regs[1]);
	args[2] = BPF_CORE_READ(r, regs[2]);
	args[3] = BPF_CORE_READ(r, regs[3]);
	args[4] = BPF_CORE_READ(r, regs[4]);
	args[5] = BPF_CORE_READ(r, regs[5]);
#endif
}

static __always_inline struct file *file_of(struct task_struct *t, u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	struct file **table = BPF_CORE_READ(fdt, fd), *f = NULL;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&f, sizeof(f), table + fd);
	return f;
}

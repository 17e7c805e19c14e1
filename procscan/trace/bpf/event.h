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
enum { CLONE = 1, SYSCALL, EXEC, EXIT, MAP, DENIED, ENTRY, KINDS }; /* ENTRY is of none that is sent */

struct nsset {
	u32 user, pid, pid_children, mnt, net, uts, ipc, cgroup, time, time_children;
};

/* What a system call was given by pointers: strings one after the other, each of its len. */
struct given {
	u16 len[6];
	u16 late; /* was read at the return of the call: at its entry that memory was not there */
	u16 used;
	char data[8192];
};

struct event {
	u64 time;
	s64 ret;
	u64 args[6];
	u64 caps;
	u64 y; /* as x */
	u32 kind, nr;
	u32 pid, tid, inside, ppid;
	struct nsset before, after;
	u32 ids[8];
	char comm[16];
	u32 x[8]; /* what a kind has besides; decode.go says what */
	u16 seccomp, unused[3];
	struct given given;
};
#define HEADER __builtin_offsetof(struct event, given.data)
#define STRING 1024 /* with the NUL; longer ones are cut */
#define CONTENT 4095

/* The same, as it is kept while the call is going on: most are a path or a name, which takes less to copy. */
#define SHORT 240
struct given_short { char head[__builtin_offsetof(struct given, data)], data[SHORT]; };
struct given_long { char head[__builtin_offsetof(struct given, data)], data[CONTENT + 1]; };
enum { GIVEN_SHORT = 1, GIVEN_LONG };

/* A call that is going on; none where going is 0. */
struct pending {
	u64 args[6];
	u64 file; /* of a write: the struct file, which may be gone when the call returns */
	u32 nr, map; /* map: which of the id map files a write is to */
	u32 going;
	u32 ns, kept; /* ns: the namespace that a descriptor among the arguments stands for; kept: where what it was given is, 0 where that is to be read at the return */
	struct nsset before;
	char comm[16];
	struct given_short given;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

/* A place for each program, since one may interrupt another: the key is a kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, u32);
	__type(value, struct event);
} scratch SEC(".maps");

/* It lies with the thread, and stays from the first such call to the thread's end: to find it takes less than to make it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct pending);
} pending SEC(".maps");

/* What that call was given, where it is long; until its return. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct given_long);
} given_long SEC(".maps");

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

/* read_ns reads the namespaces of a task, and is the number of its process in its own PID namespace. */
static __always_inline u32 read_ns(struct nsset *s, struct task_struct *t)
{
	struct nsproxy *p = t->nsproxy;
	struct pid *pid = t->signal->pids[1];
	u32 level = pid->level;
	struct upid up = {};

	if (!level) { /* as most are: by loads alone, for which level has to be a constant */
		up.nr = pid->numbers[0].nr;
		s->pid = pid->numbers[0].ns->ns.inum;
	} else {
		bpf_probe_read_kernel(&up, bpf_core_type_size(struct upid),
				      (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid));
		s->pid = BPF_CORE_READ(up.ns, ns.inum);
	}
	s->user = t->cred->user_ns->ns.inum;
	s->pid_children = p->pid_ns_for_children->ns.inum;
	s->mnt = p->mnt_ns->ns.inum;
	s->net = p->net_ns->ns.inum;
	s->uts = p->uts_ns->ns.inum;
	s->ipc = p->ipc_ns->ns.inum;
	s->cgroup = p->cgroup_ns->ns.inum;
	s->time = p->time_ns->ns.inum;
	s->time_children = p->time_ns_for_children->ns.inum;
	return up.nr;
}

/*
 * NOT_STATIC is for what is long: the kernel verifies such a function by itself and once, what is static and what is inlined
 * wherever it is called, again for each way there. It gets and returns no pointers of the kernel's, and has to do without
 * NULL being ruled out.
 */
#define NOT_STATIC __attribute__((noinline))

/* ns_of_current is read_ns of the current task. */
NOT_STATIC u32 ns_of_current(struct nsset *s)
{
	return s ? read_ns(s, (void *)bpf_get_current_task_btf()) : 0;
}

/* begin_event fills in what every record has. */
NOT_STATIC u32 begin_event(struct event *e, u32 kind)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	const struct cred *c;

	if (!e)
		return 0;
	__builtin_memset(e, 0, HEADER);
	e->time = bpf_ktime_get_boot_ns();
	e->kind = kind;
	e->pid = t->tgid;
	e->tid = t->pid;
	e->ppid = t->real_parent->tgid;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	e->inside = read_ns(&e->after, t);
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
	return 0;
}

static __always_inline struct event *new_event(u32 kind)
{
	struct event *e = bpf_map_lookup_elem(&scratch, &kind);

	if (e)
		begin_event(e, kind);
	return e;
}

/*
 * A wake-up for each record would cost the traced more than the record does. The reader looks by itself now and then: it is
 * woken for each 256 kB that it has not read by then.
 */
static __always_inline void send(struct event *e, u32 size)
{
	u64 before = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA), after;

	size = HEADER + (size & (sizeof(e->given.data) - 1));
	after = before + size + BPF_RINGBUF_HDR_SZ;
	if (bpf_ringbuf_output(&events, e, size, before >> 18 == after >> 18 ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP))
		lose(LOST_FULL);
}

/* text appends string i, from the memory of the process, and returns the new size. */
static __always_inline u32 text(struct given *g, u32 off, int i, u64 from)
{
	long n;

	off &= CONTENT;
	if (!from || off > CONTENT - STRING)
		return off;
	n = bpf_probe_read_user_str(&g->data[off], STRING, (void *)from);
	if (n <= 0) {
		g->late = 1;
		return off;
	}
	g->len[i] = n;
	return off + n;
}

static __always_inline u32 bytes(struct given *g, u32 off, int i, u64 from, u64 n)
{
	off &= CONTENT;
	if (n > STRING)
		n = STRING;
	if (!from || !n || off > CONTENT - STRING)
		return off;
	if (bpf_probe_read_user(&g->data[off], n & 2047, (void *)from)) {
		g->late = 1;
		return off;
	}
	g->len[i] = n;
	return off + n;
}

#define X32 0x40000000 /* is added to the number of a 64-bit call */

/* compat: a 32-bit system call, whose number means another one. */
static __always_inline bool compat(struct task_struct *t, long nr)
{
#ifdef __TARGET_ARCH_x86
	return t->thread_info.status & 2 || nr & X32;
#else
	return t->thread_info.flags >> 22 & 1;
#endif
}

/* read_args takes the registers from the program's context: they are read without a helper then. */
static __always_inline void read_args(u64 *args, struct pt_regs *r)
{
#ifdef __TARGET_ARCH_x86
	args[0] = r->di;
	args[1] = r->si;
	args[2] = r->dx;
	args[3] = r->r10;
	args[4] = r->r8;
	args[5] = r->r9;
#else
	args[0] = r->orig_x0;
	args[1] = r->regs[1];
	args[2] = r->regs[2];
	args[3] = r->regs[3];
	args[4] = r->regs[4];
	args[5] = r->regs[5];
#endif
}

/* first_arg32 is the first of a 32-bit system call. */
static __always_inline u32 first_arg32(struct pt_regs *r)
{
#ifdef __TARGET_ARCH_x86
	return r->bx;
#else
	return r->orig_x0;
#endif
}

/* first_arg is the first of them, and number the system call when it returns. */
static __always_inline u64 first_arg(struct pt_regs *r)
{
#ifdef __TARGET_ARCH_x86
	return r->di;
#else
	return r->orig_x0;
#endif
}

static __always_inline long number(struct pt_regs *r)
{
#ifdef __TARGET_ARCH_x86
	return r->orig_ax;
#else
	return r->syscallno;
#endif
}

/* file_of is the file that a descriptor of the current task stands for. */
static __always_inline struct file *file_of(struct task_struct *t, u32 fd)
{
	struct fdtable *fdt;
	struct file *f = NULL;

	if (!t->files)
		return NULL;
	fdt = t->files->fdt;
	if (fd >= fdt->max_fds)
		return NULL;
	bpf_probe_read_kernel(&f, sizeof(f), fdt->fd + fd);
	return f;
}

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * How containers come to be: what tasks do to namespaces, as records in a ring buffer. Only BTF tracepoints are used: they
 * need neither kprobes nor tracefs, and are gone the moment the descriptors are.
 *
 * Two of the programs run at every system call of the host. They leave for those that are not of interest by the number
 * alone, and for a write by reads of memory: no other helper is called, and no map looked up.
 *
 * What a system call was given by pointers is read at its entry, so that another thread cannot have changed it since. A page
 * that was never used before is not there then: what is on it is read at the return, and marked.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "syscalls.h"
#include "event.h"
#include "denied.h"
#include "idmaps.h"
#include "given.h"
#include "wanted.h"

/* How many of the pending calls are writes to id maps: while there are none, a write that returns is not looked for. */
u64 map_writes;

/* pending_of is the call that a thread is in, or NULL. */
static __always_inline struct pending *pending_of(struct task_struct *t)
{
	struct pending *p = bpf_task_storage_get(&pending, t, NULL, 0);

	return p && p->going ? p : NULL;
}

/* forget ends a call that a thread was in. */
static __always_inline void forget(struct pending *p, struct task_struct *t)
{
	p->going = 0;
	if (p->map)
		__sync_fetch_and_add(&map_writes, -1);
	if (p->kept == GIVEN_LONG)
		bpf_task_storage_delete(&given_long, t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/task_newtask")
int newtask(u64 *ctx)
{
	struct task_struct *child = (void *)ctx[0], *t = (void *)bpf_get_current_task_btf();
	u64 flags = ctx[1];
	struct pending *p;
	struct event *e;

	if (flags & CLONE_THREAD)
		return 0;
	e = new_event(CLONE);
	if (!e)
		return 0;
	p = pending_of(t);
	if (p)
		e->nr = p->nr;
	e->args[0] = flags;
	e->before = e->after;
	e->x[0] = child->tgid;
	e->x[1] = read_ns(&e->after, child);
	e->x[2] = child->real_parent->tgid;
	send(e, 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int exec(u64 *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct linux_binprm *b = (void *)ctx[2];
	u32 off = 0;
	struct pending *p;
	struct event *e = new_event(EXEC);
	u64 start;
	long n;

	if (!e)
		return 0;
	p = pending_of(t);
	e->before = e->after;
	if (p) {
		e->before = p->before;
		e->nr = p->nr;
		forget(p, t);
	}
	n = bpf_probe_read_kernel_str(e->given.data, STRING, b->filename);
	if (n > 0)
		off = e->given.len[0] = n;
	start = t->mm->arg_start;
	e->x[0] = t->mm->arg_end - start;
	off = bytes(&e->given, off, 1, start, e->x[0]);
	e->given.late = 0; /* nobody else has that memory yet */
	send(e, off);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct pending *p = pending_of(t);
	struct event *e;

	if (p)
		forget(p, t);
	if (t->signal->live.counter > 0)
		return 0;
	e = new_event(EXIT);
	if (!e)
		return 0;
	e->before = e->after;
	e->ret = t->signal->flags & SIGNAL_GROUP_EXIT ? t->signal->group_exit_code : t->group_leader->exit_code;
	/* The name of the process is its leader's. */
	bpf_probe_read_kernel(e->comm, sizeof(e->comm), &t->group_leader->comm);
	send(e, 0);
	return 0;
}

/* ignored: a call of that number that is none of ours, by its arguments. */
static __always_inline bool ignored(long nr, struct pt_regs *r)
{
	u64 first = first_arg(r);

	switch (nr) {
	case NR_prctl:
		return (u32)first != PR_SET_NAME;
	case NR_clone:
		return first & CLONE_THREAD;
	case NR_clone3: {
		u64 flags = 0;
		bpf_probe_read_user(&flags, sizeof(flags), (void *)first);
		return flags & CLONE_THREAD;
	}
	}
	return 0;
}

/* ns_of_fd is the inode of the namespace that a descriptor stands for, or 0. */
static __always_inline u32 ns_of_fd(struct task_struct *t, u32 fd)
{
	struct file *f = file_of(t, fd);

	if (!f || BPF_CORE_READ(f, f_inode, i_sb, s_magic) != NSFS_MAGIC)
		return 0;
	return BPF_CORE_READ(f, f_inode, i_ino);
}

/* begin takes note of a call, and of the thread before it. It is NULL for a write to anything but an id map. */
static __always_inline struct pending *begin(struct task_struct *t, long nr, struct pt_regs *r)
{
	struct file *f = NULL;
	struct pending *p;
	u32 map = 0;

	if (is_write(nr)) {
		f = file_of(t, first_arg(r));
		map = map_file(f);
		if (!map)
			return NULL;
	}
	p = bpf_task_storage_get(&pending, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!p) {
		lose(LOST_PENDING);
		return NULL;
	}
	if (p->going) /* its return was not seen */
		forget(p, t);
	p->going = 1;
	read_args(p->args, r);
	p->nr = nr;
	p->file = (u64)f;
	p->map = map;
	if (map)
		__sync_fetch_and_add(&map_writes, 1);
	p->ns = p->kept = 0;
	ns_of_current(&p->before);
	bpf_get_current_comm(p->comm, sizeof(p->comm));
	if (nr == NR_setns) {
		p->ns = ns_of_fd(t, p->args[0]);
	} else if (nr == NR_mount_setattr) {
		u64 attr[4] = {};
		bpf_probe_read_user(attr, sizeof(attr), (void *)p->args[3]);
		if (attr[0] & MOUNT_ATTR_IDMAP)
			p->ns = ns_of_fd(t, attr[3]);
	}
	return p;
}

SEC("tp_btf/sys_enter")
int enter(u64 *ctx)
{
	struct pt_regs *r = (void *)ctx[0];
	long nr = ctx[1];
	struct task_struct *t;
	struct pending *p;

	if (!wanted(nr))
		return 0;
	t = (void *)bpf_get_current_task_btf();
	if (compat(t, nr) || ignored(nr, r)) /* leave counts the former */
		return 0;
	p = begin(t, nr, r);
	if (p)
		keep_given(p, t);
	return 0;
}

/* unread32 reports whether a 32-bit system call that returns is one that nobody tells of. */
static __always_inline bool unread32(struct task_struct *t, long nr, struct pt_regs *r, s64 ret)
{
	if (nr & X32)
		return wanted(nr & ~X32);
	switch (nr) {
	case NR32_write:
	case NR32_pwrite64:
	case NR32_writev:
	case NR32_pwritev:
	case NR32_pwritev2:
		return map_file(file_of(t, first_arg32(r)));
	case NR32_prctl:
		return first_arg32(r) == PR_SET_NAME;
	case NR32_fork: /* newtask and exec have told of what succeeds */
	case NR32_vfork:
	case NR32_clone:
	case NR_clone3:
	case NR32_execve:
	case NR32_execveat:
		return ret < 0;
	}
	return wanted32(nr);
}

/* filtered reports whether seccomp(2) may refuse a system call of a task (SECCOMP_MODE_FILTER). */
static __always_inline bool filtered(struct task_struct *t)
{
	return bpf_core_field_exists(t->seccomp.mode) && t->seccomp.mode == 2;
}

SEC("tp_btf/sys_exit")
int leave(u64 *ctx)
{
	struct pt_regs *r = (void *)ctx[0];
	struct pending *entered, *p;
	struct task_struct *t;
	struct event *e;
	u32 off;
	s64 ret = ctx[1];
	long nr = number(r);

	if (!(nr & X32) && !wanted32(nr)) { /* as a 32-bit call it is none of those that are counted */
		if (!wanted(nr))
			return 0;
		if (is_write(nr)) {
			if (ret >= 0 && !map_writes)
				return 0;
		} else if (nr != NR_clone3 && ignored(nr, r)) { /* what a clone3 points to may have changed */
			return 0;
		}
	}
	t = (void *)bpf_get_current_task_btf();
	if (compat(t, nr)) {
		if (unread32(t, nr, r, ret))
			lose(LOST_COMPAT);
		return 0;
	}
	if (!wanted(nr))
		return 0;
	p = entered = pending_of(t);
	if (!p) {
		/* A call that seccomp(2) refuses is never entered. One that was entered before the trace began is not told either. */
		if (ret >= 0 || ret < -4095 || !filtered(t) || ignored(nr, r))
			return 0;
		p = begin(t, nr, r);
		if (!p)
			return 0;
	}
	nr = p->nr;
	/* What newtask and exec have told already. */
	switch (nr) {
	case NR_clone:
	case NR_clone3:
#ifdef NR_fork
	case NR_fork:
	case NR_vfork:
#endif
	case NR_execve:
	case NR_execveat:
		if (ret >= 0)
			goto out;
	}
	e = new_event(SYSCALL);
	if (!e)
		goto out;
	e->nr = nr;
	e->ret = ret;
	e->before = p->before;
	e->seccomp = !entered;
	e->x[0] = p->ns;
	__builtin_memcpy(e->args, p->args, sizeof(e->args));
	__builtin_memcpy(e->comm, p->comm, sizeof(e->comm));
	off = add_given(e, p, t);
	if (is_write(nr)) {
		off = map_facts(e, off, p, ret);
	} else if (nr == NR_mount) {
		int fd = fd_of_path(&e->given);
		if (fd >= 0)
			off = base_names(e, off, 4, t, fd);
	}
	send(e, off);
out:
	forget(p, t);
	return 0;
}

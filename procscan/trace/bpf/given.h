/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What system calls are given by pointers: read at their entry, and kept for their return. */
#pragma once

/* map_content is what is written to an id map. */
static __always_inline u32 map_content(struct given *g, struct pending *p)
{
	u64 from = p->args[1], n = p->args[2];

	if (is_writev(p->nr)) {
		u64 iov[2] = {};
		if (bpf_probe_read_user(iov, sizeof(iov), (void *)from))
			g->late = 1;
		from = iov[0];
		n = iov[1];
	}
	if (n > CONTENT)
		n = CONTENT;
	if (bpf_probe_read_user(g->data, n & CONTENT, (void *)from)) {
		g->late = 1;
		n = 0;
	}
	g->len[0] = n;
	return n;
}

/* given_to reads what a call was given by pointers, and returns the size. */
static __always_inline u32 given_to(struct given *g, struct pending *p)
{
	u32 off = 0;

	switch (p->nr) {
	case NR_write:
	case NR_pwrite64:
	case NR_writev:
	case NR_pwritev:
	case NR_pwritev2:
		return map_content(g, p);
	case NR_clone3:
		return bytes(g, 0, 0, p->args[0], 88);
	case NR_prctl:
	case NR_execveat:
	case NR_move_mount:
	case NR_open_tree:
	case NR_mount_setattr:
		off = text(g, 0, 0, p->args[1]);
		if (p->nr == NR_move_mount)
			off = text(g, off, 1, p->args[3]);
		if (p->nr == NR_mount_setattr)
			off = bytes(g, off, 1, p->args[3], 32);
		return off;
	case NR_setgroups:
		return bytes(g, 0, 0, p->args[1], (p->args[0] & 0xffff) * 4);
	case NR_execve:
	case NR_chroot:
	case NR_umount2:
	case NR_fsopen:
		return text(g, 0, 0, p->args[0]);
	case NR_pivot_root:
	case NR_mount:
		off = text(g, 0, 0, p->args[0]);
		off = text(g, off, 1, p->args[1]);
		if (p->nr == NR_mount) {
			off = text(g, off, 2, p->args[2]);
			off = text(g, off, 3, p->args[4]);
		}
		return off;
	}
	return 0;
}

/* keep_given keeps that for the return of the call. */
static __always_inline void keep_given(struct pending *p, struct task_struct *t)
{
	u32 kind = ENTRY;
	struct event *e = bpf_map_lookup_elem(&scratch, &kind);
	struct given *g;
	void *kept;

	if (!e)
		return;
	g = &e->given;
	__builtin_memset(g, 0, __builtin_offsetof(struct given, data));
	g->used = given_to(g, p);
	if (!g->used || g->late)
		return;
	if (g->used <= SHORT) {
		__builtin_memcpy(&p->given, g, sizeof(p->given));
		p->kept = GIVEN_SHORT;
		return;
	}
	kept = bpf_task_storage_get(&given_long, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (kept) { /* else it is read at the return */
		bpf_probe_read_kernel(kept, sizeof(struct given_long), g);
		p->kept = GIVEN_LONG;
	}
}

/* add_given appends what the call was given, as it was at its entry, or else as it is now. */
static __always_inline u32 add_given(struct event *e, struct pending *p, struct task_struct *t)
{
	void *g;
	u32 off;

	if (p->kept == GIVEN_SHORT) {
		__builtin_memcpy(&e->given, &p->given, sizeof(p->given));
		return e->given.used;
	}
	if (p->kept == GIVEN_LONG) {
		g = bpf_task_storage_get(&given_long, t, NULL, 0);
		if (g) {
			bpf_probe_read_kernel(&e->given, sizeof(struct given_long), g);
			return e->given.used;
		}
	}
	off = given_to(&e->given, p);
	e->given.late = off != 0;
	return off;
}

/* fd_of_path is the descriptor that a path /proc/self/fd/N names, as runc calls where it mounts, or -1. */
static __always_inline int fd_of_path(struct given *g)
{
	char p[20] = {}, want[14] = "/proc/self/fd/";
	int i, fd = 0;

	if (bpf_probe_read_kernel_str(p, sizeof(p), &g->data[g->len[0] & CONTENT]) < 16)
		return -1;
	for (i = 0; i < 14; i++)
		if (p[i] != want[i])
			return -1;
	for (i = 14; i < 19; i++) {
		if (!p[i])
			return fd;
		if (p[i] < '0' || p[i] > '9')
			return -1;
		fd = fd * 10 + p[i] - '0';
	}
	return -1;
}

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the kernel refused of file system calls, and for the lack of which capability. These programs are attached instead of
 * those that follow namespaces.
 */
#pragma once

#define AT_FDCWD -100
#define AF_UNIX 1
#define CAP_SYS_ADMIN 21
#define EPERM 1
#define EACCES 13
#define EROFS 30
#define EOVERFLOW 75

/* Which arguments of a system call are paths, by its number; bpf_calls.go fills it. An argument is counted from 1, 0 is none. */
struct fs_call { u8 wanted, dir, path, dir2, path2, unused[3]; };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, struct fs_call);
} fs_calls SEC(".maps");

/* A file system call that is going on, with the last capability that it was refused; none where going is 0. */
#define STACK 12
struct asking {
	u32 going, nr, caps; /* caps: how many were refused */
	u32 cap[4];
	u32 target; /* the user namespace in which the capability was asked */
	u64 stack[STACK];
};
/* It lies with the thread, as pending does. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct asking);
} asked SEC(".maps");

/* asking_of is the file system call that a thread is in, or NULL. */
static __always_inline struct asking *asking_of(struct task_struct *t)
{
	struct asking *a = bpf_task_storage_get(&asked, t, NULL, 0);

	return a && a->going ? a : NULL;
}

SEC("tp_btf/sys_enter")
int fs_enter(u64 *ctx)
{
	struct task_struct *t;
	struct fs_call *c;
	struct asking *a;
	u32 nr = ctx[1];

	c = bpf_map_lookup_elem(&fs_calls, &nr);
	if (!c || !c->wanted)
		return 0;
	t = (void *)bpf_get_current_task_btf();
	if (compat(t, nr)) /* fs_leave counts those that are refused */
		return 0;
	a = bpf_task_storage_get(&asked, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!a) {
		lose(LOST_PENDING);
		return 0;
	}
	__builtin_memset(a, 0, sizeof(*a));
	a->going = 1;
	a->nr = nr;
	return 0;
}

SEC("tp_btf/cap_capable")
int capable(u64 *ctx)
{
	struct user_namespace *target = (void *)ctx[1];
	int cap = ctx[3], ret = ctx[4];
	struct asking *a;
	u32 n;

	if (!ret)
		return 0;
	a = asking_of((void *)bpf_get_current_task_btf());
	if (!a)
		return 0;
	/* For the new stack, in cap_vm_enough_memory(): that says how much memory there is, and refuses no file. */
	if (cap == CAP_SYS_ADMIN && (a->nr == NR_execve || a->nr == NR_execveat))
		return 0;
	n = a->caps;
	if (n < 4)
		a->cap[n & 3] = cap;
	a->caps = n + 1;
	a->target = BPF_CORE_READ(target, ns.inum);
	bpf_get_stack(ctx, a->stack, sizeof(a->stack), 0);
	return 0;
}

static __always_inline struct mount *mount_of(struct vfsmount *m)
{
	return (void *)m - bpf_core_field_offset(struct mount, mnt);
}

/*
 * path_names appends the id of the mount of a path and its names, the last first, each with its NUL, up to the root of the
 * task. It ends with an empty name when it got there. Of what has been removed, or replaced by another of that name, it
 * appends nothing.
 */
NOT_STATIC u32 path_names(struct event *e, u32 off, u64 dentry, u64 mnt)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct fs_struct *fs = BPF_CORE_READ(t, fs);
	struct dentry *root = BPF_CORE_READ(fs, root.dentry), *d = (void *)dentry, *parent;
	struct vfsmount *root_mnt = BPF_CORE_READ(fs, root.mnt), *m = (void *)mnt;
	u32 id;
	int n;

	off &= CONTENT;
	if (!e || (!BPF_CORE_READ(d, d_hash.pprev) && BPF_CORE_READ(d, d_parent) != d))
		return off;
	id = BPF_CORE_READ(mount_of(m), mnt_id);
	__builtin_memcpy(&e->given.data[off], &id, sizeof(id));
	off += sizeof(id);
	for (n = 0; n < 64; n++) {
		struct mount *mount = mount_of(m);

		off &= CONTENT;
		if (off > CONTENT - 256)
			break;
		if (d == root && m == root_mnt) {
			e->given.data[off & CONTENT] = 0;
			off++;
			break;
		}
		if (d == BPF_CORE_READ(m, mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);
			if (above == mount)
				break; /* not below the root */
			d = BPF_CORE_READ(mount, mnt_mountpoint);
			m = (void *)above + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		parent = BPF_CORE_READ(d, d_parent);
		if (parent == d)
			break;
		long len = bpf_probe_read_kernel_str(&e->given.data[off & CONTENT], 256, BPF_CORE_READ(d, d_name.name));
		if (len <= 0)
			break;
		off += len;
		d = parent;
	}
	return off;
}

/* base_names is path_names of where a relative path begins. */
static __always_inline u32 base_names(struct event *e, u32 off, int i, struct task_struct *t, int fd)
{
	struct fs_struct *fs;
	struct file *f;
	u32 start = off;

	if (fd == AT_FDCWD) {
		fs = BPF_CORE_READ(t, fs);
		off = path_names(e, off, (u64)BPF_CORE_READ(fs, pwd.dentry), (u64)BPF_CORE_READ(fs, pwd.mnt));
	} else {
		f = file_of(t, fd);
		if (!f)
			return off;
		off = path_names(e, off, (u64)BPF_CORE_READ(f, f_path.dentry), (u64)BPF_CORE_READ(f, f_path.mnt));
	}
	e->given.len[i] = off - start;
	return off;
}

static __always_inline u64 arg(u64 *args, u32 n) { return n ? args[(n - 1) & 7] : 0; }

SEC("tp_btf/sys_exit")
int fs_leave(u64 *ctx)
{
	struct pt_regs *r = (void *)ctx[0];
	u32 nr = number(r), off = 0, n;
	struct asking *a;
	struct task_struct *t;
	struct fs_call *c;
	struct event *e;
	struct group_info *groups;
	struct dentry *root;
	struct vfsmount *root_mnt;
	s64 ret = ctx[1];
	bool refused = ret == -EPERM || ret == -EACCES || ret == -EROFS || ret == -EOVERFLOW;
	u64 args[8] = {}, path;

	if (refused && compat((void *)bpf_get_current_task_btf(), nr)) {
		lose(LOST_COMPAT);
		return 0;
	}
	c = bpf_map_lookup_elem(&fs_calls, &nr);
	if (!c || !c->wanted)
		return 0;
	t = (void *)bpf_get_current_task_btf();
	a = asking_of(t);
	if (!a)
		return 0;
	a->going = 0;
	if (!refused)
		return 0;
	read_args(args, r);
	path = arg(args, c->path);
	if (a->nr == NR_connect || a->nr == NR_bind) {
		u16 family = 0;
		bpf_probe_read_user(&family, sizeof(family), (void *)path);
		if (family != AF_UNIX)
			return 0; /* of no file */
		path += sizeof(family);
	}
	e = new_event(DENIED);
	if (!e)
		return 0;
	e->nr = a->nr;
	e->ret = ret;
	e->before = e->after;
	__builtin_memcpy(e->args, args, sizeof(e->args));
	if (a->nr == NR_openat2) {
		u64 how[3] = {}; /* struct open_how: flags, mode, resolve */
		bpf_probe_read_user(how, sizeof(how), (void *)args[2]);
		e->args[2] = how[0];
		e->args[3] = how[2];
	}
	e->x[0] = a->caps;
	e->x[1] = a->target;
	root = BPF_CORE_READ(t, fs, root.dentry);
	root_mnt = BPF_CORE_READ(t, fs, root.mnt);
	e->x[2] = BPF_CORE_READ(mount_of(root_mnt), mnt_id);
	if (root != BPF_CORE_READ(root_mnt, mnt_root))
		e->y = BPF_CORE_READ(root, d_inode, i_ino);
	e->x[3] = a->cap[0];
	e->x[4] = a->cap[1];
	e->x[5] = a->cap[2];
	e->x[6] = a->cap[3];
	groups = BPF_CORE_READ(t, cred, group_info);
	n = BPF_CORE_READ(groups, ngroups);
	e->x[7] = n;
	if (n > 64)
		n = 64;
	if (!bpf_probe_read_kernel(e->given.data, (n * 4) & 511, (void *)groups + bpf_core_field_offset(struct group_info, gid)))
		off = e->given.len[0] = n * 4;
	__builtin_memcpy(&e->given.data[off & 511], a->stack, sizeof(a->stack));
	e->given.len[1] = sizeof(a->stack);
	off += sizeof(a->stack);
	off = text(&e->given, off, 2, path);
	off = text(&e->given, off, 3, arg(args, c->path2));
	off = base_names(e, off, 4, t, c->dir ? (int)arg(args, c->dir) : AT_FDCWD);
	if (c->dir2 && (int)arg(args, c->dir2) != (c->dir ? (int)arg(args, c->dir) : AT_FDCWD))
		off = base_names(e, off, 5, t, (int)arg(args, c->dir2));
	send(e, off);
	return 0;
}

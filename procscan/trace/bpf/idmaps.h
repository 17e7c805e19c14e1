/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Writes to the id maps of user namespaces: which they are, and what the kernel judges them by. */
#pragma once

/* is_writev: it is given what to write in parts. */
static __always_inline bool is_writev(long nr) { return nr == NR_writev || nr == NR_pwritev || nr == NR_pwritev2; }

static __always_inline bool is_write(long nr) { return nr == NR_write || nr == NR_pwrite64 || is_writev(nr); }

/* map_file: 1 to 4 when the descriptor is /proc/PID/uid_map, gid_map, projid_map or setgroups, else 0. */
static __always_inline u32 map_file(struct file *f)
{
	char name[12] = {};

	if (!f || BPF_CORE_READ(f, f_inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(f, f_path.dentry, d_name.name));
	if (name[0] == 's' && name[1] == 'e' && name[2] == 't' && name[3] == 'g' && name[4] == 'r' && name[9] == 0 && name[8] == 's')
		return 4;
	if (name[0] == 'u' && name[1] == 'i' && name[2] == 'd' && name[3] == '_' && name[4] == 'm' && name[7] == 0)
		return 1;
	if (name[0] == 'g' && name[1] == 'i' && name[2] == 'd' && name[3] == '_' && name[4] == 'm' && name[7] == 0)
		return 2;
	if (name[0] == 'p' && name[1] == 'r' && name[2] == 'o' && name[3] == 'j' && name[4] == 'i' && name[6] == '_' && name[10] == 0)
		return 3;
	return 0;
}

/* parent_map appends the extents of the parent, by which the kernel has judged a map. */
static __always_inline u32 parent_map(struct event *e, u32 off, struct user_namespace *parent, u32 file)
{
	struct uid_gid_map *m = (void *)parent + (file == 2 ? bpf_core_field_offset(struct user_namespace, gid_map) :
							       bpf_core_field_offset(struct user_namespace, uid_map));
	u32 n = BPF_CORE_READ(m, nr_extents);
	void *from = (void *)m + bpf_core_field_offset(struct uid_gid_map, extent);

	if (n > 5)
		from = BPF_CORE_READ(m, forward);
	if (n > 340)
		n = 340;
	n *= sizeof(struct uid_gid_extent);
	off &= CONTENT;
	if (!parent || bpf_probe_read_kernel(&e->given.data[off], n & CONTENT, from))
		return off;
	e->given.len[1] = n;
	return off + n;
}

/* map_facts tells by what the kernel judges a write to an id map. */
static __always_inline u32 map_facts(struct event *e, u32 off, struct pending *p, s64 ret)
{
	struct file *f = (void *)p->file;
	struct inode *inode = BPF_CORE_READ(f, f_inode);
	struct pid *target;
	struct seq_file *seq = BPF_CORE_READ(f, private_data);
	struct user_namespace *ns;
	const struct cred *opener = BPF_CORE_READ(f, f_cred);
	struct upid up = {};

	e->kind = MAP;
	e->x[7] = p->map;
	if (map_file(f) != p->map)
		return off; /* another thread has closed it meanwhile */
	target = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	target = BPF_CORE_READ((struct proc_inode *)target, pid);
	bpf_probe_read_kernel(&up, bpf_core_type_size(struct upid), (void *)target + bpf_core_field_offset(struct pid, numbers));
	e->x[0] = up.nr;
	ns = BPF_CORE_READ(seq, private); /* proc_id_map_open and proc_setgroups_open put it there */
	e->x[1] = BPF_CORE_READ(ns, ns.inum);
	e->x[2] = BPF_CORE_READ(ns, parent, ns.inum);
	e->x[3] = BPF_CORE_READ(ns, owner.val);
	e->x[4] = BPF_CORE_READ(opener, user_ns, ns.inum);
	e->x[5] = BPF_CORE_READ(opener, euid.val);
	e->x[6] = BPF_CORE_READ(opener, egid.val);
	e->x[7] |= (BPF_CORE_READ(ns, uid_map.nr_extents) ? 16 : 0) | (BPF_CORE_READ(ns, gid_map.nr_extents) ? 32 : 0) |
		   (BPF_CORE_READ(ns, flags) & USERNS_SETGROUPS_ALLOWED ? 64 : 0) | (BPF_CORE_READ(ns, parent_could_setfcap) ? 128 : 0);
	bpf_probe_read_kernel(&e->y, sizeof(e->y), &opener->cap_effective);
	return ret < 0 ? parent_map(e, off, BPF_CORE_READ(ns, parent), p->map) : off;
}

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The fields of the kernel's structures that trace.bpf.c reads. Where they are in the running kernel is filled in when the
 * program is loaded, from the kernel's BTF (CO-RE), so only names and types count here.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef s32 __s32;
typedef u64 __u64;
typedef s64 __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define NULL ((void *)0)

enum bpf_map_type_needed {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
	BPF_ANY = 0,
	BPF_F_NO_PREALLOC = 1,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RINGBUF_HDR_SZ = 8,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common { unsigned int inum; };
struct user_namespace;
typedef struct { u32 val; } kuid_t;
typedef struct { u32 val; } kgid_t;

typedef struct { u64 val; } kernel_cap_t;
struct cred {
	kuid_t uid, suid, euid, fsuid;
	kgid_t gid, sgid, egid, fsgid;
	kernel_cap_t cap_effective; /* read as one number: it was two of 32 bits once */
	struct user_namespace *user_ns;
	struct group_info *group_info;
};
struct uid_gid_extent { u32 first, lower_first, count; };
struct uid_gid_map {
	u32 nr_extents;
	union {
		struct uid_gid_extent extent[5];
		struct { struct uid_gid_extent *forward, *reverse; };
	};
};
struct user_namespace {
	struct uid_gid_map uid_map, gid_map, projid_map;
	struct user_namespace *parent;
	kuid_t owner;
	struct ns_common ns;
	unsigned long flags;
	bool parent_could_setfcap;
};
struct uts_namespace { struct ns_common ns; };
struct ipc_namespace { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct pid_namespace { struct ns_common ns; };
struct net { struct ns_common ns; };
struct time_namespace { struct ns_common ns; };
struct cgroup_namespace { struct ns_common ns; };
struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct time_namespace *time_ns_for_children;
	struct cgroup_namespace *cgroup_ns;
};
struct upid { int nr; struct pid_namespace *ns; };
struct pid {
	unsigned int level;
	struct upid numbers[1];
};
typedef struct { int counter; } atomic_t;
struct task_struct;
struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
};
struct super_block { unsigned long s_magic; };
struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};
struct qstr { const unsigned char *name; };
struct hlist_bl_node { struct hlist_bl_node **pprev; };
struct dentry {
	struct hlist_bl_node d_hash;
	struct qstr d_name;
	struct dentry *d_parent;
	struct inode *d_inode;
};
struct vfsmount { struct dentry *mnt_root; };
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	int mnt_id;
};
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct fs_struct { int umask; struct path root, pwd; };
struct group_info { int ngroups; kgid_t gid[1]; };
struct file {
	void *private_data;
	struct inode *f_inode;
	const struct cred *f_cred;
	struct path f_path;
};
struct seq_file { void *private; };
struct proc_inode { struct pid *pid; struct inode vfs_inode; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct mm_struct { unsigned long arg_start, arg_end; };
struct linux_binprm { const char *filename; };
struct thread_info { unsigned long flags; u32 status; };
struct seccomp { int mode; };
struct task_struct {
	struct thread_info thread_info;
	int pid, tgid;
	int exit_code;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct nsproxy *nsproxy;
	const struct cred *cred;
	struct files_struct *files;
	struct fs_struct *fs;
	struct mm_struct *mm;
	struct seccomp seccomp;
	char comm[16];
};

#ifdef __TARGET_ARCH_x86
struct pt_regs { unsigned long bx, di, si, dx, r10, r8, r9, orig_ax; };
#else
struct pt_regs { u64 regs[31]; u64 orig_x0; s32 syscallno; };
#endif

#pragma clang attribute pop

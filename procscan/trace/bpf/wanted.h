/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The system calls that are shown, by their numbers. Every call of the host is looked up here: in tables, which takes one
 * branch where a switch takes several.
 */
#pragma once

static const bool shown[512] = {
#ifdef NR_fork
	[NR_fork] = 1, [NR_vfork] = 1,
#endif
	[NR_write] = 1, [NR_pwrite64] = 1, [NR_writev] = 1, [NR_pwritev] = 1, [NR_pwritev2] = 1,
	[NR_clone] = 1, [NR_clone3] = 1, [NR_execve] = 1, [NR_execveat] = 1,
	[NR_setuid] = 1, [NR_setgid] = 1, [NR_setreuid] = 1, [NR_setregid] = 1,
	[NR_setgroups] = 1, [NR_setresuid] = 1, [NR_setresgid] = 1, [NR_setfsuid] = 1,
	[NR_setfsgid] = 1, [NR_pivot_root] = 1, [NR_prctl] = 1, [NR_chroot] = 1,
	[NR_mount] = 1, [NR_umount2] = 1, [NR_unshare] = 1, [NR_setns] = 1,
	[NR_open_tree] = 1, [NR_move_mount] = 1, [NR_fsopen] = 1, [NR_fsmount] = 1,
	[NR_mount_setattr] = 1,
};

static __always_inline bool wanted(u64 nr) { return nr < sizeof(shown) && shown[nr]; }

/* Those of 32-bit programs that would be shown if they could be read. */
static const bool shown32[512] = {
	[NR32_fork] = 1, [NR32_vfork] = 1, [NR32_clone] = 1, [NR32_execve] = 1,
	[NR32_execveat] = 1, [NR32_write] = 1, [NR32_pwrite64] = 1, [NR32_writev] = 1, [NR32_pwritev] = 1, [NR32_pwritev2] = 1,
	[NR32_mount] = 1, [NR32_umount] = 1, [NR32_umount2] = 1, [NR32_setuid16] = 1,
	[NR32_setgid16] = 1, [NR32_chroot] = 1, [NR32_setreuid16] = 1, [NR32_setregid16] = 1,
	[NR32_setgroups16] = 1, [NR32_setfsuid16] = 1, [NR32_setfsgid16] = 1, [NR32_setresuid16] = 1,
	[NR32_setresgid16] = 1, [NR32_prctl] = 1, [NR32_setreuid] = 1, [NR32_setregid] = 1,
	[NR32_setgroups] = 1, [NR32_setresuid] = 1, [NR32_setresgid] = 1, [NR32_setuid] = 1,
	[NR32_setgid] = 1, [NR32_setfsuid] = 1, [NR32_setfsgid] = 1, [NR32_pivot_root] = 1,
	[NR32_unshare] = 1, [NR32_setns] = 1, [NR_clone3] = 1, [NR_open_tree] = 1,
	[NR_move_mount] = 1, [NR_fsopen] = 1, [NR_fsmount] = 1, [NR_mount_setattr] = 1,
};

static __always_inline bool wanted32(u64 nr) { return nr < sizeof(shown32) && shown32[nr]; }

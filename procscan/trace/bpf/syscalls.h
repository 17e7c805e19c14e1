/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* System call numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
#pragma once

#ifdef __TARGET_ARCH_x86
#define NR_write 1
#define NR_pwrite64 18
#define NR_writev 20
#define NR_connect 42
#define NR_bind 49
#define NR_clone 56
#define NR_fork 57
#define NR_vfork 58
#define NR_execve 59
#define NR_setuid 105
#define NR_setgid 106
#define NR_setreuid 113
#define NR_setregid 114
#define NR_setgroups 116
#define NR_setresuid 117
#define NR_setresgid 119
#define NR_setfsuid 122
#define NR_setfsgid 123
#define NR_pivot_root 155
#define NR_prctl 157
#define NR_chroot 161
#define NR_mount 165
#define NR_umount2 166
#define NR_unshare 272
#define NR_setns 308
#define NR_execveat 322
#else
#define NR_umount2 39
#define NR_mount 40
#define NR_pivot_root 41
#define NR_chroot 51
#define NR_write 64
#define NR_writev 66
#define NR_pwrite64 68
#define NR_unshare 97
#define NR_setregid 143
#define NR_setgid 144
#define NR_setreuid 145
#define NR_setuid 146
#define NR_setresuid 147
#define NR_setresgid 149
#define NR_setfsuid 151
#define NR_setfsgid 152
#define NR_setgroups 159
#define NR_prctl 167
#define NR_bind 200
#define NR_connect 203
#define NR_clone 220
#define NR_execve 221
#define NR_setns 268
#define NR_execveat 281
#endif
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsmount 432
#define NR_clone3 435
#define NR_openat2 437
#define NR_mount_setattr 442

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
#define NR_pwritev 296
#define NR_pwritev2 328
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
#define NR_pwritev 70
#define NR_pwritev2 287
#endif
/* Those of 32-bit programs: arch/x86/entry/syscalls/syscall_32.tbl and arch/arm64/tools/syscall_32.tbl. */
#define NR32_fork 2
#define NR32_write 4
#define NR32_execve 11
#define NR32_mount 21
#define NR32_umount 22
#define NR32_setuid16 23
#define NR32_setgid16 46
#define NR32_umount2 52
#define NR32_chroot 61
#define NR32_setreuid16 70
#define NR32_setregid16 71
#define NR32_setgroups16 81
#define NR32_clone 120
#define NR32_setfsuid16 138
#define NR32_setfsgid16 139
#define NR32_writev 146
#define NR32_setresuid16 164
#define NR32_setresgid16 170
#define NR32_prctl 172
#define NR32_pwrite64 181
#define NR32_vfork 190
#define NR32_setreuid 203
#define NR32_setregid 204
#define NR32_setgroups 206
#define NR32_setresuid 208
#define NR32_setresgid 210
#define NR32_setuid 213
#define NR32_setgid 214
#define NR32_setfsuid 215
#define NR32_setfsgid 216
#ifdef __TARGET_ARCH_x86
#define NR32_pivot_root 217
#define NR32_unshare 310
#define NR32_setns 346
#define NR32_execveat 358
#define NR32_pwritev 334
#define NR32_pwritev2 379
#else
#define NR32_pivot_root 218
#define NR32_unshare 337
#define NR32_setns 375
#define NR32_execveat 387
#define NR32_pwritev 362
#define NR32_pwritev2 393
#endif

/* The newer ones are the same everywhere. */
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsmount 432
#define NR_clone3 435
#define NR_openat2 437
#define NR_mount_setattr 442

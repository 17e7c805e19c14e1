package trace

import "golang.org/x/sys/unix"

// nativeArch is what a system call that is no 32-bit one is of.
const nativeArch = unix.AUDIT_ARCH_AARCH64

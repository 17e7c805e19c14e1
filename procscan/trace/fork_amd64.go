package trace

import "golang.org/x/sys/unix"

func isFork(nr uint32) bool  { return nr == unix.SYS_FORK }
func isVfork(nr uint32) bool { return nr == unix.SYS_VFORK }

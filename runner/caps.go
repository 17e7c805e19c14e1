package runner

import (
	"fmt"
	"slices"
	"strings"
)

// capNames are the capabilities by number (capabilities(7), include/uapi/linux/capability.h).
func capNames() []string {
	return []string{
		"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
		"linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
		"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
		"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
		"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
		"checkpoint_restore",
	}
}

// allCaps is every bit a capability set can have.
const allCaps = ^uint64(0)

// parseCaps reads names of capabilities (with or without CAP_, any case) and "all" into a set.
func parseCaps(names []string) (uint64, error) {
	var set uint64
	for _, name := range names {
		bare := strings.TrimPrefix(strings.ToLower(name), "cap_")
		if bare == "all" {
			set = allCaps
			continue
		}
		n := slices.Index(capNames(), bare)
		if n < 0 {
			return 0, fmt.Errorf("%q is not a capability", name)
		}
		set |= 1 << n
	}
	return set, nil
}

func capList(set uint64) string {
	if set == 0 {
		return "none"
	}
	var names []string
	for n, name := range capNames() {
		if set&(1<<n) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == len(capNames()) {
		return "all"
	}
	return strings.Join(names, ",")
}

// Capabilities by number, of those that a plan asks about.
const (
	capSetgid    = 6
	capSetuid    = 7
	capSetpcap   = 8
	capSysChroot = 18
	capSysAdmin  = 21
	capSysTime   = 25
	capSetfcap   = 31
)

func capHas(set uint64, n int) bool { return set&(1<<n) != 0 }

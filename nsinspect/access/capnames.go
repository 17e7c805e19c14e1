package access

import (
	"fmt"
	"slices"
	"strings"
)

// capabilityList are the capabilities by number (capabilities(7), include/uapi/linux/capability.h), without CAP_.
const capabilityList = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP " +
	"LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER " +
	"SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE " +
	"SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP " +
	"MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"

// EveryCap is the set of all capabilities that Linux 6.18 has.
const EveryCap uint64 = 1<<41 - 1

// CapNames lists a set by name ("CAP_CHOWN"), in the kernel's order. One that has no name yet is "CAP_" and its number.
func CapNames(set uint64) []string {
	names := []string{}
	known := strings.Fields(capabilityList)
	for n := range 64 {
		switch {
		case set>>n&1 == 0:
		case n < len(known):
			names = append(names, "CAP_"+known[n])
		default:
			names = append(names, fmt.Sprintf("CAP_%d", n))
		}
	}
	return names
}

// CapSet is the set of capabilities with these names: "CAP_CHOWN", "ALL" for every one, and with a minus sign what is taken
// away again. Names that are none are passed over.
func CapSet(names []string) uint64 {
	var set uint64
	known := strings.Fields(capabilityList)
	for _, name := range names {
		bare, less := strings.CutPrefix(name, "-")
		one := uint64(0)
		if bare == "ALL" {
			one = EveryCap
		} else if n := slices.Index(known, strings.TrimPrefix(bare, "CAP_")); n >= 0 {
			one = 1 << n
		}
		if less {
			set &^= one
		} else {
			set |= one
		}
	}
	return set
}

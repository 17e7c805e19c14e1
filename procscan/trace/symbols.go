package trace

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"os"
	"slices"
	"strconv"
	"strings"
)

// symbol is a function of the kernel.
type symbol struct {
	address uint64
	name    string
}

// symbols are the functions of the running kernel, by address.
type symbols []symbol

// readSymbols reads /proc/kallsyms. Without CAP_SYSLOG its addresses are 0: then nothing is found.
func readSymbols() symbols {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return nil // the kernel's reason then stays without the names of its functions
	}
	defer f.Close()
	var list symbols
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[1] != "t" && fields[1] != "T" {
			continue
		}
		if address, err := strconv.ParseUint(fields[0], 16, 64); err == nil && address != 0 {
			list = append(list, symbol{address, fields[2]})
		}
	}
	slices.SortFunc(list, func(a, b symbol) int { return cmp.Compare(a.address, b.address) })
	return list
}

// checkOf names the functions that asked for a capability, innermost first, without those that every such question goes
// through and up to where the system call begins.
func (list symbols) checkOf(stack []byte) []string {
	var check []string
	for ; len(stack) >= 8; stack = stack[8:] {
		name := list.at(binary.LittleEndian.Uint64(stack))
		switch {
		case name == "" || strings.HasPrefix(name, "bpf_") || strings.HasPrefix(name, "__bpf_") || strings.Contains(name, "_trace_") || strings.HasPrefix(name, "__traceiter_"):
			continue
		case strings.Contains(name, "capable"): // cap_capable, security_capable, ns_capable, capable_wrt_inode_uidgid, ...
			continue
		case strings.Contains(name, "_sys_") || strings.HasPrefix(name, "do_syscall"):
			return check
		}
		check = append(check, name)
	}
	return check
}

// at is the function that an address is in, "" when none is known.
func (list symbols) at(address uint64) string {
	i, found := slices.BinarySearchFunc(list, address, func(s symbol, a uint64) int { return cmp.Compare(s.address, a) })
	if !found {
		i--
	}
	if i < 0 || address == 0 {
		return ""
	}
	return list[i].name
}

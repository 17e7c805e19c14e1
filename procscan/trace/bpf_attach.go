package trace

import (
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// attach attaches a program to the tracepoint that it was loaded for (BPF_RAW_TRACEPOINT_OPEN of bpf(2) without a name, Linux
// 5.5). It ends with the descriptor. The library has a package for that, which makes tables at every start of nsview,
// whatever the command.
func attach(p *ebpf.Program) (fd int, err error) {
	attr := struct { // of union bpf_attr in include/uapi/linux/bpf.h
		name uint64
		fd   uint32
		_    uint32
	}{fd: uint32(p.FD())}
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_RAW_TRACEPOINT_OPEN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

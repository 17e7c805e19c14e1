package trace

import (
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// atCall is at the beginning or the end of a system call.
func (p *Ptrace) atCall(tid int, t *task) error {
	var info callInfo
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); errno != 0 {
		return nil // it has been killed
	}
	switch info.Op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		t.call = nil
		if info.Arch == nativeArch && wanted(uint32(info.Nr)) {
			t.call = p.begun(tid, &info)
		}
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		call := t.call
		t.call = nil
		if call != nil {
			return p.ended(tid, call, int64(info.Nr))
		}
	}
	return nil
}

// begun is a call with what it was given, nil for one that is none of ours by its arguments.
func (p *Ptrace) begun(tid int, info *callInfo) *record {
	r := p.record(tid, kindSyscall)
	r.Nr, r.Args = uint32(info.Nr), info.Args
	a := &r.Args
	text := func(i int, address uint64) { r.texts[i] = readText(tid, address, maxText) }
	bytes := func(i int, address, n uint64) { r.texts[i] = readMemory(tid, address, int(min(n, 4095))) }
	switch r.Nr {
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_PWRITEV2:
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(a[0]))) // a write to what is not open fails by itself
		file := 0
		for i, name := range mapFiles() {
			if i > 0 && path.Base(target) == name && len(strings.Split(target, "/")) > 2 {
				file = i
			}
		}
		if file == 0 {
			return nil
		}
		r.Kind, r.X[7] = kindMap, uint32(file)
		of, _ := strconv.Atoi(path.Base(path.Dir(target)))
		if of == int(r.Inside) {
			of = int(r.PID) // its own number in the procfs that it sees
		}
		r.X[0], r.X[1] = uint32(of), inodesOf(of).User
		from, n := a[1], a[2]
		if isWritev(r.Nr) {
			if part := readMemory(tid, from, 16); len(part) == 16 { // struct iovec
				from, n = binary.NativeEndian.Uint64(part), binary.NativeEndian.Uint64(part[8:])
			}
		}
		bytes(0, from, n)
	case unix.SYS_PRCTL:
		if a[0] != unix.PR_SET_NAME {
			return nil
		}
		text(0, a[1])
	case unix.SYS_CLONE3:
		bytes(0, a[0], min(a[1], 88))
	case unix.SYS_EXECVE, unix.SYS_CHROOT, unix.SYS_UMOUNT2, unix.SYS_FSOPEN:
		text(0, a[0])
	case unix.SYS_EXECVEAT, unix.SYS_OPEN_TREE:
		text(0, a[1])
	case unix.SYS_MOVE_MOUNT:
		text(0, a[1])
		text(1, a[3])
	case unix.SYS_MOUNT_SETATTR:
		text(0, a[1])
		bytes(1, a[3], 32)
	case unix.SYS_PIVOT_ROOT:
		text(0, a[0])
		text(1, a[1])
	case unix.SYS_MOUNT:
		text(0, a[0])
		text(1, a[1])
		text(2, a[2])
		text(3, a[4])
	case unix.SYS_SETGROUPS:
		bytes(0, a[1], min(a[0], 256)*4)
	case unix.SYS_SETNS:
		var st unix.Stat_t
		var fs unix.Statfs_t
		file := fmt.Sprintf("/proc/%d/fd/%d", tid, int32(a[0]))
		if unix.Statfs(file, &fs) == nil && fs.Type == unix.NSFS_MAGIC && unix.Stat(file, &st) == nil {
			r.X[0] = uint32(st.Ino)
		}
	}
	return r
}

// ended tells of a call that has returned.
func (p *Ptrace) ended(tid int, call *record, ret int64) error {
	if ret >= 0 && toldAtOnce(call.Nr) {
		return nil
	}
	now := p.record(tid, call.Kind)
	call.Ret, call.After, call.IDs, call.Time = ret, now.After, now.IDs, now.Time
	return p.tell(call)
}

// wanted is the calls that bpf/trace.bpf.c watches.
func wanted(nr uint32) bool {
	switch nr {
	case unix.SYS_SETUID, unix.SYS_SETGID,
		unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETGROUPS, unix.SYS_SETRESUID, unix.SYS_SETRESGID, unix.SYS_SETFSUID, unix.SYS_SETFSGID,
		unix.SYS_PIVOT_ROOT, unix.SYS_PRCTL, unix.SYS_CHROOT, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_OPEN_TREE,
		unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_MOUNT_SETATTR:
		return true
	}
	return isWrite(nr) || toldAtOnce(nr)
}

// record is who does something now, as /proc has it.
func (p *Ptrace) record(tid int, kind uint32) *record {
	now := time.Since(p.boot)
	w, _ := whoIs(tid)
	if w.pid == 0 { // it has been killed
		w.pid = uint32(tid)
		if t := p.tasks[tid]; t != nil {
			w.pid = uint32(t.pid)
		}
	}
	return w.record(kind, uint32(tid), uint64(now))
}

package trace_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/procscan/trace"
)

// base is where a program of [program32] lies in memory; at slash there it has the path "/".
const base, slash = 0x08048000, 9

// program32 is a 32-bit program that makes system calls, each a number and its arguments, and ends.
func program32(t *testing.T, calls ...[]uint32) string {
	t.Helper()
	var code []byte
	for _, call := range append(calls, []uint32{1, 0}) { // exit
		for i, v := range call {
			code = binary.LittleEndian.AppendUint32(append(code, "\xb8\xbb\xb9\xba"[i]), v) // mov to eax, ebx, ecx, edx
		}
		code = append(code, 0xcd, 0x80) // int $0x80
	}
	header := []any{ // Elf32_Ehdr and Elf32_Phdr
		[16]byte{0x7f, 'E', 'L', 'F', 1, 1, 1, slash: '/'},
		uint16(2), uint16(3), uint32(1), uint32(base + 84), uint32(52), uint32(0), uint32(0),
		uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(base), uint32(base), uint32(84 + len(code)), uint32(84 + len(code)), uint32(5), uint32(4096),
	}
	var file []byte
	for _, field := range header {
		var err error
		if file, err = binary.Append(file, binary.LittleEndian, field); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.WriteFile(program, slices.Concat(file, code), 0o755)); err != nil {
		t.Fatal(err)
	}
	return program
}

// run32 runs it as an ordinary user or as root.
func run32(t *testing.T, program string, uid uint32) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	err := cmd.Run()
	proctest.Need(t, "ia32", !errors.Is(err, unix.ENOEXEC), "the kernel executes none")
	if err != nil {
		t.Fatal(err)
	}
}

// Of the calls of 32-bit programs those are counted that would have been shown, which have other numbers.
func TestBPFCounts32BitCalls(t *testing.T) {
	program := program32(t,
		[]uint32{310, unix.CLONE_NEWUTS},      // unshare
		[]uint32{346, 0xffffffff, 0},          // setns
		[]uint32{172, unix.PR_SET_NAME, base}, // prctl
		[]uint32{172, unix.PR_GET_DUMPABLE},   // is not shown
		[]uint32{20},                          // getpid, the number of writev
		[]uint32{105},                         // getitimer, that of setuid
		[]uint32{4, 1, base, 0},               // write, to no id map
		[]uint32{11, base + 1, 0, 0},          // execve, which fails
	)
	tr := start(t)
	run32(t, program, 0)
	tr.stop()
	if lost, err := tr.source.Lost(); err != nil || lost.Compat != 4 {
		t.Errorf("%d counted of unshare, setns, prctl and execve: %v", lost.Compat, err)
	}
}

// With Denied those are counted that are refused.
func TestBPFCounts32BitRefusals(t *testing.T) {
	program := program32(t,
		[]uint32{61, base + slash}, // chroot, the number of wait4
		[]uint32{5, base, 0},       // open of what is not there, that of fstat
		[]uint32{4, 1, base, 0},    // write, that of stat
		[]uint32{2},                // fork, that of open
	)
	proctest.NeedRoot(t)
	source, err := trace.OpenBPF(trace.Options{Denied: true})
	proctest.Need(t, "bpf", err == nil, fmt.Sprint(err))
	tr := startSource(t, source)
	run32(t, program, 12345)
	tr.stop()
	if lost, err := source.Lost(); err != nil || lost.Compat != 1 {
		t.Errorf("%d counted of chroot: %v", lost.Compat, err)
	}
}

package trace_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// Of the calls of 32-bit programs those are counted that would have been shown, which have other numbers.
func TestBPFCounts32BitCalls(t *testing.T) {
	const base = 0x08048000
	var code []byte
	call := func(nr uint32, args ...uint32) {
		for i, v := range append([]uint32{nr}, args...) {
			code = binary.LittleEndian.AppendUint32(append(code, "\xb8\xbb\xb9\xba"[i]), v) // mov to eax, ebx, ecx, edx
		}
		code = append(code, 0xcd, 0x80) // int $0x80
	}
	call(310, unix.CLONE_NEWUTS)      // unshare
	call(346, 0xffffffff, 0)          // setns
	call(172, unix.PR_SET_NAME, base) // prctl
	call(172, unix.PR_GET_DUMPABLE)   // is not shown
	call(20)                          // getpid, the number of writev
	call(105)                         // getitimer, that of setuid
	call(4, 1, base, 0)               // write, to no id map
	call(11, base+1, 0, 0)            // execve, which fails
	call(1, 0)                        // exit
	header := []any{                  // Elf32_Ehdr and Elf32_Phdr
		[16]byte{0x7f, 'E', 'L', 'F', 1, 1, 1},
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
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, slices.Concat(file, code), 0o755); err != nil {
		t.Fatal(err)
	}
	tr := start(t)
	err := exec.Command(program).Run()
	proctest.Need(t, "ia32", !errors.Is(err, unix.ENOEXEC), "the kernel executes none")
	if err != nil {
		t.Fatal(err)
	}
	tr.stop()
	if lost, err := tr.source.Lost(); err != nil || lost.Compat != 4 {
		t.Errorf("%d counted of unshare, setns, prctl and execve: %v", lost.Compat, err)
	}
}

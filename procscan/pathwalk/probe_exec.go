package pathwalk

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// programHead is how much of a program the kernel reads to tell its format (BINPRM_BUF_SIZE). What a file lacks of it is
// zero.
const programHead = 256

// program reads what execve(2) reads: the format, and the interpreter, which is walked to in turn.
func (r *trail) program(self, name string) *access.Exec {
	f, err := os.OpenFile(self, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return &access.Exec{Missing: err.Error()}
	}
	defer f.Close()
	head := make([]byte, programHead)
	k, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return &access.Exec{Missing: err.Error()}
	}
	if by := r.p.registered(head, name); by != nil {
		switch {
		case by.missing != "":
			return &access.Exec{Missing: by.missing}
		case by.opened:
			return &access.Exec{Missing: "what " + by.interpreter + " does with it, which binfmt_misc keeps open"}
		}
		return &access.Exec{Format: "script", Interpreter: r.interpreter(by.interpreter)}
	}
	if bytes.HasPrefix(head, []byte("#!")) {
		name, ok := scriptInterpreter(head)
		if !ok {
			return &access.Exec{Format: "unknown"}
		}
		return &access.Exec{Format: "script", Interpreter: r.interpreter(name)}
	}
	p := r.p.parseELF(f, head, k)
	if p.Format == "unknown" && bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		p.Machine = foreignMachine(head)
		p.Broken = p.Machine == ""
	}
	if p.interpreter != "" {
		p.Interpreter = r.interpreter(p.interpreter)
	}
	return &p.Exec
}

// scriptInterpreter is load_script() (fs/binfmt_script.c). false: a line that is no script.
func scriptInterpreter(head []byte) (string, bool) {
	blank := func(c rune) bool { return c == ' ' || c == '\t' }
	line := head[2:]
	text, _, _ := bytes.Cut(line, []byte{0})
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		line = bytes.TrimRightFunc(line[:end], blank)
	} else {
		from := bytes.TrimLeftFunc(line, blank)
		if !bytes.ContainsAny(from, " \t\x00") {
			return "", false // nothing says that the name is all there
		}
	}
	name := bytes.TrimLeftFunc(line, blank)
	if len(name) == 0 {
		return "", false
	}
	if end := bytes.IndexAny(name, " \t\x00"); end >= 0 {
		name = name[:end]
	}
	return string(name), true
}

// nativeMachine is the machine of a program for this kernel, by GOARCH.
func nativeMachine() elf.Machine {
	return map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "riscv64": elf.EM_RISCV, "ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "loong64": elf.EM_LOONGARCH,
	}[runtime.GOARCH]
}

// foreignMachine names the machine that an ELF program is for, "" when that is this kernel's.
func foreignMachine(head []byte) string {
	wide := elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64
	if elf.Machine(binary.NativeEndian.Uint16(head[18:])) == nativeMachine() && (wide || !classCounts()) {
		return ""
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(head[18:]))
	name := strings.ToLower(strings.TrimPrefix(machine.String(), "EM_"))
	switch {
	case machine != nativeMachine():
		return name
	case !wide:
		return name + " with 32-bit addresses"
	}
	return name + " of the other byte order"
}

// classCounts reports whether the kernel looks at the class of a program, and not at its machine alone (elf_check_arch()
// in arch/*/include/asm/elf.h).
func classCounts() bool { return runtime.GOARCH == "riscv64" || runtime.GOARCH == "s390x" }

type parsedELF struct {
	access.Exec
	interpreter string
}

// parseELF is what load_elf_binary() asks of a program (fs/binfmt_elf.c). Sections are nothing to it. size is how much of
// head the file has.
func (p *probe) parseELF(f io.ReaderAt, head []byte, size int) parsedELF {
	refuse := func(loader, program access.Errno) parsedELF {
		return parsedELF{Exec: access.Exec{Format: "unknown", Fail: program, Loader: loader}}
	}
	var h elf.Header64
	headerSize, entrySize := binary.Size(h), binary.Size(elf.Prog64{})
	if size < headerSize {
		return refuse("EIO", "")
	}
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return refuse("ELIBBAD", "")
	}
	if elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS32 && (classCounts() || elf.Machine(binary.NativeEndian.Uint16(head[18:])) != nativeMachine()) {
		return p.parse32(head)
	}
	native := nativeMachine()
	if native == elf.EM_NONE {
		return parsedELF{Exec: access.Exec{Missing: "which ELF programs a kernel for " + runtime.GOARCH + " runs"}}
	}
	_ = binary.Read(bytes.NewReader(head), binary.NativeEndian, &h)
	phdrs := int(h.Phnum) * entrySize
	if elf.Machine(h.Machine) != native || int(h.Phentsize) != entrySize || phdrs == 0 || phdrs > 1<<16 {
		return refuse("ELIBBAD", "")
	}
	if t := elf.Type(h.Type); t != elf.ET_EXEC && t != elf.ET_DYN {
		return refuse("", "") // too late for a loader: it dies of it
	}
	table := make([]byte, phdrs)
	if _, err := f.ReadAt(table, int64(h.Phoff)); err != nil {
		return refuse("ELIBBAD", "")
	}
	for in := bytes.NewReader(table); in.Len() > 0; {
		var e elf.Prog64
		_ = binary.Read(in, binary.NativeEndian, &e)
		if elf.ProgType(e.Type) != elf.PT_INTERP {
			continue
		}
		if e.Filesz < 2 || e.Filesz > maxPath {
			return refuse("", "")
		}
		text := make([]byte, e.Filesz)
		if _, err := f.ReadAt(text, int64(e.Off)); err != nil {
			return refuse("", "EIO")
		}
		if text[len(text)-1] != 0 {
			return refuse("", "")
		}
		name, _, _ := bytes.Cut(text, []byte{0})
		return parsedELF{access.Exec{Format: "elf"}, string(name)}
	}
	return parsedELF{Exec: access.Exec{Format: "elf"}}
}

// parse32 is about the programs of a 32-bit machine: some kernels run those of their machine's elder sister.
func (p *probe) parse32(head []byte) parsedELF {
	machine := elf.Machine(binary.NativeEndian.Uint16(head[18:]))
	elder := map[string]elf.Machine{"amd64": elf.EM_386, "arm64": elf.EM_ARM, "ppc64le": elf.EM_PPC}[runtime.GOARCH]
	_, err := os.Stat(p.proc + "/sys/abi/vsyscall32")
	if machine != elder || elder == elf.EM_NONE || runtime.GOARCH == "amd64" && errors.Is(err, os.ErrNotExist) {
		return parsedELF{Exec: access.Exec{Format: "unknown", Loader: "ELIBBAD"}}
	}
	return parsedELF{Exec: access.Exec{Missing: "whether the kernel runs 32-bit programs"}}
}

// registration is a format that an administrator told the kernel of (binfmt_misc). The kernel asks these first.
type registration struct {
	interpreter string
	opened      bool // flag F: the interpreter was opened when it was registered
	missing     string
}

// registered finds the format of binfmt_misc that a program is of, nil when it is of none.
func (p *probe) registered(head []byte, name string) *registration {
	dir := p.proc + "/sys/fs/binfmt_misc"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	if status, err := os.ReadFile(dir + "/status"); err != nil || strings.TrimSpace(string(status)) != "enabled" {
		return nil
	}
	for _, e := range entries {
		if e.Name() == "status" || e.Name() == "register" {
			continue
		}
		text, err := os.ReadFile(dir + "/" + e.Name())
		if err != nil {
			return &registration{missing: "whether it is of the format " + e.Name() + " of binfmt_misc: " + err.Error()}
		}
		if found := matches(string(text), head, name); found != nil {
			return found
		}
	}
	return nil
}

// matches reads an entry of binfmt_misc (entry_status() in fs/binfmt_misc.c).
func matches(text string, head []byte, name string) *registration {
	if !strings.HasPrefix(text, "enabled") {
		return nil
	}
	var (
		found       registration
		offset      int
		magic, mask []byte
		extension   string
	)
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch key {
		case "interpreter":
			found.interpreter = value
		case "flags:":
			found.opened = strings.Contains(value, "F")
		case "offset":
			offset, _ = strconv.Atoi(value)
		case "magic":
			magic, _ = hex.DecodeString(value)
		case "mask":
			mask, _ = hex.DecodeString(value)
		case "extension":
			extension = strings.TrimPrefix(value, ".")
		}
	}
	if extension != "" {
		if strings.TrimPrefix(path.Ext(name), ".") == extension {
			return &found
		}
		return nil
	}
	if len(magic) == 0 || offset < 0 || offset+len(magic) > len(head) {
		return nil
	}
	for i, want := range magic {
		got := head[offset+i]
		if i < len(mask) {
			got, want = got&mask[i], want&mask[i]
		}
		if got != want {
			return nil
		}
	}
	return &found
}

// maxInterpreters: the kernel follows five.
const maxInterpreters = 6

func (r *trail) interpreter(name string) *access.Walk {
	if r.depth >= maxInterpreters {
		return &access.Walk{Host: r.host, Path: name, Fail: "ELOOP"}
	}
	if name == "" {
		name = "." // the kernel takes an empty name for the working directory
	}
	w, _, err := r.walk(name, followLast, r.depth+1)
	if err != nil {
		return &access.Walk{Host: r.host, Path: name, Missing: err.Error()}
	}
	return w
}

// Package taskiter reads the processes of the host from the kernel by a BPF iterator over its tasks: with their PIDs at
// every level, credentials, namespaces and id maps, for less than a microsecond each. It takes what loading a tracing
// program takes (CAP_BPF and CAP_PERFMON in the initial user namespace, BTF, Linux 5.8), and no library: to make one
// ready costs every start of nsview as much as thousands of processes here.
package taskiter

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Iterator is a loaded program.
type Iterator struct {
	prog, link int
	own        int // the file of the reader's mount namespace, -1 when it is not needed
	shape      shape
}

// bpfProgLoad is the part of union bpf_attr for BPF_PROG_LOAD.
type bpfProgLoad struct {
	progType, insnCnt  uint32
	insns, license     uint64
	logLevel, logSize  uint32
	logBuf             uint64
	kernVersion, flags uint32
	name               [16]byte
	ifindex            uint32
	expectedAttachType uint32
	btfFD, funcInfoRec uint32
	funcInfo           uint64
	funcInfoCnt        uint32
	lineInfoRec        uint32
	lineInfo           uint64
	lineInfoCnt        uint32
	attachBTFID        uint32
}

// bpfLinkCreate is the part for BPF_LINK_CREATE.
type bpfLinkCreate struct {
	progFD, targetFD, attachType, flags uint32
	iterInfo                            uint64
	iterInfoLen, _                      uint32
}

// bpfIterCreate is the part for BPF_ITER_CREATE.
type bpfIterCreate struct{ linkFD, flags uint32 }

const (
	progTypeTracing = 26
	attachTraceIter = 28
)

// Facts are what is asked for besides processes.
type Facts uint

const (
	Relations Facts = 1 << iota // those of the namespaces that processes are in, see [Record.Relations]
	Mounted                     // where namespace files are mounted, see [Record.Mounts]
)

// Load makes the program for this kernel and loads it. Its errors say what the kernel lacks or refuses.
func Load(with Facts) (*Iterator, error) {
	functions := []string{iterFunc, castFunc}
	if with&Mounted != 0 {
		functions = append(functions, iterFuncs()...)
	}
	types, err := readTypes(structs(), functions...)
	if err != nil {
		return nil, err
	}
	defer types.release()
	id, ok := types.funcs[iterFunc]
	if !ok {
		return nil, errors.New("this kernel has no BPF iterator over tasks")
	}
	code, s, err := program(types, with)
	if err != nil {
		return nil, err
	}
	prog, err := loadProgram(code, id)
	if _, casts := types.funcs[castFunc]; err != nil && casts && !errors.Is(err, unix.EPERM) {
		delete(types.funcs, castFunc) // functions of the kernel take a compiler for BPF that has them
		if code, s, err = program(types, with); err == nil {
			prog, err = loadProgram(code, id)
		}
	}
	if err != nil {
		return nil, err
	}
	attr := bpfLinkCreate{progFD: uint32(prog), attachType: attachTraceIter}
	link, err := bpf(unix.BPF_LINK_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		_ = unix.Close(prog)
		return nil, fmt.Errorf("attach the BPF iterator: %w", err)
	}
	own := -1
	if with&Mounted != 0 {
		own, _ = unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0) // without it nothing is known
	}
	return &Iterator{prog: prog, link: link, own: own, shape: s}, nil
}

func loadProgram(code []byte, attachTo uint32) (int, error) {
	license := []byte("Dual BSD/GPL\x00")
	attr := bpfProgLoad{
		progType: progTypeTracing, insnCnt: uint32(len(code) / 8),
		insns: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
		expectedAttachType: attachTraceIter, attachBTFID: attachTo,
	}
	copy(attr.name[:], "nsview_tasks")
	load := func() (int, error) { return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)) }
	fd, err := load()
	if err == nil || errors.Is(err, unix.EPERM) {
		runtime.KeepAlive(code)
		runtime.KeepAlive(license)
		if err != nil {
			err = fmt.Errorf("load a BPF program: %w", err)
		}
		return fd, err
	}
	// The verifier says why.
	log := make([]byte, 64<<10)
	attr.logLevel, attr.logSize, attr.logBuf = 1, uint32(len(log)), uint64(uintptr(unsafe.Pointer(&log[0])))
	_, _ = load()
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	log, _, _ = bytes.Cut(log, []byte{0})
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return -1, fmt.Errorf("load a BPF program: %w: %s", err, bytes.Join(lines[max(0, len(lines)-4):], []byte("; ")))
}

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		switch {
		case errno == 0:
			unix.CloseOnExec(int(fd))
			return int(fd), nil
		case errno != unix.EAGAIN && errno != unix.EINTR: // EAGAIN: the verifier was interrupted
			return -1, errno
		}
	}
}

// Close unloads the program.
func (it *Iterator) Close() {
	_ = unix.Close(it.link)
	if it.own >= 0 {
		_ = unix.Close(it.own)
	}
	_ = unix.Close(it.prog)
}

// Each calls f with every process that the reader's PID namespace shows, in no order, and with what else was asked for
// of it after it, or after all of them. The record is valid during the call.
func (it *Iterator) Each(f func(*Record) error) error {
	attr := bpfIterCreate{linkFD: uint32(it.link)}
	fd, err := bpf(unix.BPF_ITER_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return fmt.Errorf("open the BPF iterator: %w", err)
	}
	defer unix.Close(fd)
	full, free := make(chan []byte, chunks), make(chan []byte, chunks)
	for range chunks {
		free <- make([]byte, 0, chunkSize)
	}
	ended := make(chan error, 1)
	go func() { ended <- readChunks(fd, free, full) }()
	r := Record{shape: it.shape, comms: map[string]string{}}
	for chunk := range full {
		for at := 0; at < len(chunk) && err == nil; at += recordSize {
			r.b = chunk[at : at+recordSize]
			err = f(&r)
		}
		if err != nil {
			break
		}
		free <- chunk
	}
	close(free)
	return cmp.Or(err, <-ended)
}

// While the records of one chunk are looked at, the kernel makes those of the next, on another processor.
const (
	chunks    = 3
	chunkSize = recordSize * 256
	kernelHas = 8 << 12 // as much as the kernel makes at once: 8 pages
)

// readChunks reads records into chunks that are free, and passes on those that are full: whole records. It ends with the
// file, or when no more chunks are free.
func readChunks(fd int, free <-chan []byte, full chan<- []byte) error {
	defer close(full)
	var rest [recordSize]byte // the beginning of a record
	have := 0                 // of rest
	for chunk := range free {
		chunk = append(chunk[:0], rest[:have]...)
		n := 1
		for n > 0 && cap(chunk)-len(chunk) >= kernelHas {
			var err error
			n, err = unix.Read(fd, chunk[len(chunk):cap(chunk)])
			switch {
			case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
				n = 1 // again
				continue
			case err != nil:
				return fmt.Errorf("read the BPF iterator: %w", err)
			}
			chunk = chunk[:len(chunk)+n]
		}
		have = copy(rest[:], chunk[len(chunk)/recordSize*recordSize:])
		full <- chunk[:len(chunk)-have]
		switch {
		case n > 0:
		case have > 0:
			return errors.New("read the BPF iterator: the last record is cut short")
		default:
			return nil
		}
	}
	return nil
}

// Record is one process, or what else was asked for.
type Record struct {
	b     []byte
	shape shape

	comms map[string]string // see intern
	spare []int             // see ints
}

func (r *Record) u32(at int) uint32 { return binary.NativeEndian.Uint32(r.b[at:]) }
func (r *Record) u64(at int) uint64 { return binary.NativeEndian.Uint64(r.b[at:]) }

package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan"
)

// BPF is the source for who may load programs: BPF programs on BTF tracepoints (Linux 5.13 with BTF), which see every
// process of the host and stop none.
type BPF struct {
	collection *ebpf.Collection
	programs   []string
	links      []int             // descriptors
	calls      map[uint32]fsCall // with Options.Denied
	symbols    symbols
	reader     *ringbuf.Reader
	record     record    // the one that is decoded: events keep nothing of it
	boot       time.Time // when the clock of the records was 0
}

// wait is how long a record may lie in the buffer while the buffer is not nearly full.
const wait = 50 * time.Millisecond

// Options says what to see.
type Options struct {
	Denied bool // refused file system calls instead of what is done to namespaces
}

// programs are those of bpf/trace.bpf.c to attach, in that order: a call whose end is seen without its beginning was refused
// by seccomp(2).
func (o *Options) programs() []string {
	if o.Denied {
		return []string{"newtask", "exec", "on_exit", "fs_enter", "capable", "fs_leave"}
	}
	return []string{"newtask", "exec", "on_exit", "enter", "leave"}
}

// spec is those programs, not loaded yet, and their maps.
func (o *Options) spec() (*ebpf.CollectionSpec, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the BPF programs: %w", err)
	}
	wanted := o.programs()
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !slices.Contains(wanted, name) })
	return spec, nil
}

// needInitialPIDNS is an error where the PIDs of records, which are of the initial PID namespace, are not this process's.
func needInitialPIDNS(whose string) error {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return &os.PathError{Op: "stat", Path: "/proc/self/ns/pid", Err: err}
	}
	if st.Ino != uint64(procscan.InitPIDNS) {
		return fmt.Errorf("not in the initial PID namespace, whose PIDs %s", whose)
	}
	return nil
}

// OpenBPF loads and attaches the programs. What happens from its return on is seen.
func OpenBPF(o Options) (*BPF, error) {
	if object == nil {
		return nil, errors.New("no BPF programs for this architecture")
	}
	if err := needInitialPIDNS("BPF programs see"); err != nil {
		return nil, err
	}
	spec, err := o.spec()
	if err != nil {
		return nil, err
	}
	b := &BPF{programs: o.programs()}
	if b.collection, err = ebpf.NewCollection(spec); err != nil && o.Denied {
		// cap_capable is a tracepoint since Linux 6.14.
		delete(spec.Programs, "capable")
		b.programs = slices.DeleteFunc(b.programs, func(name string) bool { return name == "capable" })
		b.collection, err = ebpf.NewCollection(spec)
	}
	if err != nil {
		return nil, fmt.Errorf("load the BPF programs: %w", loadError(err))
	}
	if o.Denied {
		if err := b.watchCalls(); err != nil {
			b.Close()
			return nil, err
		}
	}
	if err := b.attach(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// loadError is why the kernel refused, without the library's guesses: who may not load programs is told of a limit on locked
// memory, or of an old kernel without maps that others may not make either.
func loadError(err error) error {
	p, refused := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if refused == nil {
		_ = p.Close()
		refused = err
	}
	var errno unix.Errno
	if errors.As(refused, &errno) && errno == unix.EPERM {
		return errno
	}
	return err
}

func (b *BPF) attach() (err error) {
	if b.reader, err = ringbuf.NewReader(b.collection.Maps["events"]); err != nil {
		return fmt.Errorf("read the ring buffer: %w", err)
	}
	b.boot = bootTime()
	for _, name := range b.programs {
		l, err := attach(b.collection.Programs[name])
		if err != nil {
			return fmt.Errorf("attach the BPF program %s: %w", name, loadError(err))
		}
		b.links = append(b.links, l)
	}
	return nil
}

// watchCalls tells the programs which system calls are of the file system, and which of their arguments are paths.
func (b *BPF) watchCalls() error {
	b.calls, b.symbols = fsCalls(), readSymbols()
	for nr, call := range b.calls {
		value := [8]uint8{1, call.dir, call.path, call.dir2, call.path2}
		if err := b.collection.Maps["fs_calls"].Put(nr, value); err != nil {
			return fmt.Errorf("tell the BPF programs of %s: %w", call.name, err)
		}
	}
	return nil
}

// bootTime is when CLOCK_BOOTTIME was 0.
func bootTime() time.Time { return clockStart(unix.CLOCK_BOOTTIME) }

// clockStart is when that clock was 0.
func clockStart(clock int32) time.Time {
	var real, boot unix.Timespec
	_ = unix.ClockGettime(clock, &boot) // both clocks are always there
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &real)
	return time.Unix(0, real.Nano()-boot.Nano()).UTC()
}

// Name is what the source is.
func (b *BPF) Name() string { return "BPF tracepoints" }

// Run is [Source.Run].
func (b *BPF) Run(ctx context.Context, see func(*events.Event) error) error {
	var record ringbuf.Record
	ended := false
	for {
		b.reader.SetDeadline(time.Now().Add(wait))
		for {
			err := b.reader.ReadInto(&record)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return fmt.Errorf("read the ring buffer: %w", err)
			}
			e, err := b.decode(record.RawSample)
			if err != nil {
				return err
			}
			if err := see(e); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		if ctx.Err() != nil {
			b.detach() // what is in the buffer now is all, and ends
			ended = true
		}
	}
}

func (b *BPF) detach() {
	for _, fd := range b.links {
		_ = unix.Close(fd)
	}
	b.links = nil
}

// Lost is [Source.Lost].
func (b *BPF) Lost() (Lost, error) {
	var kinds [3]uint64 // as in bpf/trace.bpf.c: no place in the ring buffer, or no memory for a call; 32-bit calls
	for i := range kinds {
		var perCPU []uint64
		if err := b.collection.Maps["lost"].Lookup(uint32(i), &perCPU); err != nil {
			return Lost{}, fmt.Errorf("count lost events: %w", err)
		}
		for _, n := range perCPU {
			kinds[i] += n
		}
	}
	l := Lost{Events: kinds[0] + kinds[1], Compat: kinds[2]}
	for _, name := range b.programs {
		stats, err := b.collection.Programs[name].Stats()
		if err != nil {
			return l, fmt.Errorf("count lost events: %w", err)
		}
		l.Events += stats.RecursionMisses
	}
	return l, nil
}

// Close removes the programs.
func (b *BPF) Close() error {
	b.detach()
	var err error
	if b.reader != nil {
		err = b.reader.Close()
	}
	b.collection.Close()
	return err
}

package trace

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
)

// Perf is the source for root where BPF programs cannot be loaded (no BTF, lockdown, an old kernel): tracepoints by
// perf_event_open(2), which see every process of the host and stop none. They tell numbers, not what a pointer leads to: no
// paths of mounts and no writes to id maps. Namespaces that a call made are looked up in /proc right after it, and are told
// only when nothing can have changed them in between.
//
// Nothing stays when nsview is killed: the tracepoints are descriptors, not an instance of tracefs.
type Perf struct {
	points map[uint16]*tracepoint
	rings  []*ring
	fds    []int
	state  *perfState
	mu     sync.Mutex // of rings and fds, which Close takes away, also from a Run that goes on
	lost   atomic.Uint64
	compat atomic.Uint64
}

// tracepoint is one as the tracefs of this kernel describes it.
type tracepoint struct {
	name    string
	id      uint16
	offsets map[string]int // of its fields
}

// ring is the buffer of one CPU.
type ring struct {
	memory []byte
	data   []byte
}

const (
	perfRing  = 1 << 20 // bytes a CPU
	perfEvery = 2 * time.Millisecond
)

// perfPoints are the tracepoints. That a call begins is watched before that it ends: see [perfState.seccomp].
func perfPoints() []string {
	return []string{"task/task_newtask", "task/task_rename", "sched/sched_process_exec", "sched/sched_process_exit", "raw_syscalls/sys_enter", "raw_syscalls/sys_exit"}
}

// OpenPerf opens the tracepoints. What happens from its return on is seen. The tracefs has to be mounted, at its own place or
// in debugfs: nsview mounts nothing.
func OpenPerf() (*Perf, error) {
	if err := needInitialPIDNS("tracepoints tell"); err != nil {
		return nil, err
	}
	dir, err := tracefs()
	if err != nil {
		return nil, err
	}
	p := &Perf{points: map[uint16]*tracepoint{}}
	if err := p.open(dir); err != nil {
		p.Close()
		return nil, err
	}
	p.state = newPerfState()
	return p, nil
}

// tracefs is where that is mounted.
func tracefs() (string, error) {
	var first error
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		_, err := os.ReadDir(dir + "/events/task") // its directory may be only root's
		if err == nil {
			return dir, nil
		}
		if first == nil || !errors.Is(err, os.ErrNotExist) {
			first = err
		}
	}
	if errors.Is(first, os.ErrNotExist) {
		return "", errors.New("tracefs is not mounted at /sys/kernel/tracing")
	}
	return "", first
}

func (p *Perf) open(dir string) error {
	var points []*tracepoint
	for _, name := range perfPoints() {
		text, err := os.ReadFile(dir + "/events/" + name + "/format")
		if err != nil {
			return err
		}
		point, err := parsePoint(name, string(text))
		if err != nil {
			return err
		}
		p.points[point.id] = point
		points = append(points, point)
	}
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	for _, cpu := range cpus {
		first := -1
		for _, point := range points {
			fd, err := p.openPoint(point, cpu, first)
			if err != nil {
				return fmt.Errorf("open the tracepoint %s on CPU %d: %w", point.name, cpu, err)
			}
			if first < 0 {
				first = fd
				if err := p.mapRing(fd); err != nil {
					return err
				}
			}
		}
	}
	// Those of one kind on every CPU before the next: a call may begin on one CPU and end on another.
	for i := range points {
		for j := i; j < len(p.fds); j += len(points) {
			if err := unix.IoctlSetInt(p.fds[j], unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
				return fmt.Errorf("enable the tracepoint %s: %w", points[i].name, err)
			}
		}
	}
	return nil
}

func (p *Perf) openPoint(point *tracepoint, cpu, output int) (int, error) {
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: uint64(point.id), Sample: 1,
		Sample_type: unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME | unix.PERF_SAMPLE_RAW | unix.PERF_SAMPLE_REGS_USER,
		Bits:        unix.PerfBitDisabled | unix.PerfBitUseClockID | unix.PerfBitWatermark,
		Wakeup:      perfRing / 2,         // it is read every few milliseconds, woken by nobody
		Clockid:     unix.CLOCK_MONOTONIC, // that of boot time is not for tracepoints
		// One register, for what comes with it: whether the program is a 32-bit one. Every architecture has the eighth.
		Sample_regs_user: 1 << 8,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	p.fds = append(p.fds, fd)
	if strings.HasPrefix(point.name, "raw_syscalls/") {
		filter, err := unix.BytePtrFromString(perfFilter())
		if err != nil {
			return -1, err
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_SET_FILTER, uintptr(unsafe.Pointer(filter))); errno != 0 {
			return -1, fmt.Errorf("set its filter: %w", errno)
		}
	}
	if output >= 0 {
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_OUTPUT, output); err != nil {
			return -1, fmt.Errorf("share a buffer: %w", err)
		}
	}
	return fd, nil
}

func (p *Perf) mapRing(fd int) error {
	memory, err := unix.Mmap(fd, 0, os.Getpagesize()+perfRing, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map a buffer for tracepoints: %w", err)
	}
	p.rings = append(p.rings, &ring{memory: memory, data: memory[os.Getpagesize():]})
	return nil
}

// perfFilter lets the system calls pass that are told of. What a write goes to is not known here.
func perfFilter() string {
	var parts []string
	for nr := range uint32(600) {
		if wanted(nr) && !isWrite(nr) || nr == unix.SYS_EXIT_GROUP || nr == unix.SYS_EXIT {
			parts = append(parts, "id=="+strconv.Itoa(int(nr)))
		}
	}
	return strings.Join(parts, "||")
}

// parsePoint reads the format file of a tracepoint.
func parsePoint(name, text string) (*tracepoint, error) {
	point := &tracepoint{name: name, offsets: map[string]int{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if value, ok := strings.CutPrefix(line, "ID: "); ok {
			id, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("the tracepoint %s: %w", name, err)
			}
			point.id = uint16(id)
		}
		declaration, rest, ok := strings.Cut(strings.TrimPrefix(line, "field:"), ";")
		if !ok || !strings.HasPrefix(line, "field:") {
			continue
		}
		words := strings.Fields(declaration)
		field, _, _ := strings.Cut(words[len(words)-1], "[")
		number, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(rest), "offset:"), ";")
		offset, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("the tracepoint %s: field %s: %w", name, field, err)
		}
		point.offsets[field] = offset
	}
	for _, field := range map[string][]string{
		"task/task_newtask": {"pid", "comm", "clone_flags"}, "task/task_rename": {"pid", "newcomm"},
		"sched/sched_process_exec": {"filename", "pid", "old_pid"}, "sched/sched_process_exit": {"pid"},
		"raw_syscalls/sys_enter": {"id", "args"}, "raw_syscalls/sys_exit": {"id", "ret"},
	}[name] {
		if _, ok := point.offsets[field]; !ok {
			return nil, fmt.Errorf("the tracepoint %s has no %s on this kernel", name, field)
		}
	}
	if point.id == 0 {
		return nil, fmt.Errorf("the tracepoint %s has no number", name)
	}
	return point, nil
}

func onlineCPUs() ([]int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("the CPUs %q: %w", part, err)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// Name is [Source.Name].
func (p *Perf) Name() string {
	return "perf tracepoints, which tell no strings of system calls and no id maps"
}

// Lost is [Source.Lost].
func (p *Perf) Lost() (Lost, error) {
	return Lost{Events: p.lost.Load(), Compat: p.compat.Load()}, nil
}

// Close ends the tracepoints.
func (p *Perf) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, r := range p.rings {
		errs = append(errs, unix.Munmap(r.memory))
	}
	for _, fd := range p.fds {
		errs = append(errs, unix.Close(fd))
	}
	p.rings, p.fds = nil, nil
	return errors.Join(errs...)
}

// Run is [Source.Run].
func (p *Perf) Run(ctx context.Context, see func(*events.Event) error) error {
	ticks := time.NewTicker(perfEvery)
	defer ticks.Stop()
	for {
		over := ctx.Err() != nil
		if over {
			p.disable()
		}
		// Twice at the end: what is read now is told when the next reading shows that nothing contradicts it.
		if err := p.state.take(p.drain, p.lost.Load, see); err != nil {
			return err
		}
		if over {
			return p.state.take(p.drain, p.lost.Load, see)
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

func (p *Perf) disable() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fd := range p.fds {
		_ = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_DISABLE, 0) // of a tracepoint
	}
}

// drain reads what is in the buffers, in the order of time.
func (p *Perf) drain() []*sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*sample
	for _, r := range p.rings {
		page := (*unix.PerfEventMmapPage)(unsafe.Pointer(unsafe.SliceData(r.memory)))
		head, tail := atomic.LoadUint64(&page.Data_head), page.Data_tail
		for tail < head {
			size := uint64(binary.NativeEndian.Uint16(r.bytes(tail+6, 2)))
			if size < 8 {
				break
			}
			switch kind := binary.NativeEndian.Uint32(r.bytes(tail, 4)); kind {
			case unix.PERF_RECORD_SAMPLE:
				if s := p.sample(r.bytes(tail+8, size-8)); s != nil {
					list = append(list, s)
				}
			case unix.PERF_RECORD_LOST:
				p.lost.Add(binary.NativeEndian.Uint64(r.bytes(tail+16, 8)))
			}
			tail += size
		}
		atomic.StoreUint64(&page.Data_tail, head)
	}
	slices.SortStableFunc(list, func(a, b *sample) int { return cmp.Compare(a.time, b.time) })
	return list
}

// bytes is a copy of what is at a position, which may begin at the end of the buffer and go on at its beginning.
func (r *ring) bytes(at, n uint64) []byte {
	b := make([]byte, n)
	from := at % uint64(len(r.data))
	got := copy(b, r.data[from:])
	copy(b[got:], r.data)
	return b
}

package taskiter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

func load(t testing.TB) *Iterator {
	t.Helper()
	proctest.NeedRoot(t)
	it, err := Load(Relations | Mounted)
	proctest.Need(t, "bpf", err == nil, fmt.Sprint(err))
	t.Cleanup(it.Close)
	return it
}

// The test process finds itself.
func TestSelf(t *testing.T) {
	it := load(t)
	found := false
	err := it.Each(func(r *Record) error {
		if r.PID() != os.Getpid() {
			return nil
		}
		found = true
		var p nsinspect.Process
		r.Process(&p)
		if !r.Whole() || p.PPID != os.Getppid() || p.Comm != "taskiter.test" || p.Kthread || len(p.PIDs) != 1 || int(p.Cred.UID.Effective) != os.Geteuid() {
			t.Errorf("whole %v, process %+v", r.Whole(), p)
		}
		return nil
	})
	if err != nil || !found {
		t.Errorf("found %v, %v", found, err)
	}
}

// The kernel takes the program also as it is for one that has no functions to be called.
func TestLoadsWithoutFunctions(t *testing.T) {
	load(t)
	types, err := readTypes(structs(), iterFunc)
	if err != nil {
		t.Fatal(err)
	}
	defer types.release()
	for _, with := range []Facts{0, Relations, Relations | Mounted} {
		code, _, err := program(types, with)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := loadProgram(code, types.funcs[iterFunc])
		if err != nil {
			t.Fatalf("with %b: %v", with, err)
		}
		_ = unix.Close(prog)
	}
}

// A kernel without what the program reads is refused by name, and rubbish is no BTF.
func TestTypesOfAnotherKernel(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 100), {0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}} {
		if _, err := parseTypes(b, structs(), iterFunc); err == nil {
			t.Errorf("% x was read as BTF", b)
		}
	}
	if _, _, err := program(&kernelTypes{structs: map[string][]uint32{}}, Relations); err == nil || err.Error() != "this kernel has no bpf_iter__task.meta" {
		t.Errorf("a kernel without types: %v", err)
	}
}

func FuzzTypes(f *testing.F) {
	f.Add([]byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 24, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 4, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'p', 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if k, err := parseTypes(b, []string{"p"}, "f"); err == nil {
			_, _ = k.offset("p", "p")
			_, _ = k.size("p", "p")
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	load(b)
	for b.Loop() {
		it, err := Load(0)
		if err != nil {
			b.Fatal(err)
		}
		it.Close()
	}
}

func BenchmarkEach(b *testing.B) {
	it := load(b)
	n := 0
	for b.Loop() {
		if err := it.Each(func(*Record) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/process")
}

func BenchmarkTypes(b *testing.B) {
	load(b)
	for b.Loop() {
		types, err := readTypes(structs(), iterFunc)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := program(types, 0); err != nil {
			b.Fatal(err)
		}
		types.release()
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	it := load(t)
	enough := errors.New("enough")
	calls := 0
	if err := it.Each(func(*Record) error { calls++; return enough }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// Records come whole and in order, however the kernel cuts them.
func TestReadChunks(t *testing.T) {
	const records = 3 * chunks * chunkSize / recordSize
	text := make([]byte, records*recordSize)
	for i := range records {
		binary.NativeEndian.PutUint32(text[i*recordSize:], uint32(i))
	}
	for _, tt := range []struct {
		cut   int // bytes that are missing at the end
		fails bool
	}{{0, false}, {1, true}, {recordSize, false}} {
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for b := range slices.Chunk(text[:len(text)-tt.cut], 1000) {
				_, _ = in.Write(b)
			}
			_ = in.Close()
		}()
		full, free := make(chan []byte, chunks), make(chan []byte, chunks)
		for range chunks {
			free <- make([]byte, 0, chunkSize)
		}
		ended := make(chan error, 1)
		go func() { ended <- readChunks(int(out.Fd()), free, full) }()
		var got []byte
		for chunk := range full {
			if len(chunk)%recordSize != 0 {
				t.Errorf("a chunk of %d bytes", len(chunk))
			}
			got = append(got, chunk...)
			free <- chunk
		}
		if err := <-ended; (err != nil) != tt.fails {
			t.Errorf("%d bytes cut: %v", tt.cut, err)
		}
		if whole := (len(text) - tt.cut) / recordSize * recordSize; !bytes.Equal(got, text[:whole]) {
			t.Errorf("%d bytes cut: %d bytes, want %d, or not the same", tt.cut, len(got), whole)
		}
		_ = out.Close()
	}
}

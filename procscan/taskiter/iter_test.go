package taskiter

import (
	"fmt"
	"os"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

func load(t testing.TB) *Iterator {
	t.Helper()
	proctest.NeedRoot(t)
	it, err := Load()
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

// A kernel without what the program reads is refused by name, and rubbish is no BTF.
func TestTypesOfAnotherKernel(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 100), {0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}} {
		if _, err := parseTypes(b, structs(), iterFunc); err == nil {
			t.Errorf("% x was read as BTF", b)
		}
	}
	if _, _, err := program(&kernelTypes{structs: map[string][]uint32{}}); err == nil || err.Error() != "this kernel has no bpf_iter__task.meta" {
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
		it, err := Load()
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
		if _, _, err := program(types); err != nil {
			b.Fatal(err)
		}
		types.release()
	}
}

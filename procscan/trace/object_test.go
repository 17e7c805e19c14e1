package trace

import (
	"encoding/binary"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The committed objects of every architecture are whole, and have the programs that are attached.
func TestObjects(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		f, err := os.Open("bpf/trace_" + arch + ".o")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		spec, err := ebpf.LoadCollectionSpecFromReader(f)
		if err != nil {
			t.Errorf("%s: %v", arch, err)
			continue
		}
		for _, o := range []Options{{}, {Denied: true}} {
			for _, name := range o.programs() {
				if p := spec.Programs[name]; p == nil || p.Type != ebpf.Tracing || p.License != "Dual BSD/GPL" {
					t.Errorf("%s: program %s: %+v", arch, name, p)
				}
			}
		}
	}
}

// A record is taken as it lies in memory: nothing may lie between its fields here that does not there.
func TestHeaderHasNoPadding(t *testing.T) {
	if packed, have := binary.Size(header{}), int(unsafe.Sizeof(header{})); packed != have {
		t.Errorf("%d bytes, packed %d", have, packed)
	}
}

func TestPlaceOf(t *testing.T) {
	for names, want := range map[string]string{"\x00": "/", "b\x00a\x00\x00": "/a/b", "a\x00\x00": "/a"} {
		if got, known := placeOf([]byte("\x07\x00\x00\x00" + names)); !known || got != (place{want, 7}) {
			t.Errorf("%q: %v, %v", names, got, known)
		}
	}
	for _, names := range []string{"", "b\x00a\x00", "a"} {
		if got, known := placeOf([]byte("\x07\x00\x00\x00" + names)); known {
			t.Errorf("%q: %v", names, got)
		}
	}
}

func TestOpenOps(t *testing.T) {
	for flags, want := range map[uint64][][]string{
		0:                    {{"read"}},
		0o1:                  {{"write"}},
		0o2:                  {{"rdwr"}},
		0o1 | 0o1000:         {{"opentrunc"}},
		0o1 | 0o2000:         {{"append"}},
		0o1 | 0o100 | 0o200:  {{"create"}},
		0o1 | 0o100 | 0o1000: {{"opentrunc"}, {"opencreat"}},
		0o100:                {{"read"}, {"opencreat"}},
	} {
		if got := openOps(&record{}, flags); len(got) != len(want) || got[0][0] != want[0][0] || got[len(got)-1][0] != want[len(want)-1][0] {
			t.Errorf("%#o: %v, want %v", flags, got, want)
		}
	}
}

// A path that could not be read is not taken for an empty one, which would be the working directory.
func TestDeniedWithoutItsPath(t *testing.T) {
	base := []byte("\x07\x00\x00\x00b\x00a\x00\x00")
	r := &record{calls: fsCalls()}
	r.Kind, r.Nr, r.Ret, r.texts[2], r.texts[4] = kindDenied, unix.SYS_OPENAT, -int64(unix.EACCES), []byte{0}, base
	r.Args[1] = 0x1000
	if e := r.event(time.Time{}); e.Args.Path != "/a/b" || len(e.Denial.Ops) == 0 {
		t.Errorf("of an empty path: %q, %v", e.Args.Path, e.Denial)
	}
	r.texts[2] = nil
	if e := r.event(time.Time{}); e.Args.Path != "" || len(e.Denial.Ops) != 0 || e.Denial.Why == "" {
		t.Errorf("without its path: %q, %v", e.Args.Path, e.Denial)
	}
}

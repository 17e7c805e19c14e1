package runner

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
)

// What a stage reads is what was written: bytes that are no text, nil and empty lists, pointers to 0.
func TestOrdersSurvive(t *testing.T) {
	zero := idmap.Inside(0)
	want := order{
		Plan: &Plan{
			Spec: Spec{
				New: []Namespace{User, PID}, UID: &zero, Groups: []idmap.Inside{}, Command: []string{"a\xffb", "", "\x00"},
				Join:        []Join{{Type: Net, Path: "/\n", Inode: 1 << 63, UIDMap: idmap.Map{{Inside: 1, Outside: 2, Count: 3}}}},
				TimeOffsets: []TimeOffset{{Clock: "boottime", Offset: -36 * time.Hour}},
				Mounts:      []MountSpec{{Target: "/x", ReadOnly: true}},
			},
			UID: idmap.UnmappedInside, CapBound: ^uint64(0), OpenHere: true,
		},
		Env: []string{"A=\xfe"}, Trees: []int{-1, 7}, JoinMnt: -1, Clone: 1 << 31,
	}
	f, err := memoryFile(want)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got order
	if err := readMemoryFile(int(f.Fd()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("orders (-written +read):\n%s", diff)
	}
}

// A file that is cut short, or longer, is refused and nothing panics.
func TestOrdersOfNobody(t *testing.T) {
	f, err := memoryFile(order{Plan: &Plan{Spec: Spec{Command: []string{"true", "x"}}}, Env: []string{"A=b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for size := range info.Size() + 9 {
		if size == info.Size() {
			continue
		}
		g, err := memoryFile(struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		content := make([]byte, size)
		for i := range content {
			content[i] = 0xff
		}
		_, _ = f.ReadAt(content[:min(size, info.Size())], 0)
		if _, err := g.Write(content); err != nil {
			t.Fatal(err)
		}
		var got order
		if err := readMemoryFile(int(g.Fd()), &got); err == nil {
			t.Errorf("%d of %d bytes were read as orders", size, info.Size())
		}
		g.Close()
	}
}

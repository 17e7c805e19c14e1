package idmap

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "         0     100000      65536\n", "0 4294967295 1\n1 2 3\n", "0 oops 10\n", "0 0", "-1 0 1\n", "0 1 2\r\n", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(strings.NewReader(text))
		if err != nil {
			if m != nil {
				t.Fatalf("%v with %v", m, err)
			}
			return
		}
		again, err := Parse(strings.NewReader(m.Format()))
		if err != nil || !cmp.Equal(m, again) {
			t.Fatalf("%q: %v reads back as %v, %v", text, m, again, err)
		}
	})
}

func FuzzParseSubIDs(f *testing.F) {
	for _, seed := range []string{"alice:100000:65536\n", "#\n\n1000:1:2\nbad\n", "a:010:1\n", ":::\n", "a:4294967295:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, _ := ParseSubIDs(strings.NewReader(text))
		for _, id := range ids {
			if id.Owner == "" || !id.First.Mapped() || uint64(id.First)+uint64(id.Count) > invalid {
				t.Fatalf("%q grants %+v", text, id)
			}
		}
	})
}

func FuzzSpellings(f *testing.F) {
	for _, seed := range []string{"0:100000:65536", "b:0:1:2", "lxc.idmap = u 0 1 2", "u:1:2:3 g:1:2:3", `[{"containerID":0,"hostID":1,"size":2}]`, "both 1 2 3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := ParseExtent(text); err == nil && e.Outside.Mapped() && e.Inside.Mapped() {
			if again, err := ParseExtent(e.String()); err != nil || again != e {
				t.Fatalf("%q: %v reads back as %v, %v", text, e, again, err)
			}
		}
		if list, err := ParseLXC(text); err == nil && (len(list) == 0 || len(list) > 2) {
			t.Fatalf("%q: %v", text, list)
		}
		if list, err := ParseMountOption(text); err == nil && len(list) == 0 {
			t.Fatalf("%q is an empty option", text)
		}
		if m, err := ParseOCI([]byte(text)); err == nil {
			again, err := json.Marshal(m.ToOCI())
			if err != nil {
				t.Fatal(err)
			}
			if back, err := ParseOCI(again); err != nil || len(back) != len(m) {
				t.Fatalf("%q: %v reads back as %v, %v", text, m, back, err)
			}
		}
	})
}

// FuzzLaws reads two maps out of the bytes: 12 an extent, the first byte says how many extents the first map has.
func FuzzLaws(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 1, 0x86, 0xa0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, uint32(0))
	f.Add([]byte{2}, uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, data []byte, id uint32) {
		if len(data) == 0 || len(data) > 400 {
			return
		}
		n := int(data[0])
		var maps [2]Map
		for data = data[1:]; len(data) >= 12; data = data[12:] {
			e := Extent{Inside(binary.BigEndian.Uint32(data)), Kernel(binary.BigEndian.Uint32(data[4:])), binary.BigEndian.Uint32(data[8:])}
			to := 1
			if n > 0 {
				to, n = 0, n-1
			}
			maps[to] = append(maps[to], e)
		}
		laws(t, maps[0], maps[1], id)
		laws(t, maps[1], maps[0], id)
		for _, w := range []Writer{root(UID), ordinary(GID), {}} {
			for _, p := range Validate(maps[0], w) {
				if p.Detail == "" || p.Rule == "" {
					t.Fatalf("%+v", p)
				}
			}
		}
	})
}

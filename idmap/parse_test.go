package idmap

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       Map
		line       int // of the error, 0 none
	}{
		{"never written", "", nil, 0},
		{"as the kernel prints it", "         0     100000      65536\n", Map{{0, 100000, 65536}}, 0},
		{"initial", "         0          0 4294967295\n", Identity(), 0},
		{"unsorted", "10 20 1\n0 30 2\n", Map{{10, 20, 1}, {0, 30, 2}}, 0},
		{"unmapped for this reader", "0 4294967295 10\n", Map{{0, UnmappedKernel, 10}}, 0},
		{"no end of line", "0 1 2", Map{{0, 1, 2}}, 0},
		{"tabs", "\t0\t1\t2\n", Map{{0, 1, 2}}, 0},
		{"a word", "0 oops 10\n", nil, 1},
		{"two fields", "0 0\n", nil, 1},
		{"four fields", "0 1 2\n0 1 2 3\n", nil, 2},
		{"a word after it", "0 1 2 # comment\n", nil, 1},
		{"negative", "0 -1 2\n", nil, 1},
		{"plus", "0 +1 2\n", nil, 1},
		{"2^32", "0 4294967296 1\n", nil, 1},
		{"more than 2^64", "0 18446744073709551616 1\n", nil, 1},
		{"hexadecimal", "0x0 1 1\n", nil, 1},
		{"digit separators", "0 1_000 1\n", nil, 1},
		{"empty line", "0 1 2\n\n3 4 5\n", nil, 2},
		{"blanks only", "  \n", nil, 1},
		{"other spaces", "0\u00a01 2\n", nil, 1},
		{"NUL", "0 1 2\x00\n", nil, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(test.text))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var line *LineError
			if errors.As(err, &line) != (test.line > 0) || line != nil && line.Line != test.line {
				t.Errorf("error %v, want one in line %d", err, test.line)
			}
		})
	}
}

func TestParseReportsTheReader(t *testing.T) {
	if _, err := Parse(failingReader{}); !errors.Is(err, errRead) {
		t.Errorf("Parse: %v", err)
	}
	if _, err := ParseSubIDs(failingReader{}); !errors.Is(err, errRead) {
		t.Errorf("ParseSubIDs: %v", err)
	}
}

var errRead = errors.New("read failed")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errRead }

func TestParseExtent(t *testing.T) {
	good := map[string]Extent{
		"0:100000:65536":          {0, 100000, 65536},
		"4294967294:0:1":          {4294967294, 0, 1},
		"0:0:0":                   {0, 0, 0}, // Validate's to judge
		"0:4294967295:4294967295": {0, UnmappedKernel, 4294967295},
	}
	for text, want := range good {
		if got, err := ParseExtent(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0:1", "0:1:2:3", "0:1:", ":1:2", "0 1 2", "-1:0:1", "a:b:c", "0:1:4294967296", " 0:1:2", "0:1:2\n"} {
		if got, err := ParseExtent(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestExtentJSON(t *testing.T) {
	m := Map{{0, 100000, 65536}, {65536, UnmappedKernel, 10}}
	text, err := json.Marshal(m)
	want := `[{"inside":0,"outside":100000,"count":65536},{"inside":65536,"outside":null,"count":10}]`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	var back Map
	if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(m, back) {
		t.Errorf("%v, %v", back, err)
	}
	if text, err := json.Marshal(Map(nil)); err != nil || string(text) != "[]" {
		t.Errorf("the map that maps nothing is %s, %v", text, err)
	}
	many := "[" + strings.Repeat(`{"inside":0,"outside":0,"count":1},`, 5000) + `{"inside":0,"outside":0,"count":1}]`
	for _, text := range []string{many, `[{"inside":0,"outside":0,"count":1,"more":1}]`, `[{"inside":-1,"outside":0,"count":1}]`, `[{"inside":4294967296,"outside":0,"count":1}]`, `[{"inside":0,"outside":"0","count":1}]`} {
		if err := json.Unmarshal([]byte(text), &back); err == nil {
			t.Errorf("%.80s is read", text)
		}
	}
}

func TestParseSubIDs(t *testing.T) {
	const text = `# comment
alice:100000:65536

  bob:200000:10
1001:300000:5
alice:165536:1
bad
:1:2
alice:1
alice:1:2:3
alice:-1:10
alice:010:10
alice:0x10:10
alice:4294967295:1
alice:4294967290:100
alice:500000:0
alice:600000:4294967296
`
	ids, err := ParseSubIDs(strings.NewReader(text))
	want := SubIDs{
		{"alice", Grant{100000, 65536}},
		{"bob", Grant{200000, 10}},
		{"1001", Grant{300000, 5}},
		{"alice", Grant{165536, 1}},
		{"alice", Grant{4294967290, 5}},
		{"alice", Grant{500000, 0}},
		{"alice", Grant{600000, 4294367295}},
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var lines []int
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var line *LineError
			if !errors.As(e, &line) {
				t.Errorf("no line: %v", e)
				continue
			}
			lines = append(lines, line.Line)
		}
	}
	if diff := cmp.Diff([]int{7, 8, 9, 10, 11, 12, 13, 14}, lines); diff != "" {
		t.Errorf("lines reported (-want +got)\n%s", diff)
	}

	grants := []struct {
		uid   Kernel
		names []string
		want  []Grant
	}{
		{1000, []string{"bob"}, []Grant{{200000, 10}}},
		{1001, []string{"bob"}, []Grant{{200000, 10}, {300000, 5}}},
		{1001, nil, []Grant{{300000, 5}}},
		{1002, []string{"carol"}, nil},
		{1002, []string{""}, nil},
		{UnmappedKernel, nil, nil},
	}
	for _, g := range grants {
		if diff := cmp.Diff(g.want, ids.Of(g.uid, g.names...)); diff != "" {
			t.Errorf("uid %v %v (-want +got)\n%s", g.uid, g.names, diff)
		}
	}
	if got := (SubIDs{{"unmapped", Grant{1, 1}}}).Of(UnmappedKernel); got != nil {
		t.Errorf("an unmapped uid is granted %v", got)
	}
}

func TestOCI(t *testing.T) {
	m := Map{{0, 100000, 65536}, {65536, 1000, 1}}
	text, err := json.Marshal(m.ToOCI())
	want := `[{"containerID":0,"hostID":100000,"size":65536},{"containerID":65536,"hostID":1000,"size":1}]`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	for _, text := range []string{want, `[{"container_id":0,"host_id":100000,"size":65536},{"container_id":65536,"host_id":1000,"size":1}]`} {
		if got, err := ParseOCI([]byte(text)); err != nil || !cmp.Equal(m, got) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := ParseOCI([]byte("null")); err != nil || got != nil {
		t.Errorf("null: %v, %v", got, err)
	}
	for _, text := range []string{
		``, `{}`, `[{}]`, `[{"containerID":0,"hostID":1}]`, `[{"containerID":-1,"hostID":1,"size":1}]`,
		`[{"containerID":0,"container_id":0,"hostID":1,"size":1}]`, `[{"containerID":0,"hostID":1.5,"size":1}]`,
		`[{"containerID":0,"hostID":4294967296,"size":1}]`, `[{"containerID":null,"hostID":1,"size":1}]`, `[{"containerID":"0","hostID":1,"size":1}]`,
	} {
		if got, err := ParseOCI([]byte(text)); err == nil {
			t.Errorf("%s is read as %v", text, got)
		}
	}
}

func TestParseLXC(t *testing.T) {
	e := Extent{0, 100000, 65536}
	uid, gid := KindExtent{UID, e}, KindExtent{GID, e}
	good := map[string][]KindExtent{
		"lxc.idmap = u 0 100000 65536":  {uid},
		"lxc.idmap=g 0 100000 65536":    {gid},
		"lxc.id_map = b 0 100000 65536": {uid, gid},
		"u 0 100000 65536":              {uid},
		"b:0:100000:65536":              {uid, gid},
		"g:0:100000:65536":              {gid},
		"both 0 100000 65536":           {uid, gid},
		"both:0:100000:65536":           {uid, gid},
		"uid 0 100000 65536":            {uid},
	}
	for text, want := range good {
		got, err := ParseLXC(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "u", "x 0 1 2", "u 0 1", "u 0 1 2 3", "u:0:1", "lxc.net = u 0 1 2", "0 1 2", "u 0 -1 2", "u:0 1 2"} {
		if got, err := ParseLXC(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestParseMountSpellings(t *testing.T) {
	e := MountExtent{1000, 2000, 3}
	good := map[string][]KindMountExtent{
		"u:1000:2000:3":               {{UID, e}},
		"b:1000:2000:3":               {{UID, e}, {GID, e}},
		"1000:2000:3":                 {{UID, e}, {GID, e}},
		"u:1000:2000:3 g:1000:2000:3": {{UID, e}, {GID, e}},
	}
	for text, want := range good {
		got, err := ParseMountOption(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", " ", "/proc/1/ns/user", "u:1:2", "x:1:2:3", "u:1:2:3:4", "u:1:2:3,g:1:2:3"} {
		if got, err := ParseMountOption(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	if got, err := ParseMountExtent("1000 2000 3"); err != nil || got != e || got.String() != "1000:2000:3" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseMountExtent("1000 2000"); err == nil {
		t.Error("two numbers are read as a mount's extent")
	}
}

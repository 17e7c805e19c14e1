package render

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/procscan/proctest"
)

func rendered(t *testing.T, table *Table, o TableOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := table.Render(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sample() *Table {
	return &Table{
		Header: []string{"PID", "USER", "CONTAINER", "COMMAND"},
		Rows: [][]string{
			{"1", "root", "", "systemd"},
			{"4026531837", "日本", "docker:a-rather-long-name", "sh -c 'x'"},
			{"7", "unmapped", "e\u0301", "line\nbreak \x1b[31m"},
			{"8"},
		},
	}
}

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    TableOptions
		want string
	}{
		{"plain", TableOptions{}, `
PID         USER      CONTAINER                  COMMAND
1           root      -                          systemd
4026531837  日本      docker:a-rather-long-name  sh -c 'x'
7           unmapped  é                          line\nbreak \x1b[31m
8           -         -                          -
`},
		{"no headers", TableOptions{NoHeaders: true}, `
1           root      -                          systemd
4026531837  日本      docker:a-rather-long-name  sh -c 'x'
7           unmapped  é                          line\nbreak \x1b[31m
8           -         -                          -
`},
		{"60 columns: the widest column gives way", TableOptions{Width: 60}, `
PID         USER      CONTAINER           COMMAND
1           root      -                   systemd
4026531837  日本      docker:a-rather-l…  sh -c 'x'
7           unmapped  é                   line\nbreak \x1b[…
8           -         -                   -
`},
		{"30 columns, in ASCII: inodes stay whole", TableOptions{Width: 30, ASCII: true}, `
PID         USER      CONTAIN+
1           root      -      +
4026531837  日本      docker:+
7           unmapped  é      +
8           -         -      +
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := rendered(t, sample(), tt.o)
			want := strings.ReplaceAll(strings.TrimPrefix(tt.want, "\n"), "é", "e\u0301")
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTableFitsEveryWidth(t *testing.T) {
	for width := 1; width < 100; width++ {
		for line := range strings.Lines(rendered(t, sample(), TableOptions{Width: width})) {
			line = strings.TrimSuffix(line, "\n")
			if got := Width(line); got > width {
				t.Fatalf("%d columns at width %d: %q", got, width, line)
			}
			if strings.HasSuffix(line, " ") {
				t.Fatalf("trailing space at width %d: %q", width, line)
			}
		}
	}
}

func TestEmptyTables(t *testing.T) {
	table := &Table{Header: []string{"PID", "USER"}}
	if got := rendered(t, table, TableOptions{}); got != "PID  USER\n" {
		t.Errorf("%q", got)
	}
	if got := rendered(t, table, TableOptions{NoHeaders: true}); got != "" {
		t.Errorf("%q", got)
	}
}

func TestTableColor(t *testing.T) {
	table := &Table{Header: []string{"USER"}, Rows: [][]string{{"unmapped"}}}
	if got, want := rendered(t, table, TableOptions{Color: true}), "\x1b[1mUSER\x1b[0m\n\x1b[31munmapped\x1b[0m\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A cell is one cell of one line, whatever it contains.
func TestTableHostile(t *testing.T) {
	table := &Table{Header: []string{"A", "B\n"}}
	for _, s := range proctest.Hostile() {
		table.Rows = append(table.Rows, []string{s, "end"})
	}
	lines := strings.Split(strings.TrimSuffix(rendered(t, table, TableOptions{}), "\n"), "\n")
	if len(lines) != 1+len(table.Rows) {
		t.Fatalf("%d lines for %d rows", len(lines), len(table.Rows))
	}
	at := Width(strings.TrimSuffix(lines[0], `B\n`))
	for _, line := range lines[1:] {
		before, ok := strings.CutSuffix(line, "end")
		if !ok || Width(before) != at {
			t.Errorf("the second column of %q is not at %d", line, at)
		}
	}
}

func TestTree(t *testing.T) {
	roots := []*Node{
		{Text: "systemd", Children: []*Node{
			{Text: "shim", Children: []*Node{{Text: "app\n", Children: []*Node{{Text: "worker"}}}}},
			{Text: "bash"},
		}},
		{Text: "alone"},
	}
	for _, tt := range []struct {
		o    TableOptions
		want string
	}{
		{TableOptions{}, `
systemd
├─ shim
│  └─ app\n
│     └─ worker
└─ bash
alone
`},
		{TableOptions{ASCII: true, Width: 12}, "\nsystemd\n|- shim\n|  `- app\\n\n|     `- wo+\n`- bash\nalone\n"},
	} {
		var b bytes.Buffer
		if err := Tree(&b, roots, tt.o); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), b.String()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTreeTable(t *testing.T) {
	table := TreeTable([]string{"PID", "COMMAND"}, []*Node{{Cells: []string{"1"}, Text: "init", Children: []*Node{{Cells: []string{"22"}, Text: "sh"}}}}, false)
	if diff := cmp.Diff("PID  COMMAND\n1    init\n22   └─ sh\n", rendered(t, table, TableOptions{})); diff != "" {
		t.Error(diff)
	}
}

// Colour is never the only sign: without it every character is the same.
func TestColorIsNotTheOnlySign(t *testing.T) {
	sgr := strings.NewReplacer(bold, "", red, "", reset, "")
	if got, want := sgr.Replace(rendered(t, sample(), TableOptions{Color: true})), rendered(t, sample(), TableOptions{}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPick(t *testing.T) {
	table := sample()
	table.KeepEnd = []int{3}
	if err := table.Pick([]string{"command", "pid"}); err != nil {
		t.Fatal(err)
	}
	if got, want := rendered(t, table, TableOptions{Width: 16}), "COMMAND     PID\nsystemd     1\n"; !strings.HasPrefix(got, want) {
		t.Errorf("%q", got)
	}
	if err := table.Pick([]string{"user"}); err == nil {
		t.Error("a column that is gone was found")
	}
}

// Where it is narrow, columns that can be spared go first, and a path keeps its end.
func TestTableSparesColumns(t *testing.T) {
	table := &Table{
		Header: []string{"VIEWER", "PID", "MODE", "UID", "PATH"}, Spare: []int{1, 2}, KeepEnd: []int{4},
		Rows: [][]string{{"host", "4711", "-rw-r--r--", "1000", "/srv/a/rather/long/日本/file"}},
	}
	for width, want := range map[int]string{
		80: "VIEWER  PID   MODE        UID   PATH\nhost    4711  -rw-r--r--  1000  /srv/a/rather/long/日本/file\n",
		59: "VIEWER  MODE        UID   PATH\nhost    -rw-r--r--  1000  /srv/a/rather/long/日本/file\n",
		43: "VIEWER  UID   PATH\nhost    1000  /srv/a/rather/long/日本/file\n",
		28: "VIEWER  UID   PATH\nhost    1000  …ong/日本/file\n",
		24: "VIEWER  UID   PATH\nhost    1000  …日本/file\n",
	} {
		if got := rendered(t, table, TableOptions{Width: width}); got != want {
			t.Errorf("%d columns:\n%swant\n%s", width, got, want)
		}
	}
}

// Where cutting every column is not enough, the less important ones go, and a tree keeps enough to be one.
func TestTableNarrow(t *testing.T) {
	table := TreeTable([]string{"PID", "USER", "CONTAINER", "COMMAND"}, []*Node{{
		Cells: []string{"1", "root", "-"}, Text: "init",
		Children: []*Node{{Cells: []string{"4711", "somebody", "docker:a-name"}, Text: "a-rather-long-command-name"}},
	}}, false)
	table.Narrow = []int{2, 1}
	for width, want := range map[int]string{
		80: "PID   USER      CONTAINER      COMMAND\n1     root      -              init\n4711  somebody  docker:a-name  └─ a-rather-long-command-name\n",
		52: "PID   USER      CONTAINER   COMMAND\n1     root      -           init\n4711  somebody  docker:a-…  └─ a-rather-long-comman…\n",
		51: "PID   USER      COMMAND\n1     root      init\n4711  somebody  └─ a-rather-long-command-name\n",
		30: "PID   COMMAND\n1     init\n4711  └─ a-rather-long-comman…\n",
	} {
		if got := rendered(t, table, TableOptions{Width: width}); got != want {
			t.Errorf("%d columns:\n%swant\n%s", width, got, want)
		}
	}
}

// A chain that is longer than branches are drawn has its depth as a number, so that its lines stay short.
func TestTreeDeep(t *testing.T) {
	const depth = 20_000
	root := &Node{Text: "0"}
	for n, i := root, 1; i <= depth; i++ {
		child := &Node{Text: strconv.Itoa(i)}
		n.Children, n = []*Node{child}, child
	}
	var b bytes.Buffer
	if err := Tree(&b, []*Node{root}, TableOptions{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != depth+1 {
		t.Fatalf("%d lines", len(lines))
	}
	if last := lines[depth]; !strings.HasSuffix(last, " (20000) 20000") || len(last) > 200 {
		t.Errorf("the last line is %q", last)
	}
	if drawn := lines[maxDrawn]; !strings.HasSuffix(drawn, "└─ "+strconv.Itoa(maxDrawn)) {
		t.Errorf("line %d is %q", maxDrawn, drawn)
	}
}

// What is red is a cell, not a part of a name that a container chose.
func TestPaint(t *testing.T) {
	const r = red + "unmapped" + reset
	for line, want := range map[string]string{
		"unmapped  0": r + "  0", "0  unmapped": "0  " + r, "0:unmapped  unmapped:0": "0:" + r + "  " + r + ":0", "1-5,unmapped": "1-5," + r,
		"/srv/unmapped  x": "/srv/unmapped  x", "unmapped.txt  unmapped": "unmapped.txt  " + r, "an unmapped  x": "an unmapped  x",
		"write  deny  EACCES": "write  " + red + "deny" + reset + "  EACCES", "denying": "denying", "error": red + "error" + reset,
	} {
		if got := paint(line, false); got != want {
			t.Errorf("%q is painted %q, want %q", line, got, want)
		}
	}
}

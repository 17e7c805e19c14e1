package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/procscan/proctest"
)

// scripts are names to be shown: each alone, long ones of one script, and all that is hostile. None begins or ends with
// a blank, where a test looks for the columns, or is empty.
func scripts() []string {
	var names []string
	for _, s := range slices.Concat(proctest.Scripts(), proctest.Hostile()) {
		if s = strings.Trim(s, " "); s != "" {
			names = append(names, s, strings.Repeat(s, 12))
		}
	}
	return names
}

// A terminal shows every name as wide as it is taken for.
func TestScreenWidths(t *testing.T) {
	s := newScreen(t, 1000, 4)
	for _, name := range scripts() {
		shown := render.Escape(name)
		if got, want := render.Width(shown), s.width(t, shown); got != want {
			t.Errorf("%+q, shown as %s, is %d columns wide, taken for %d", name, shown, want, got)
		}
	}
}

// Columns begin below each other, and no line is wider than the terminal, whatever the names.
func TestScreenTables(t *testing.T) {
	s := newScreen(t, 1500, 4)
	rendered := func(table *render.Table, o render.TableOptions) string {
		var b bytes.Buffer
		if err := table.Render(&b, o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	tables := map[string]func() *render.Table{
		"names": func() *render.Table {
			table := &render.Table{Header: []string{"PID", "NAME", "MODE", "PATH"}, KeepEnd: []int{3}}
			for i, name := range scripts() {
				table.Rows = append(table.Rows, []string{fmt.Sprint(i), name, "-rw-r--r--", "/srv/" + name + "/" + name})
			}
			return table
		},
		"tree": func() *render.Table {
			root := &render.Node{Cells: []string{"1", "root"}, Text: "init"}
			for i, name := range scripts() {
				root.Children = append(root.Children, &render.Node{
					Cells: []string{fmt.Sprint(i), name}, Text: name,
					Children: []*render.Node{{Cells: []string{"0", "x" + name}, Text: name}},
				})
			}
			root.Children = append(root.Children, &render.Node{Cells: []string{"2", "root"}, Text: "last"}) // what is below it begins with blanks
			return render.TreeTable([]string{"PID", "USER", "COMMAND"}, []*render.Node{root}, false)
		},
	}
	for what, table := range tables {
		for _, width := range []int{0, 20, 40, 80} {
			t.Run(fmt.Sprintf("%s/%d", what, width), func(t *testing.T) {
				s.aligned(t, rendered(table(), render.TableOptions{Width: width}), width)
			})
		}
	}
}

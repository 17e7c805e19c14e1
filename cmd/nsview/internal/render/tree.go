package render

import (
	"bufio"
	"fmt"
	"io"
)

// Node is a line of a tree and what hangs below it.
type Node struct {
	Text     string
	Cells    []string // the columns before Text, for TreeTable
	Children []*Node
}

// Tree writes roots with their children below them, one line a node.
func Tree(w io.Writer, roots []*Node, o TableOptions) error {
	out := bufio.NewWriter(w)
	walk(roots, o.ASCII, func(n *Node, branch string) {
		line := cut(branch+Escape(n.Text), o.Width, o.ASCII)
		if o.Color {
			line = paint(line, false)
		}
		fmt.Fprintln(out, line)
	})
	return out.Flush()
}

// TreeTable is a table of all nodes: their cells, and in the last column their text with the branches of the tree
// before it. The header names the cells and the text.
func TreeTable(header []string, roots []*Node, ascii bool) *Table {
	t := &Table{Header: header, Tree: true}
	walk(roots, ascii, func(n *Node, branch string) {
		row := make([]string, len(header))
		copy(row[:len(row)-1], n.Cells)
		row[len(row)-1] = branch + n.Text
		t.Rows = append(t.Rows, row)
	})
	return t
}

// maxDrawn is how deep branches are drawn. Below, the depth stands as a number: a chain of thousands of processes, which
// anybody can start, would take a line as long as the chain for each.
const maxDrawn = 50

// walk visits the nodes in the order of lines, with what is drawn before each.
func walk(roots []*Node, ascii bool, visit func(n *Node, branch string)) {
	tee, corner, pipe, blank := "├─ ", "└─ ", "│  ", "   "
	if ascii {
		tee, corner, pipe = "|- ", "`- ", "|  "
	}
	var descend func(nodes []*Node, indent string, depth int)
	descend = func(nodes []*Node, indent string, depth int) {
		for i, n := range nodes {
			switch {
			case depth > maxDrawn:
				visit(n, fmt.Sprintf("%s(%d) ", indent, depth))
				descend(n.Children, indent, depth+1)
			case i < len(nodes)-1:
				visit(n, indent+tee)
				descend(n.Children, indent+pipe, depth+1)
			default:
				visit(n, indent+corner)
				descend(n.Children, indent+blank, depth+1)
			}
		}
	}
	for _, n := range roots {
		visit(n, "")
		descend(n.Children, "", 1)
	}
}

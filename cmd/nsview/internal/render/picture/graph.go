// Package picture draws: graphs of boxes and arrows, and id maps as ribbons between two number lines. It knows nothing of
// what they mean. Any string may be hostile: every writer has its own escaping.
package picture

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// Graph is boxes and arrows. Arrows that lead in a circle are drawn, but rank nothing.
type Graph struct {
	Title string
	Nodes []Node
	Edges []Edge

	added map[string]bool // by Add
}

// Add adds a box unless one of that ID was added before, and returns the ID.
func (g *Graph) Add(n Node) string {
	if g.added == nil {
		g.added = make(map[string]bool)
	}
	if !g.added[n.ID] {
		g.added[n.ID] = true
		g.Nodes = append(g.Nodes, n)
	}
	return n.ID
}

// Node is a box with a few lines of text.
type Node struct {
	ID    string // unique in the graph, and free in form
	Lines []string
	Kind  string // a word: boxes of a kind look alike
	Level Level

	Choice string   // what a click in a page chooses, "" for nothing
	Of     []string // what chooses it in a page: it stays in sight when one of these is chosen, or Choice
}

// Edge is an arrow between two boxes. In a page it stays in sight with the box that it leads to.
type Edge struct {
	From, To string
	Dashed   bool
	Level    Level
}

// Level is how much something is marked: by its line, and by a sign before its text, for who sees no colours.
type Level int

// The levels, from the least.
const (
	Plain Level = iota
	Warning
	Broken
)

// class is what an element of that level is called in SVG and Mermaid.
func (l Level) class() string { return [...]string{"", "warn", "bad"}[l] }

// color is a colour of graphviz.
func (l Level) color() string { return [...]string{"", "darkorange", "red"}[l] }

// badMark stands before the text of what is marked.
const badMark = "⚠ "

func (n *Node) lines() []string {
	lines := make([]string, len(n.Lines))
	for i, line := range n.Lines {
		lines[i] = render.Escape(line)
	}
	if n.Level > Plain && len(lines) > 0 {
		lines[0] = badMark + lines[0]
	}
	return lines
}

// names gives every node a name that all formats take.
func (g *Graph) names() map[string]string {
	names := make(map[string]string, len(g.Nodes))
	for i := range g.Nodes {
		names[g.Nodes[i].ID] = fmt.Sprintf("n%d", i)
	}
	return names
}

// DOT writes the graph for graphviz.
func (g *Graph) DOT(w io.Writer) error {
	out := bufio.NewWriter(w)
	names := g.names()
	fmt.Fprintf(out, "digraph nsview {\n  rankdir=LR;\n  label=%s;\n  node [shape=box, fontname=\"sans-serif\"];\n", dotString(render.Escape(g.Title)))
	for i := range g.Nodes {
		n := &g.Nodes[i]
		style := ""
		if n.Level > Plain {
			style = ", color=" + n.Level.color() + ", penwidth=2"
		}
		fmt.Fprintf(out, "  %s [label=%s%s];\n", names[n.ID], dotString(strings.Join(n.lines(), "\n")), style)
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		var with []string
		if e.Dashed {
			with = append(with, "style=dashed")
		}
		if e.Level > Plain {
			with = append(with, "color="+e.Level.color())
		}
		fmt.Fprintf(out, "  %s -> %s [%s];\n", names[e.From], names[e.To], strings.Join(with, ", "))
	}
	fmt.Fprint(out, "}\n")
	return out.Flush()
}

// dotString quotes for DOT, where a backslash begins an escape in labels and \n is a new line.
func dotString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// Mermaid writes the graph as a flowchart for Markdown.
func (g *Graph) Mermaid(w io.Writer) error {
	out := bufio.NewWriter(w)
	names := g.names()
	fmt.Fprint(out, "flowchart LR\n")
	marked, links := make(map[Level][]string), make(map[Level][]string)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		lines := n.lines()
		for j := range lines {
			lines[j] = mermaidText(lines[j])
		}
		fmt.Fprintf(out, "  %s[\"%s\"]\n", names[n.ID], strings.Join(lines, "<br>"))
		if n.Level > Plain {
			marked[n.Level] = append(marked[n.Level], names[n.ID])
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		arrow := "-->"
		if e.Dashed {
			arrow = "-.->"
		}
		fmt.Fprintf(out, "  %s %s %s\n", names[e.From], arrow, names[e.To])
		links[e.Level] = append(links[e.Level], strconv.Itoa(i))
	}
	for level, stroke := range [...]string{Warning: "#b45309", Broken: "#d33"} {
		level := Level(level)
		if level > Plain && len(marked[level]) > 0 {
			fmt.Fprintf(out, "  classDef %s stroke:%s,stroke-width:3px\n  class %s %[1]s\n", level.class(), stroke, strings.Join(marked[level], ","))
		}
		if level > Plain && len(links[level]) > 0 {
			fmt.Fprintf(out, "  linkStyle %s stroke:%s,stroke-width:3px\n", strings.Join(links[level], ","), stroke)
		}
	}
	return out.Flush()
}

// mermaidText writes whatever Mermaid, Markdown or HTML could take for markup as a character reference of Mermaid's.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == ' ' || r == '/' || r == ':' || r == '-' || r == ',' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) || r == '⚠' || r == '→' || r == '–' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

package picture

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// Style is the style sheet of all pictures, for a page that has them inline. It follows the colours of the page or, in a
// file of its own, the viewer's preference for dark or light.
const Style = `.ns-pic{font:13px/1.4 ui-monospace,monospace;color:#1b1b1f;background:#fff}
.ns-pic text{fill:currentColor;white-space:pre}
.ns-pic .box{fill:#f3f4f6;stroke:#6b7280}
.ns-pic .user .box{fill:#e0ecff;stroke:#2563eb}
.ns-pic .pid .box{fill:#e6f6ea;stroke:#15803d}
.ns-pic .container .box{fill:#fff4d6;stroke:#b45309}
.ns-pic .path .box{fill:#f3e8ff;stroke:#7e22ce}
.ns-pic .warn .box{stroke:#b45309;stroke-width:2}
.ns-pic .bad .box{fill:#fde4e4;stroke:#d32f2f;stroke-width:4}
.ns-pic .edge{fill:none;stroke:#6b7280;stroke-width:1.3}
.ns-pic .dashed{stroke-dasharray:5 4}
.ns-pic .edge.warn{stroke:#b45309;stroke-width:1.8}
.ns-pic .edge.bad{stroke:#d32f2f;stroke-width:3}
.ns-pic .axis{stroke:currentColor;stroke-width:2}
.ns-pic .gap{stroke:currentColor;stroke-width:2;stroke-dasharray:2 4;opacity:.5}
.ns-pic .band{stroke-width:1;fill-opacity:.3}
.ns-pic .c0{fill:#2563eb;stroke:#2563eb}.ns-pic .c1{fill:#15803d;stroke:#15803d}.ns-pic .c2{fill:#b45309;stroke:#b45309}
.ns-pic .c3{fill:#7e22ce;stroke:#7e22ce}.ns-pic .c4{fill:#0e7490;stroke:#0e7490}.ns-pic .c5{fill:#be185d;stroke:#be185d}
.ns-pic .lead{stroke:currentColor;fill:none;opacity:.5}
.ns-pic .overlap{stroke:#d32f2f;stroke-width:7}
.ns-pic .mark{fill:#d32f2f;stroke:#d32f2f}
.ns-pic .mark.in{fill:#15803d;stroke:#15803d}
.ns-pic .small{font-size:11px}
.ns-pic .strong{font-weight:bold}
@media screen and (prefers-color-scheme:dark){.ns-pic{color:#e6e6ea;background:#17181c}
.ns-pic .box{fill:#26282e;stroke:#9ca3af}.ns-pic .user .box{fill:#16264a;stroke:#7aa7ff}.ns-pic .pid .box{fill:#12301c;stroke:#5fd387}
.ns-pic .container .box{fill:#3b2b0c;stroke:#f0b254}.ns-pic .path .box{fill:#2c1a40;stroke:#c79bf2}
.ns-pic .warn .box{stroke:#f0b254}.ns-pic .bad .box{fill:#4a1518;stroke:#ff6b6b}
.ns-pic .edge{stroke:#9ca3af}.ns-pic .edge.warn{stroke:#f0b254}.ns-pic .edge.bad,.ns-pic .overlap{stroke:#ff6b6b}
.ns-pic .c0{fill:#7aa7ff;stroke:#7aa7ff}.ns-pic .c1{fill:#5fd387;stroke:#5fd387}.ns-pic .c2{fill:#f0b254;stroke:#f0b254}
.ns-pic .c3{fill:#c79bf2;stroke:#c79bf2}.ns-pic .c4{fill:#4cc9e0;stroke:#4cc9e0}.ns-pic .c5{fill:#f783b5;stroke:#f783b5}
.ns-pic .mark{fill:#ff6b6b;stroke:#ff6b6b}.ns-pic .mark.in{fill:#5fd387;stroke:#5fd387}}
`

const (
	fontSize  = 13.0 // as in Style
	smallSize = 11.0
	lineStep  = 17.0
	padding   = 8.0
	boxBottom = 13.0 // padding and what letters have below their line
	columnGap = 70.0
	rowGap    = 10.0
	maxChars  = 60  // of a line in a box
	maxLabel  = 160 // of a line beside a number line
)

// smallText is the class of a text that is smaller than others.
const smallText = "small"

// svgWriter collects the elements of a picture and how large it becomes.
type svgWriter struct {
	alone         bool // a file of its own, not a part of a page
	maxChars      int  // longer lines are cut
	body          bytes.Buffer
	width, height float64
}

func (s *svgWriter) reach(x, y float64) {
	s.width, s.height = max(s.width, x), max(s.height, y)
}

func (s *svgWriter) add(format string, args ...any) { fmt.Fprintf(&s.body, format+"\n", args...) }

// text writes a line, cut where it would be too long, with all of it for whoever points at it. It is as wide as it is
// taken for: textLength has it drawn so, whatever the viewer's fonts make of a script.
func (s *svgWriter) text(x, y float64, class, anchor, text string) {
	short := s.cut(text)
	if short == "" {
		return
	}
	title := ""
	if short != text {
		title = "<title>" + escapeXML(text) + "</title>"
	}
	wide := textWidth(class, short)
	s.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s" textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s%s</text>`, x, y, class, anchor, wide, escapeXML(short), title)
	switch anchor {
	case "start":
		s.reach(x+wide, y)
	case "middle":
		s.reach(x+wide/2, y)
	}
}

func (s *svgWriter) cut(text string) string {
	return render.Cut(text, render.TableOptions{Width: s.maxChars})
}

// textWidth is how wide a text is to be: as wide as monospaced fonts have it. There a letter of one column is 0.6 em wide,
// and one of two 1 em, but for emoji.
func textWidth(class, text string) float64 {
	size := fontSize
	if class == smallText {
		size = smallSize
	}
	ems := 0.0
	for _, r := range text {
		columns := render.Width(string(r))
		if columns == 2 && !unicode.Is(unicode.So, r) {
			ems++
		} else {
			ems += 0.6 * float64(columns)
		}
	}
	return ems * size
}

// choice is what the script of a page reads: what a click on an element chooses, and which choices leave it in sight. The
// strings are escaped, so that a line break can part them.
func (s *svgWriter) choice(chosen string, of []string) string {
	if s.alone {
		return ""
	}
	attributes := ""
	if chosen != "" {
		attributes = ` data-choice="` + escapeXML(render.Escape(chosen)) + `"`
		of = append([]string{chosen}, of...)
	}
	escaped := make([]string, 0, len(of))
	for _, o := range of {
		if o = render.Escape(o); o != "" && !slices.Contains(escaped, o) {
			escaped = append(escaped, o)
		}
	}
	return attributes + ` data-of="` + escapeXML(strings.Join(escaped, "\n")) + `"`
}

// escapeXML escapes text and attribute values, in XML and in HTML alike.
func escapeXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer does not fail
	return b.String()
}

// write puts the parts together. Alone it is a file, with the style sheet in it. What is marked is told in words too.
func (s *svgWriter) write(w io.Writer, title string, marked []string) error {
	style, role := "", "group" // in a page, what is in the picture can be reached
	if s.alone {
		style, role = "<style>"+Style+"</style>\n", "img"
	}
	const told = 20
	desc := "Nothing is marked."
	if len(marked) > 0 {
		desc = fmt.Sprintf("%d marked: %s", len(marked), strings.Join(marked[:min(told, len(marked))], "; "))
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" class="ns-pic" role="%s" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">
<title>%s</title>
<desc>%s</desc>
%s%s</svg>
`, role, s.width+padding, s.height+padding, s.width+padding, s.height+padding, escapeXML(render.Escape(title)), escapeXML(desc), style, s.body.String())
	return err
}

// box is where a node is drawn.
type box struct{ x, y, w, h float64 }

// SVG draws the graph in columns from left to right: each box to the right of all that point to it.
func (g *Graph) SVG(w io.Writer, alone bool) error {
	ranks := g.ranks()
	s := svgWriter{alone: alone, maxChars: maxChars}
	boxes := s.place(g, ranks)
	s.reach(200, 40)
	nodes := make(map[string]*Node, len(g.Nodes))
	for i := range g.Nodes {
		nodes[g.Nodes[i].ID] = &g.Nodes[i]
	}
	// What is marked is drawn over what is not.
	edges := slices.Clone(g.Edges)
	slices.SortStableFunc(edges, func(a, b Edge) int { return cmp.Compare(a.Level, b.Level) })
	for i := range edges {
		e := &edges[i]
		of := ""
		if to := nodes[e.To]; to != nil {
			of = s.choice("", append([]string{to.Choice}, to.Of...))
		}
		s.edge(e, boxes[e.From], boxes[e.To], of)
	}
	var marked []string
	for i := range g.Nodes {
		n := &g.Nodes[i]
		lines := n.lines()
		if n.Level > Plain {
			marked = append(marked, strings.Join(lines, ", "))
		}
		s.node(n, lines, boxes[n.ID])
	}
	return s.write(w, g.Title, marked)
}

func (s *svgWriter) edge(e *Edge, from, to box, of string) {
	x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x, to.y+to.h/2
	class := classes("edge", e.Level.class())
	if e.Dashed {
		class += " dashed"
	}
	bend := max((x2-x1)/2, 20)
	s.add(`<g class="part"%s><path class="%s" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/><circle class="edge" cx="%.1f" cy="%.1f" r="2.5"/></g>`,
		of, class, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, x2, y2)
}

func (s *svgWriter) node(n *Node, lines []string, b box) {
	s.add(`<g class="%s"%s>`, classes("part", "node", n.Kind, n.Level.class()), s.choice(n.Choice, n.Of))
	s.add(`<rect class="box" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5"/>`, b.x, b.y, b.w, b.h)
	for j, line := range lines {
		s.text(b.x+padding, b.y+padding+lineStep*(float64(j)+0.7), lineClass(j), "start", line)
	}
	s.add(`</g>`)
	s.reach(b.x+b.w, b.y+b.h)
}

// lineClass is how a box has its lines.
func lineClass(line int) string {
	if line == 0 {
		return ""
	}
	return smallText
}

func classes(names ...string) string {
	return strings.Join(slices.DeleteFunc(names, func(s string) bool { return s == "" }), " ")
}

// ranks is the column of every node: one more than the furthest that points to it.
func (g *Graph) ranks() map[string]int {
	ranks := make(map[string]int, len(g.Nodes))
	indegree := make(map[string]int, len(g.Nodes))
	out := make(map[string][]string, len(g.Nodes))
	for i := range g.Edges {
		e := &g.Edges[i]
		out[e.From] = append(out[e.From], e.To)
		indegree[e.To]++
	}
	var ready []string
	for i := range g.Nodes {
		if indegree[g.Nodes[i].ID] == 0 {
			ready = append(ready, g.Nodes[i].ID)
		}
	}
	for len(ready) > 0 { // what is in a circle never becomes ready, and stays in the first column
		id := ready[0]
		ready = ready[1:]
		for _, to := range out[id] {
			ranks[to] = max(ranks[to], ranks[id]+1)
			if indegree[to]--; indegree[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return ranks
}

// place gives every node its box. Nodes of a column stand in the order of what points to them, as high as that if there
// is room.
func (s *svgWriter) place(g *Graph, ranks map[string]int) map[string]box {
	parents := make(map[string][]string, len(g.Nodes))
	for i := range g.Edges {
		e := &g.Edges[i]
		parents[e.To] = append(parents[e.To], e.From)
	}
	columns := make(map[int][]*Node)
	last := 0
	for i := range g.Nodes {
		rank := ranks[g.Nodes[i].ID]
		columns[rank] = append(columns[rank], &g.Nodes[i])
		last = max(last, rank)
	}
	boxes := make(map[string]box, len(g.Nodes))
	x := padding
	for rank := 0; rank <= last; rank++ {
		wish := make(map[*Node]float64)
		for _, n := range columns[rank] {
			sum, count := 0.0, 0.0
			for _, p := range parents[n.ID] {
				if b, ok := boxes[p]; ok {
					sum, count = sum+b.y, count+1
				}
			}
			if count > 0 {
				wish[n] = sum / count
			}
		}
		slices.SortStableFunc(columns[rank], func(a, b *Node) int { return cmp.Compare(wish[a], wish[b]) })
		y, widest := padding, 0.0
		for _, n := range columns[rank] {
			lines := n.lines()
			b := box{x: x, y: max(y, wish[n]), w: 60, h: float64(len(lines))*lineStep + boxBottom}
			for j, line := range lines {
				b.w = max(b.w, textWidth(lineClass(j), s.cut(line))+2*padding)
			}
			y = b.y + b.h + rowGap
			widest = max(widest, b.w)
			boxes[n.ID] = b
		}
		x += widest + columnGap
	}
	return boxes
}

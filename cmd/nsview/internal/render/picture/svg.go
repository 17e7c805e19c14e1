package picture

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// Style is the style sheet of all pictures, for a page that has them inline. It follows the colours of the page or, in a
// file of its own, the viewer's preference for dark or light.
const Style = `.ns-pic{font:13px/1.4 system-ui,sans-serif;color:#1b1b1f;background:#fff}
.ns-pic text{fill:currentColor}
.ns-pic .box{fill:#f3f4f6;stroke:#6b7280}
.ns-pic .user .box{fill:#e0ecff;stroke:#2563eb}
.ns-pic .pid .box{fill:#e6f6ea;stroke:#15803d}
.ns-pic .container .box{fill:#fff4d6;stroke:#b45309}
.ns-pic .path .box{fill:#f3e8ff;stroke:#7e22ce}
.ns-pic .bad .box{stroke:#d32f2f;stroke-width:3}
.ns-pic .edge{fill:none;stroke:#6b7280;stroke-width:1.3}
.ns-pic .dashed{stroke-dasharray:5 4}
.ns-pic .edge.bad{stroke:#d32f2f;stroke-width:2}
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
@media (prefers-color-scheme:dark){.ns-pic{color:#e6e6ea;background:#17181c}
.ns-pic .box{fill:#26282e;stroke:#9ca3af}.ns-pic .user .box{fill:#16264a;stroke:#7aa7ff}.ns-pic .pid .box{fill:#12301c;stroke:#5fd387}
.ns-pic .container .box{fill:#3b2b0c;stroke:#f0b254}.ns-pic .path .box{fill:#2c1a40;stroke:#c79bf2}.ns-pic .bad .box{stroke:#ff6b6b}
.ns-pic .edge{stroke:#9ca3af}.ns-pic .edge.bad,.ns-pic .overlap{stroke:#ff6b6b}.ns-pic .mark{fill:#ff6b6b;stroke:#ff6b6b}.ns-pic .mark.in{fill:#5fd387;stroke:#5fd387}}
`

const (
	charWidth = 7.4
	lineStep  = 17.0
	padding   = 8.0
	columnGap = 70.0
	rowGap    = 10.0
	maxChars  = 60
)

// svgWriter collects the elements of a picture and how large it becomes.
type svgWriter struct {
	body          bytes.Buffer
	width, height float64
}

func (s *svgWriter) reach(x, y float64) {
	s.width, s.height = max(s.width, x), max(s.height, y)
}

func (s *svgWriter) add(format string, args ...any) { fmt.Fprintf(&s.body, format+"\n", args...) }

// text writes a line, cut where it would be too long, with all of it for whoever points at it.
func (s *svgWriter) text(x, y float64, class, anchor, text string) {
	short := render.Cut(text, render.TableOptions{Width: maxChars})
	title := ""
	if short != text {
		title = "<title>" + escapeXML(text) + "</title>"
	}
	s.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s%s</text>`, x, y, class, anchor, escapeXML(short), title)
	switch wide := textWidth(short); anchor {
	case "start":
		s.reach(x+wide, y)
	case "middle":
		s.reach(x+wide/2, y)
	}
}

func textWidth(s string) float64 { return float64(render.Width(s)) * charWidth }

// escapeXML escapes text and attribute values, in XML and in HTML alike.
func escapeXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer does not fail
	return b.String()
}

// write puts the parts together. Alone it is a file, with the style sheet in it.
func (s *svgWriter) write(w io.Writer, title string, alone bool) error {
	style := ""
	if alone {
		style = "<style>" + Style + "</style>\n"
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" class="ns-pic" role="img" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">
<title>%s</title>
%s%s</svg>
`, s.width+padding, s.height+padding, s.width+padding, s.height+padding, escapeXML(render.Escape(title)), style, s.body.String())
	return err
}

// box is where a node is drawn.
type box struct{ x, y, w, h float64 }

// SVG draws the graph in columns from left to right: each box to the right of all that point to it.
func (g *Graph) SVG(w io.Writer, alone bool) error {
	ranks := g.ranks()
	boxes := g.place(ranks)
	var s svgWriter
	s.reach(200, 40)
	for i := range g.Edges {
		e := &g.Edges[i]
		from, to := boxes[e.From], boxes[e.To]
		x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x, to.y+to.h/2
		class := "edge"
		if e.Dashed {
			class += " dashed"
		}
		if e.Bad {
			class += " bad"
		}
		bend := max((x2-x1)/2, 20)
		s.add(`<path class="%s" d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`, class, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2)
		s.add(`<circle class="edge" cx="%.1f" cy="%.1f" r="2.5"/>`, x2, y2)
		if label := e.label(); label != "" {
			s.text((x1+x2)/2, (y1+y2)/2-4, "small", "middle", label)
		}
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		b := boxes[n.ID]
		class := strings.TrimSpace("node " + n.Kind)
		if n.Bad {
			class += " bad"
		}
		s.add(`<g class="%s">`, class)
		s.add(`<rect class="box" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5"/>`, b.x, b.y, b.w, b.h)
		for j, line := range n.lines() {
			size := ""
			if j > 0 {
				size = "small"
			}
			s.text(b.x+padding, b.y+padding+lineStep*(float64(j)+0.7), size, "start", line)
		}
		s.add(`</g>`)
		s.reach(b.x+b.w, b.y+b.h)
	}
	return s.write(w, g.Title, alone)
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
func (g *Graph) place(ranks map[string]int) map[string]box {
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
			b := box{x: x, y: max(y, wish[n]), w: 60, h: float64(len(lines))*lineStep + padding}
			for _, line := range lines {
				b.w = max(b.w, min(textWidth(line), maxChars*charWidth)+2*padding)
			}
			y = b.y + b.h + rowGap
			widest = max(widest, b.w)
			boxes[n.ID] = b
		}
		x += widest + columnGap
	}
	return boxes
}

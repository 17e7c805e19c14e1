package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/procscan/proctest"
)

func hostile() []string {
	return append(append(proctest.Hostile(), proctest.Scripts()...), "<script>alert(1)</script>", "</svg><img src=x onerror=alert(1)>", "]]>", "&lt;", `"]; a -> b; "`, "#quot;", "`**x**`", "-->", "%%{init}%%", `click n0 "javascript:alert(1)"`)
}

func hostileGraph() *Graph {
	g := &Graph{Title: "</title><script>"}
	for i, s := range hostile() {
		g.Nodes = append(g.Nodes, Node{ID: s + fmt.Sprint(i), Lines: []string{s, "second " + s}, Kind: "user", Level: []Level{Broken, Plain, Warning, Plain, Plain}[i%5]})
		if i > 0 {
			g.Edges = append(g.Edges, Edge{From: g.Nodes[i/3].ID, To: g.Nodes[i].ID, Dashed: i%2 == 0, Level: g.Nodes[i].Level})
		}
	}
	return g
}

// svgTexts reads an SVG as XML and returns what its text elements say. Nothing but the elements that are drawn is in it.
func svgTexts(t *testing.T, svg []byte) []string {
	t.Helper()
	known := map[string]bool{"svg": true, "title": true, "desc": true, "style": true, "g": true, "rect": true, "path": true, "text": true, "circle": true}
	dec := xml.NewDecoder(bytes.NewReader(svg))
	var texts []string
	inside := ""
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if !known[e.Name.Local] {
				t.Fatalf("an element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Fatalf("an attribute %s", a.Name.Local)
				}
			}
			inside = e.Name.Local
			if inside == "text" {
				texts = append(texts, "")
			}
		case xml.EndElement:
			if inside = ""; e.Name.Local == "title" {
				inside = "text" // what is cut has its title in the text
			}
		case xml.CharData:
			if inside == "text" && len(texts) > 0 {
				texts[len(texts)-1] += string(e)
			}
		}
	}
}

func TestGraphSVG(t *testing.T) {
	g := hostileGraph()
	var b bytes.Buffer
	if err := g.SVG(&b, true); err != nil {
		t.Fatal(err)
	}
	texts := strings.Join(svgTexts(t, b.Bytes()), "\n")
	for _, s := range hostile() {
		if want := render.Cut(render.Escape(s), render.TableOptions{Width: maxChars}); !strings.Contains(texts, want) {
			t.Errorf("%q is not in the picture", want)
		}
	}
}

// A graph with a circle is drawn, and every box has a place of its own.
func TestGraphPlaces(t *testing.T) {
	g := &Graph{}
	for i := range 50 {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Lines: []string{"a", "b"}})
		g.Edges = append(g.Edges, Edge{From: fmt.Sprint(i), To: fmt.Sprint((i * 7) % 50)}, Edge{From: fmt.Sprint(i / 2), To: fmt.Sprint(i)})
	}
	boxes := new(svgWriter).place(g, g.ranks())
	for a, x := range boxes {
		for b, y := range boxes {
			if a != b && x.x < y.x+y.w && y.x < x.x+x.w && x.y < y.y+y.h && y.y < x.y+x.h {
				t.Fatalf("boxes %s and %s overlap", a, b)
			}
		}
	}
	tree := &Graph{Nodes: []Node{{ID: "a"}, {ID: "b"}, {ID: "c"}}, Edges: []Edge{{From: "a", To: "b"}, {From: "b", To: "c"}, {From: "a", To: "c"}}}
	if ranks := tree.ranks(); ranks["a"] != 0 || ranks["b"] != 1 || ranks["c"] != 2 {
		t.Errorf("%v", ranks)
	}
}

// graphviz reads what is written, and shows the names as they are.
func TestDOT(t *testing.T) {
	dot, err := exec.LookPath("dot")
	proctest.Need(t, "graphviz", err == nil, "it reads the DOT")
	var b bytes.Buffer
	g := hostileGraph()
	if err := g.DOT(&b); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dot, "-Tplain")
	cmd.Stdin = &b
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	nodes := strings.Count("\n"+string(out), "\nnode ")
	if edges := strings.Count("\n"+string(out), "\nedge "); nodes != len(g.Nodes) || edges != len(g.Edges) {
		t.Errorf("%d nodes and %d edges, want %d and %d", nodes, edges, len(g.Nodes), len(g.Edges))
	}
}

// Mermaid has one line for each box and arrow, and no character that it could take for more than text.
func TestMermaid(t *testing.T) {
	var b bytes.Buffer
	g := hostileGraph()
	if err := g.Mermaid(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if want := 1 + len(g.Nodes) + len(g.Edges) + 2*3; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	for _, line := range lines[1 : 1+len(g.Nodes)] {
		if strings.Count(line, `"`) != 2 || strings.ContainsAny(strings.ReplaceAll(line, "<br>", ""), "<>`*()") {
			t.Errorf("%s", line)
		}
	}
}

func TestRibbons(t *testing.T) {
	r := &Ribbons{
		Title: "t", Notes: []string{"note <b>"},
		Bands: []Band{
			{Inside: 0, Outside: 100000, Count: 65536, Label: "web"},
			{Inside: 0, Outside: 150000, Count: 65536, Label: "db\x1b", Color: 1},
			{Inside: 1000, Outside: 1000, Count: 1, Label: "keep", Color: 2},
		},
		Overlaps: []Span{{First: 150000, Count: 15536, Label: "shared"}},
		Marks:    []Mark{{ID: 1000, Label: "in", In: true}, {ID: 7, Label: "out"}, {ID: 4294967294, Label: "last"}},
	}
	var b bytes.Buffer
	if err := r.SVG(&b, false); err != nil {
		t.Fatal(err)
	}
	texts := strings.Join(svgTexts(t, b.Bytes()), "\n")
	for _, want := range []string{"note <b>", "0–65535 → 100000–165535 web", "⚠ 150000–165535 shared", "✓ 1000", "⚠ 7", `db\x1b`, "⚠ 4294967294"} {
		if !strings.Contains(strings.ReplaceAll(texts, "  ", " "), want) {
			t.Errorf("%q is not in the picture:\n%s", want, texts)
		}
	}
	if strings.Contains(b.String(), "<style>") {
		t.Error("a picture in a page has a style sheet of its own")
	}
	g := r.Graph()
	if len(g.Nodes) != 1+6+1+3 || len(g.Edges) != 3+2+1 {
		t.Errorf("%d boxes and %d arrows", len(g.Nodes), len(g.Edges))
	}
}

// Numbers between those that matter have places between theirs.
func TestAxis(t *testing.T) {
	a := newAxis([]uint64{0, 1000, 1000, 4294967295}, 10)
	last := -1.0
	for _, id := range []uint64{0, 1, 500, 999, 1000, 1001, 70000, 4294967294, 4294967295} {
		if y := a.pos(id); y <= last {
			t.Errorf("%d is at %f, after %f", id, y, last)
		} else {
			last = y
		}
	}
}

// A part of a number line is dashed where no band is, also after one that ends within another.
func TestLine(t *testing.T) {
	bands := []Band{{Inside: 200, Count: 10}, {Inside: 10, Count: 10}, {Inside: 0, Count: 100}, {Inside: 210, Count: 5}}
	first := func(b Band) uint64 { return b.Inside }
	r := &Ribbons{Bands: bands}
	inside, _ := r.axes(0)
	var s svgWriter
	s.line(inside, 0, bands, first)
	var got []string
	for line := range strings.Lines(s.body.String()) {
		got = append(got, strings.Split(line, `"`)[1])
	}
	if want := "axis axis axis gap axis axis"; strings.Join(got, " ") != want { // 0 10 20 100 200 210 215
		t.Errorf("%v, want %s", got, want)
	}
}

// As many extents as the kernel takes, of as many maps as a host with a user namespace for each container has.
func BenchmarkRibbons(b *testing.B) {
	const maps, extents = 80, 340
	r := &Ribbons{}
	for m := range uint64(maps) {
		for e := range uint64(extents) {
			r.Bands = append(r.Bands, Band{Inside: e * 200, Outside: 1_000_000 + (m*extents+e)*200, Count: 100, Label: fmt.Sprint("docker:", m), Color: int(m)})
		}
	}
	b.Run("svg", func(b *testing.B) {
		for b.Loop() {
			if err := r.SVG(io.Discard, true); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mermaid", func(b *testing.B) {
		for b.Loop() {
			if err := r.Graph().Mermaid(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

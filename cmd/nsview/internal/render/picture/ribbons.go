package picture

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
)

// Ribbons draws id maps between two number lines: ids inside on the left, ids outside on the right. Neither line is to
// scale: every number at which something begins or ends has room of its own, and a dashed part belongs to nobody.
type Ribbons struct {
	Title    string
	Notes    []string
	Bands    []Band
	Overlaps []Span
	Marks    []Mark
}

// Band is an extent of an id map.
type Band struct {
	Inside, Outside, Count uint64
	Label                  string
	Color                  int      // bands of one map have one
	Of                     []string // as a node's
}

// Span are outside ids that several maps lead to.
type Span struct {
	First, Count uint64
	Label        string
	Of           []string
}

// Mark is an outside id that is pointed at.
type Mark struct {
	ID    uint64
	Label string
	In    bool // a map leads to it
	Of    []string
}

const (
	insideX  = 100.0
	outsideX = 380.0
	numberX  = outsideX + 15  // of the outside line's own numbers
	leadX    = outsideX + 84  // behind them
	labelX   = outsideX + 130 // of texts
	bandTop  = 46.0
)

// axis is a number line: positions of the numbers at which something changes.
type axis struct {
	at []uint64
	y  []float64
}

func newAxis(bounds []uint64, top float64) *axis {
	slices.Sort(bounds)
	a := &axis{at: slices.Compact(bounds)}
	y := top
	for i, b := range a.at {
		if i > 0 {
			y += 16 + 5*math.Log10(float64(b-a.at[i-1]))
		}
		a.y = append(a.y, y)
	}
	return a
}

func (a *axis) pos(id uint64) float64 {
	i, found := slices.BinarySearch(a.at, id)
	if found {
		return a.y[i]
	}
	if i == 0 || i == len(a.at) {
		return a.y[min(i, len(a.at)-1)]
	}
	return a.y[i-1] + (a.y[i]-a.y[i-1])*float64(id-a.at[i-1])/float64(a.at[i]-a.at[i-1])
}

// label is a text beside the outside line, with a line that leads to it.
type label struct {
	from  float64
	text  string
	class string
	sign  string // a class of what stands before the text, "" for nothing
	of    []string
	point bool // at one id, to which the line leads
}

// SVG draws the ribbons.
func (r *Ribbons) SVG(w io.Writer, alone bool) error {
	s := svgWriter{alone: alone, maxChars: maxLabel}
	s.reach(labelX+200, bandTop)
	y := 20.0
	for _, note := range r.Notes {
		s.text(padding, y, "", "start", render.Escape(note))
		y += lineStep
	}
	top := y + 34
	s.text(insideX, top-18, "strong", "middle", "inside")
	s.text(outsideX, top-18, "strong", "middle", "outside")
	inside, outside := r.axes(top)
	labels, marked := s.bands(r.Bands, inside, outside), []string(nil)
	s.line(inside, insideX, r.Bands, func(b Band) uint64 { return b.Inside })
	s.line(outside, outsideX, r.Bands, func(b Band) uint64 { return b.Outside })
	s.numbers(inside, insideX-8, "end", r.Bands, func(b Band) uint64 { return b.Inside })
	s.numbers(outside, numberX, "start", r.Bands, func(b Band) uint64 { return b.Outside })
	for _, o := range r.Overlaps {
		y1, y2 := outside.pos(o.First), outside.pos(o.First+o.Count)
		text := badMark + spanText(o.First, o.Count) + "  " + render.Escape(o.Label)
		s.add(`<path class="part overlap"%s d="M%.1f %.1fV%.1f"/>`, s.choice("", o.Of), outsideX, y1, y2)
		labels = append(labels, label{(y1 + y2) / 2, text, "", "", o.Of, false})
		marked = append(marked, text)
	}
	for _, m := range r.Marks {
		class, strong, sign := "mark", "strong", badMark
		if m.In {
			class, strong, sign = "mark in", "", "✓ "
		}
		at := (outside.pos(m.ID) + outside.pos(m.ID+1)) / 2
		text := sign + strconv.FormatUint(m.ID, 10) + "  " + render.Escape(m.Label)
		s.add(`<path class="part %s"%s d="M%.1f %.1fl10 -5v10z"/>`, class, s.choice("", m.Of), outsideX+2, at)
		labels = append(labels, label{at, text, strong, "", m.Of, true})
		if !m.In {
			marked = append(marked, text)
		}
	}
	s.labels(labels, top)
	for _, a := range []*axis{inside, outside} {
		if len(a.y) > 0 {
			s.reach(0, a.y[len(a.y)-1]+10)
		}
	}
	return s.write(w, r.Title, marked)
}

// axes are the inside line and the outside line.
func (r *Ribbons) axes(top float64) (inside, outside *axis) {
	var in, out []uint64
	for _, b := range r.Bands {
		in = append(in, b.Inside, b.Inside+b.Count)
		out = append(out, b.Outside, b.Outside+b.Count)
	}
	for _, m := range r.Marks {
		out = append(out, m.ID, m.ID+1)
	}
	return newAxis(in, top), newAxis(out, top)
}

// bands draws the ribbons, and returns what is to stand beside them.
func (s *svgWriter) bands(bands []Band, inside, outside *axis) []label {
	var labels []label
	for _, b := range bands {
		i1, i2, o1, o2 := inside.pos(b.Inside), inside.pos(b.Inside+b.Count), outside.pos(b.Outside), outside.pos(b.Outside+b.Count)
		mid := (insideX + outsideX) / 2
		text := fmt.Sprintf("%s → %s  %s", spanText(b.Inside, b.Count), spanText(b.Outside, b.Count), render.Escape(b.Label))
		color := fmt.Sprintf("c%d", b.Color%6)
		s.add(`<path class="part band %s"%s d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fL%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fZ"><title>%s</title></path>`, color, s.choice("", b.Of),
			insideX, i1, mid, i1, mid, o1, outsideX, o1, outsideX, o2, mid, o2, mid, i2, insideX, i2, escapeXML(text))
		labels = append(labels, label{(o1 + o2) / 2, text, "", color, b.Of, false})
	}
	return labels
}

// numbers writes the first and the last id of every extent at the line.
func (s *svgWriter) numbers(a *axis, x float64, anchor string, bands []Band, first func(Band) uint64) {
	begins, ends := make(map[uint64]bool), make(map[uint64]bool)
	for _, b := range bands {
		begins[first(b)], ends[first(b)+b.Count] = true, true
	}
	for i, bound := range a.at {
		switch {
		case begins[bound]:
			s.text(x, a.y[i]+4, smallText, anchor, strconv.FormatUint(bound, 10))
		case ends[bound] && !begins[bound-1]:
			s.text(x, a.y[i]+4, smallText, anchor, strconv.FormatUint(bound-1, 10))
		}
	}
}

// labels writes the texts beside the outside line, one below the other.
func (s *svgWriter) labels(labels []label, top float64) {
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.from, b.from) })
	next := top - lineStep
	for _, l := range labels {
		next = max(next+lineStep, l.from)
		points := ""
		if l.point {
			points = fmt.Sprintf("M%.1f %.1fH%.1f", numberX, l.from, leadX)
		}
		s.add(`<g class="part"%s><path class="lead" d="%sM%.1f %.1fL%.1f %.1f"/>`, s.choice("", l.of), points, leadX, l.from, labelX-5, next)
		x := labelX
		if l.sign != "" {
			s.add(`<rect class="%s" x="%.1f" y="%.1f" width="10" height="10"/>`, l.sign, x, next-5)
			x += 16
		}
		s.text(x, next+4, l.class, "start", l.text)
		s.add(`</g>`)
	}
}

// line draws a number line; parts that belong to nobody are dashed.
func (s *svgWriter) line(a *axis, x float64, bands []Band, first func(Band) uint64) {
	bands = slices.SortedFunc(slices.Values(bands), func(a, b Band) int { return cmp.Compare(first(a), first(b)) })
	end := uint64(0) // of the bands that begin where a part does, or before
	for i := 1; i < len(a.at); i++ {
		for len(bands) > 0 && first(bands[0]) <= a.at[i-1] {
			end = max(end, first(bands[0])+bands[0].Count)
			bands = bands[1:]
		}
		class := "gap"
		if a.at[i-1] < end {
			class = "axis"
		}
		s.add(`<path class="%s" d="M%.1f %.1fV%.1f"/>`, class, x, a.y[i-1], a.y[i])
	}
}

func within(id, first, count uint64) bool { return id >= first && id-first < count }

func spanText(first, count uint64) string {
	if count == 1 {
		return strconv.FormatUint(first, 10)
	}
	return fmt.Sprintf("%d–%d", first, first+count-1)
}

// Graph is the same as boxes and arrows, for formats without number lines.
func (r *Ribbons) Graph() *Graph {
	g := &Graph{Title: r.Title}
	node := func(id, kind string, bad bool, lines ...string) string {
		level := Plain
		if bad {
			level = Broken
		}
		return g.Add(Node{ID: id, Kind: kind, Level: level, Lines: lines})
	}
	for i, note := range r.Notes {
		node(fmt.Sprintf("note %d", i), "note", false, note)
	}
	for _, b := range r.Bands {
		in, out := spanText(b.Inside, b.Count), spanText(b.Outside, b.Count)
		g.Edges = append(g.Edges, Edge{
			From: node("in "+b.Label+" "+in, "container", false, "inside "+in, b.Label),
			To:   node("out "+out, "user", false, "outside "+out),
		})
	}
	for i, o := range r.Overlaps {
		id := node(fmt.Sprintf("overlap %d", i), "user", true, spanText(o.First, o.Count), o.Label)
		for _, b := range r.Bands {
			if b.Outside < o.First+o.Count && o.First < b.Outside+b.Count {
				g.Edges = append(g.Edges, Edge{From: "out " + spanText(b.Outside, b.Count), To: id, Dashed: true, Level: Broken})
			}
		}
	}
	g.Edges = uniqueEdges(g.Edges)
	for _, m := range r.Marks {
		id := node(fmt.Sprintf("mark %d %s", m.ID, m.Label), "path", !m.In, fmt.Sprintf("outside %d", m.ID), m.Label)
		for _, b := range r.Bands {
			if within(m.ID, b.Outside, b.Count) {
				g.Edges = append(g.Edges, Edge{From: "out " + spanText(b.Outside, b.Count), To: id, Dashed: true})
				break
			}
		}
	}
	return g
}

func uniqueEdges(edges []Edge) []Edge {
	seen := make(map[Edge]bool, len(edges))
	return slices.DeleteFunc(edges, func(e Edge) bool {
		again := seen[e]
		seen[e] = true
		return again
	})
}

package render

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Table is a borderless table as ps and kubectl print it. Cells are escaped when it is rendered; an empty cell is
// printed as "-", so that every line has the same number of columns.
type Table struct {
	Header []string
	Rows   [][]string

	Spare   []int // columns that are left out, one after the other, where lines would have to be cut
	KeepEnd []int // columns that are cut at the front: paths
}

// TableOptions says how a table or a tree is printed.
type TableOptions struct {
	NoHeaders bool
	Width     int  // cut lines to this many columns; 0 does not cut
	ASCII     bool // draw trees and cuts in ASCII: the locale is not UTF-8
	Color     bool // ANSI colours: headers bold, unmapped ids red
}

// minColumn is how far a column may be cut before whole lines are: a namespace's inode still fits.
const minColumn = 10

const (
	columnGap = 2
	bold      = "\x1b[1m"
	red       = "\x1b[31m"
	reset     = "\x1b[0m"
)

// Render writes the table.
func (t *Table) Render(w io.Writer, o TableOptions) error {
	header, rows := t.escaped(o)
	if o.Width > 0 {
		gone := spareColumns(header, rows, t.Spare, o.Width)
		var ends []int
		for _, i := range t.KeepEnd {
			ends = append(ends, i-countBelow(gone, i))
		}
		for _, i := range gone {
			header = dropColumn(header, i)
			for n := range rows {
				rows[n] = dropColumn(rows[n], i)
			}
		}
		cutColumns(header, rows, ends, o)
	}
	var buf bytes.Buffer
	if err := layOut(&buf, header, rows); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	for first := true; buf.Len() > 0; first = false {
		line, err := buf.ReadString('\n')
		if err != nil && line == "" {
			break
		}
		line = strings.TrimRight(line, " \n")
		line = cut(line, o.Width, o.ASCII)
		if o.Color {
			line = paint(line, first && header != nil)
		}
		fmt.Fprintln(out, line)
	}
	return out.Flush()
}

func (t *Table) escaped(o TableOptions) (header []string, rows [][]string) {
	if !o.NoHeaders {
		for _, name := range t.Header {
			header = append(header, Escape(name))
		}
	}
	rows = make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = make([]string, len(t.Header))
		for j := range rows[i] {
			rows[i][j] = "-"
			if j < len(row) && row[j] != "" {
				rows[i][j] = Escape(row[j])
			}
		}
	}
	return header, rows
}

// layOut lets tablewriter align the columns.
func layOut(w io.Writer, header []string, rows [][]string) error {
	if len(header) == 0 && len(rows) == 0 {
		return nil
	}
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: strings.Repeat(" ", columnGap), Overwrite: true}},
	}
	table := tablewriter.NewTable(w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{Lines: tw.LinesNone, Separators: tw.SeparatorsNone},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: cell, Row: cell, Behavior: tw.Behavior{TrimSpace: tw.Off, TrimLine: tw.Off}}),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithEastAsian(tw.Off),
	)
	if len(header) > 0 {
		table.Header(header)
	}
	if err := table.Bulk(rows); err != nil {
		return err
	}
	return table.Render()
}

// spareColumns are the columns to leave out, the last in the line first.
func spareColumns(header []string, rows [][]string, spare []int, width int) []int {
	widths := columnWidths(header, rows)
	total := -columnGap
	for _, w := range widths {
		total += w + columnGap
	}
	var gone []int
	for _, i := range spare {
		if total <= width {
			break
		}
		if i < len(widths) {
			total -= widths[i] + columnGap
			gone = append(gone, i)
		}
	}
	slices.SortFunc(gone, func(a, b int) int { return b - a })
	return gone
}

func dropColumn(cells []string, i int) []string {
	if i >= len(cells) {
		return cells
	}
	return slices.Delete(cells, i, i+1)
}

func countBelow(list []int, limit int) int {
	n := 0
	for _, i := range list {
		if i < limit {
			n++
		}
	}
	return n
}

// cutColumns shortens the widest columns, none below minColumn, until the lines fit or cannot.
func cutColumns(header []string, rows [][]string, keepEnd []int, o TableOptions) {
	widths := columnWidths(header, rows)
	total := -columnGap
	for _, w := range widths {
		total += w + columnGap
	}
	cutTo := make(map[int]int)
	for total > o.Width {
		widest := 0
		for i, w := range widths {
			if w >= widths[widest] {
				widest = i
			}
		}
		if len(widths) == 0 || widths[widest] <= minColumn {
			break
		}
		widths[widest]--
		total--
		cutTo[widest] = widths[widest]
	}
	for col, width := range cutTo {
		for _, row := range rows {
			if slices.Contains(keepEnd, col) {
				row[col] = cutFront(row[col], width, o.ASCII)
			} else {
				row[col] = cut(row[col], width, o.ASCII)
			}
		}
		if header != nil {
			header[col] = cut(header[col], width, o.ASCII)
		}
	}
}

func columnWidths(header []string, rows [][]string) []int {
	var widths []int
	for _, row := range append([][]string{header}, rows...) {
		for len(widths) < len(row) {
			widths = append(widths, 0)
		}
		for i, cell := range row {
			widths[i] = max(widths[i], twwidth.Width(cell))
		}
	}
	return widths
}

// Cut shortens a line to the width that o asks for.
func Cut(line string, o TableOptions) string { return cut(line, o.Width, o.ASCII) }

// cut shortens s to width columns, 0 leaves it alone, and marks where it did.
func cut(s string, width int, ascii bool) string {
	if width <= 0 || twwidth.Width(s) <= width {
		return s
	}
	return twwidth.Truncate(s, width, cutMark(ascii))
}

func cutMark(ascii bool) string {
	if ascii {
		return "+"
	}
	return "…"
}

// cutFront is cut at the other end.
func cutFront(s string, width int, ascii bool) string {
	if width <= 0 || twwidth.Width(s) <= width {
		return s
	}
	start := len(s)
	for start > 0 {
		_, size := utf8.DecodeLastRuneInString(s[:start])
		if 1+twwidth.Width(s[start-size:]) > width {
			break
		}
		start -= size
	}
	return cutMark(ascii) + s[start:]
}

func paint(line string, header bool) string {
	if header {
		return bold + line + reset
	}
	return strings.ReplaceAll(line, "unmapped", red+"unmapped"+reset)
}

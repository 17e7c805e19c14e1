package render

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Table is a borderless table as ps and kubectl print it. Cells are escaped when it is rendered; an empty cell is
// printed as "-", so that every line has the same number of columns.
type Table struct {
	Header []string
	Rows   [][]string

	Titles  map[string]string // of columns that are called something else than by their name in Header
	Spare   []int             // columns that are left out, one after the other, where lines would have to be cut
	Narrow  []int             // columns that are left out after those, where cutting the others is not enough
	KeepEnd []int             // columns that are cut at the front: paths
	Tree    bool              // the last column is a tree, of which more must be left
	Escaped bool              // the cells are escaped already
}

// TableOptions says how a table or a tree is printed.
type TableOptions struct {
	NoHeaders bool
	Width     int  // cut lines to this many columns; 0 does not cut
	ASCII     bool // draw trees and cuts in ASCII: the locale is not UTF-8
	Color     bool // ANSI colours: headers bold, unmapped ids, refusals and errors red: the word is there without, too
}

// How far a column may be cut before whole lines are: a namespace's inode still fits, in a tree with its type.
const (
	minColumn = 10
	minTree   = 24
)

const (
	columnGap = 2
	bold      = "\x1b[1m"
	red       = "\x1b[31m"
	reset     = "\x1b[0m"
)

// Render writes the table.
func (t *Table) Render(w io.Writer, o TableOptions) error {
	header := t.header(o)
	if o.Width == 0 {
		return t.write(w, o, header, t.Rows, t.cells)
	}
	rows := t.escaped()
	gone := t.leftOut(columnWidths(header, rows), o.Width)
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
	t.cutColumns(header, rows, ends, o)
	return t.write(w, o, header, rows, func(row, _ []string) []string { return row })
}

// write prints rows, each as cells has it.
func (t *Table) write(w io.Writer, o TableOptions, header []string, rows [][]string, cells func(row, into []string) []string) error {
	var into []string
	widths := addWidths(nil, header)
	for _, row := range rows {
		into = cells(row, into)
		widths = addWidths(widths, into)
	}
	out := bufio.NewWriterSize(w, outputBuffer)
	var line []byte
	write := func(cells []string, first bool) {
		line = layOut(line[:0], cells, widths)
		if o.Width == 0 && !o.Color {
			out.Write(append(line, '\n')) // Flush tells
			return
		}
		text := cut(string(line), o.Width, o.ASCII)
		if o.Color {
			text = paint(text, first)
		}
		fmt.Fprintln(out, text)
	}
	if header != nil {
		write(header, true)
	}
	for _, row := range rows {
		into = cells(row, into)
		write(into, false)
	}
	return out.Flush()
}

// outputBuffer is how much is written at a time: a pipe holds that much.
const outputBuffer = 64 << 10

// layOut appends a line with each cell as wide as its column. It has no blanks at its end.
func layOut(line []byte, cells []string, widths []int) []byte {
	for i, cell := range cells {
		line = append(line, cell...)
		if i < len(cells)-1 {
			for range widths[i] + columnGap - Width(cell) {
				line = append(line, ' ')
			}
		}
	}
	return bytes.TrimRight(line, " ")
}

func (t *Table) header(o TableOptions) []string {
	if o.NoHeaders {
		return nil
	}
	var header []string
	for _, name := range t.Header {
		if title := t.Titles[name]; title != "" {
			name = title
		}
		header = append(header, Escape(name))
	}
	return header
}

// escaped are the rows as they are printed: copies, to be cut.
func (t *Table) escaped() [][]string {
	rows := make([][]string, len(t.Rows))
	columns := len(t.Header)
	all := make([]string, len(t.Rows)*columns)
	for i, row := range t.Rows {
		rows[i] = t.cells(row, all[i*columns:(i+1)*columns:(i+1)*columns])
	}
	return rows
}

// cells are those of a row as they are printed, one for each column. into is used for them where it is large enough.
func (t *Table) cells(row, into []string) []string {
	into = slices.Grow(into[:0], len(t.Header))[:len(t.Header)]
	for i := range into {
		into[i] = "-"
		if i < len(row) && row[i] != "" {
			into[i] = row[i]
			if !t.Escaped {
				into[i] = Escape(row[i])
			}
		}
	}
	return into
}

// Pick leaves only the columns of those names, in that order. The names are those of the header, in any case.
func (t *Table) Pick(names []string) error {
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = slices.IndexFunc(t.Header, func(h string) bool { return strings.EqualFold(h, name) })
		if at[i] < 0 {
			return fmt.Errorf("no column \"%s\"", name)
		}
	}
	pick := func(cells []string) []string {
		picked := make([]string, len(at))
		for i, from := range at {
			if from < len(cells) {
				picked[i] = cells[from]
			}
		}
		return picked
	}
	keepEnd := t.KeepEnd
	t.KeepEnd, t.Spare, t.Narrow = nil, nil, nil
	for i, from := range at {
		if slices.Contains(keepEnd, from) {
			t.KeepEnd = append(t.KeepEnd, i)
		}
	}
	t.Header = pick(t.Header)
	for i := range t.Rows {
		t.Rows[i] = pick(t.Rows[i])
	}
	return nil
}

// Columns are the names that Pick takes.
func (t *Table) Columns() []string {
	names := make([]string, len(t.Header))
	for i, name := range t.Header {
		names[i] = strings.ToLower(name)
	}
	return names
}

// leftOut are the columns to leave out, the last in the line first.
func (t *Table) leftOut(widths []int, width int) []int {
	var gone []int
	leave := func(columns []int, width int, widths []int) {
		total := lineWidth(widths)
		for _, i := range gone {
			total -= widths[i] + columnGap
		}
		for _, i := range columns {
			if total <= width {
				break
			}
			if i < len(widths) {
				total -= widths[i] + columnGap
				gone = append(gone, i)
			}
		}
	}
	leave(t.Spare, width, widths)
	leave(t.Narrow, width, t.leastWidths(widths))
	slices.SortFunc(gone, func(a, b int) int { return b - a })
	return gone
}

// leastWidths is how far each column may be cut.
func (t *Table) leastWidths(widths []int) []int {
	least := make([]int, len(widths))
	for i, w := range widths {
		least[i] = min(w, minColumn)
		if t.Tree && i == len(widths)-1 {
			least[i] = min(w, minTree)
		}
	}
	return least
}

// lineWidth is how long lines are whose columns are that wide.
func lineWidth(widths []int) int {
	total := -columnGap
	for _, w := range widths {
		total += w + columnGap
	}
	return total
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

// cutColumns shortens the widest columns, none below its least width, until the lines fit or cannot.
func (t *Table) cutColumns(header []string, rows [][]string, keepEnd []int, o TableOptions) {
	widths := columnWidths(header, rows)
	least := t.leastWidths(widths)
	cutTo := make(map[int]int)
	for total := lineWidth(widths); total > o.Width; total-- {
		widest := -1
		for i, w := range widths {
			if w > least[i] && (widest < 0 || w >= widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
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
	widths := addWidths(nil, header)
	for _, row := range rows {
		widths = addWidths(widths, row)
	}
	return widths
}

// addWidths widens columns for what a row has in them.
func addWidths(widths []int, row []string) []int {
	for len(widths) < len(row) {
		widths = append(widths, 0)
	}
	for i, cell := range row {
		widths[i] = max(widths[i], Width(cell))
	}
	return widths
}

func paint(line string, header bool) string {
	if header {
		return bold + line + reset
	}
	for _, word := range []string{"unmapped", "deny", "error"} {
		line = paintWord(line, word)
	}
	return line
}

// paintWord makes a word red where it is a cell, or an id in one: not in a path or a name that has it in it.
func paintWord(line, word string) string {
	var painted strings.Builder
	for rest, before := line, ""; ; {
		at := strings.Index(rest, word)
		if at < 0 {
			painted.WriteString(rest)
			return painted.String()
		}
		before, rest = before+rest[:at], rest[at+len(word):]
		painted.WriteString(before[len(before)-at:])
		begins := before == "" || strings.HasSuffix(before, "  ") || strings.HasSuffix(before, ":") || strings.HasSuffix(before, ",")
		ends := rest == "" || strings.HasPrefix(rest, "  ") || rest[0] == ':' || rest[0] == ','
		if begins && ends {
			painted.WriteString(red + word + reset)
		} else {
			painted.WriteString(word)
		}
		before += word
	}
}

// Package manual turns a command's help into the pages of a manual: for man(1) and in Markdown. Both have the words of the
// help, and no others.
package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Page is what there is to say about a command, or about a topic.
type Page struct {
	Name     string // "nsview ps", "id-maps"
	Section  int    // of the manual: 1 commands, 7 topics
	Short    string
	Synopsis []string
	Long     string // as help prints it: paragraphs, "- " items, and blocks that are indented and stay as they are
	Flags    []Flag
	Common   []Flag // those of every command
	Examples string
	SeeAlso  []Link
}

// Flag is a flag with its spellings and the name of its value, as help prints them.
type Flag struct{ Spelling, Meaning string }

// Link is another page.
type Link struct {
	Name    string
	Section int
}

// File is what a page is called: nsview-ps.1.
func (l Link) File() string { return fmt.Sprintf("%s.%d", l.title(), l.Section) }

func (l Link) title() string {
	title := strings.ReplaceAll(l.Name, " ", "-")
	if l.Section == 7 {
		title = "nsview-" + title
	}
	return title
}

// block is a part of a text: a paragraph, the item of a list, or lines that stay as they are.
type block struct {
	kind  blockKind
	lines []string
}

type blockKind int

const (
	paragraph blockKind = iota
	item
	verbatim
)

// blocks takes a text apart.
func blocks(text string) []block {
	var all []block
	open := false // whether a line goes on with the last block
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			open = false
			continue
		}
		last := &block{kind: -1} // of no text yet
		if len(all) > 0 {
			last = &all[len(all)-1]
		}
		kind, goesOn := paragraph, open && last.kind == paragraph
		switch indented := strings.HasPrefix(line, "  "); {
		case strings.HasPrefix(line, "- "):
			kind, goesOn, line = item, false, line[2:]
		case indented && open && last.kind == item:
			goesOn, line = true, strings.TrimSpace(line)
		case indented:
			kind, goesOn = verbatim, last.kind == verbatim
			if goesOn && !open {
				last.lines = append(last.lines, "")
			}
		}
		if goesOn {
			last.lines = append(last.lines, line)
		} else {
			all = append(all, block{kind, []string{line}})
		}
		open = true
	}
	return all
}

// unindent takes away the indentation that all lines have.
func unindent(lines []string) []string {
	least := -1
	for _, line := range lines {
		if n := len(line) - len(strings.TrimLeft(line, " ")); line != "" && (least < 0 || n < least) {
			least = n
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line[min(max(least, 0), len(line)):]
	}
	return out
}

// Roff writes the page for man(1), in the man(7) macros.
func (p *Page) Roff(w io.Writer, version string) error {
	out := bufio.NewWriter(w)
	self := Link{p.Name, p.Section}
	fmt.Fprintf(out, ".TH %s %d \"\" \"nsview %s\" \"nsview\"\n", quoted(strings.ToUpper(self.title())), p.Section, escaped(version))
	fmt.Fprintf(out, ".SH NAME\n%s \\- %s\n", escaped(self.title()), escaped(p.Short))
	if len(p.Synopsis) > 0 {
		fmt.Fprint(out, ".SH SYNOPSIS\n")
		for i, line := range p.Synopsis {
			if i > 0 {
				fmt.Fprint(out, ".br\n")
			}
			fmt.Fprintf(out, "\\fB%s\\fR\n", escaped(line))
		}
	}
	fmt.Fprint(out, ".SH DESCRIPTION\n")
	roffBlocks(out, p.Long)
	roffFlags(out, "OPTIONS", p.Flags)
	roffFlags(out, "COMMON OPTIONS", p.Common)
	if p.Examples != "" {
		fmt.Fprint(out, ".SH EXAMPLES\n")
		roffVerbatim(out, strings.Split(p.Examples, "\n"))
	}
	if len(p.SeeAlso) > 0 {
		fmt.Fprint(out, ".SH SEE ALSO\n")
		for i, l := range p.SeeAlso {
			comma := ","
			if i == len(p.SeeAlso)-1 {
				comma = ""
			}
			fmt.Fprintf(out, ".BR %s (%d)%s\n", escaped(l.title()), l.Section, comma)
		}
	}
	return out.Flush()
}

func roffBlocks(out *bufio.Writer, text string) {
	for i, b := range blocks(text) {
		switch {
		case b.kind == verbatim:
			fmt.Fprint(out, ".PP\n")
			roffVerbatim(out, b.lines)
			continue
		case b.kind == item:
			fmt.Fprint(out, ".IP \\(bu 2\n")
		case i > 0:
			fmt.Fprint(out, ".PP\n")
		}
		fmt.Fprintln(out, marked(strings.Join(b.lines, "\n"), `\fI`, `\fB`, `\fR`))
	}
}

func roffVerbatim(out *bufio.Writer, lines []string) {
	fmt.Fprint(out, ".RS 4\n.nf\n")
	for _, line := range unindent(lines) {
		fmt.Fprintln(out, escaped(line))
	}
	fmt.Fprint(out, ".fi\n.RE\n")
}

func roffFlags(out *bufio.Writer, title string, flags []Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(out, ".SH %s\n", title)
	for _, f := range flags {
		fmt.Fprintf(out, ".TP\n\\fB%s\\fR\n%s\n", escaped(f.Spelling), escaped(f.Meaning))
	}
}

// marked escapes a text for roff and turns *emphasis* and `code` into fonts.
func marked(text, emphasis, code, end string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			b.WriteString(code + escaped(part) + end)
			continue
		}
		rest := part
		for {
			before, after, ok := strings.Cut(rest, "*")
			word, tail, closed := strings.Cut(after, "*")
			if !ok || !closed || word == "" || strings.HasPrefix(word, " ") || strings.HasSuffix(word, " ") {
				b.WriteString(escaped(rest))
				break
			}
			b.WriteString(escaped(before) + emphasis + escaped(word) + end)
			rest = tail
		}
	}
	return b.String()
}

// escaped makes text that roff prints as it is: no line is a request, no hyphen becomes another character.
func escaped(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\`", "^", `\(ha`, "~", `\(ti`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func quoted(text string) string { return `"` + escaped(text) + `"` }

package manual

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Markdown writes the page of a command for docs/commands.
func (p *Page) Markdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# %s\n\n%s.\n\n", p.Name, p.Short)
	if len(p.Synopsis) > 0 {
		fmt.Fprintf(out, "```\n%s\n```\n\n", strings.Join(p.Synopsis, "\n"))
	}
	long := blocks(p.Long)
	for i, b := range long {
		switch b.kind {
		case verbatim:
			fmt.Fprintf(out, "```\n%s\n```\n\n", strings.Join(unindent(b.lines), "\n"))
		case item:
			fmt.Fprintf(out, "- %s\n", plainText(strings.Join(b.lines, "\n  ")))
			if i+1 == len(long) || long[i+1].kind != item {
				fmt.Fprintln(out)
			}
		default:
			fmt.Fprintf(out, "%s\n\n", plainText(strings.Join(b.lines, "\n")))
		}
	}
	if p.Examples != "" {
		fmt.Fprintf(out, "## Examples\n\n```\n%s\n```\n\n", strings.Join(unindent(strings.Split(p.Examples, "\n")), "\n"))
	}
	markdownFlags(out, "Flags", p.Flags)
	markdownFlags(out, "Flags of every command", p.Common)
	if len(p.SeeAlso) > 0 {
		var links []string
		for _, l := range p.SeeAlso {
			if l.Section == 1 {
				links = append(links, fmt.Sprintf("[%s](%s.md)", l.Name, l.title()))
			} else {
				links = append(links, fmt.Sprintf("[%s](../../cmd/nsview/topics/%s.md)", l.Name, l.Name))
			}
		}
		fmt.Fprintf(out, "See also %s.\n", strings.Join(links, ", "))
	}
	return out.Flush()
}

func markdownFlags(out *bufio.Writer, title string, flags []Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(out, "## %s\n\n| flag | meaning |\n| --- | --- |\n", title)
	for _, f := range flags {
		fmt.Fprintf(out, "| `%s` | %s |\n", strings.ReplaceAll(f.Spelling, "|", `\|`), plainText(strings.ReplaceAll(f.Meaning, "|", `\|`)))
	}
	fmt.Fprintln(out)
}

// plainText keeps what help prints as it is from being markup.
func plainText(text string) string {
	return strings.NewReplacer("<", "&lt;", "_", `\_`, "*", `\*`).Replace(text)
}

package render

import (
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// Width is how many columns a terminal shows an escaped string in: the sum over its code points, as wcwidth(3) counts them.
// Terminals that put whole grapheme clusters in cells come to the same but for conjuncts of Indic scripts, since [Escape]
// leaves no sequence of emoji joined. Ambiguous characters of UAX 11 are narrow.
func Width(s string) int {
	width := 0
	for width < len(s) && ' ' <= s[width] && s[width] <= '~' { // nearly all of nearly all names
		width++
	}
	for _, r := range s[width:] {
		width += runeWidth(r)
	}
	return width
}

// runeWidth is that of one code point.
func runeWidth(r rune) int {
	switch {
	case regionalIndicator(r): // a flag is two of these
		return 1
	case 0x1160 <= r && r <= 0x11ff, 0xd7b0 <= r && r <= 0xd7ff: // Hangul vowels and finals are drawn into the initial
		return 0
	}
	return displaywidth.Rune(r)
}

func regionalIndicator(r rune) bool { return 0x1f1e6 <= r && r <= 0x1f1ff }

// Cut shortens a line to the width that o asks for.
func Cut(line string, o TableOptions) string { return cut(line, o.Width, o.ASCII) }

// cut shortens an escaped string to width columns, 0 leaves it alone, and marks where it did. Neither a character with
// what combines with it nor an escape is cut apart.
func cut(s string, width int, ascii bool) string {
	if width <= 0 || fits(s, width) {
		return s
	}
	mark := cutMark(ascii)
	end, left := 0, width-Width(mark)
	for {
		size := unit(s[end:])
		if left -= Width(s[end : end+size]); left < 0 {
			return s[:end] + mark
		}
		end += size
	}
}

// cutFront is cut at the other end.
func cutFront(s string, width int, ascii bool) string {
	if width <= 0 || fits(s, width) {
		return s
	}
	mark := cutMark(ascii)
	for over := Width(mark) + Width(s) - width; over > 0; {
		size := unit(s)
		over -= Width(s[:size])
		s = s[size:]
	}
	return mark + s
}

// fits reports whether a string is not wider than that. Most are so short that nothing has to be counted.
func fits(s string, width int) bool {
	return len(s) <= width || Width(s) <= width
}

func cutMark(ascii bool) string {
	if ascii {
		return "+"
	}
	return "…"
}

// unit is the length of what an escaped string begins with, an escape or a grapheme cluster.
func unit(s string) int {
	if s[0] == '\\' && len(s) > 1 {
		size := 2
		switch s[1] {
		case 'x':
			size = 4
		case 'u':
			size = 6
		case 'U':
			size = 10
		case '0', '1', '2', '3': // of a shell
			size = 4
		}
		return min(size, len(s))
	}
	if s[0] < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return 1
	}
	g := displaywidth.StringGraphemes(s)
	g.Next()
	size := len(g.Value())
	for size < len(s) { // to a terminal a Hangul vowel belongs to whatever is before it
		r, more := utf8.DecodeRuneInString(s[size:])
		if runeWidth(r) > 0 {
			break
		}
		size += more
	}
	return size
}

// Pad fills an escaped string up to width columns.
func Pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-Width(s)))
}

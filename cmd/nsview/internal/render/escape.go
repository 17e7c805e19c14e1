package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect/shell"
)

// Escape turns any string into one line that is safe on a terminal. Control bytes (C0, DEL, C1), bidi overrides and
// other characters that print nothing, invalid UTF-8 and the backslash become visible escapes: \n, \x1b, \u202e, \\.
// Different strings stay different.
//
// So does what would be drawn into the character before it where that is not of the string or is an escape, what would be
// drawn over the lines above and below, and what terminals show in different widths: of emoji only whole flags stay joined.
func Escape(s string) string {
	if plainASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	room := 0 // of the character before, for marks
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		mark := combines(r)
		plain := shell.Printable(r) && (!mark || room > 0) && !emojiModifier(r) && r != '\\' && (r != utf8.RuneError || size > 1)
		if regionalIndicator(r) {
			if next, more := utf8.DecodeRuneInString(s[i+size:]); regionalIndicator(next) {
				size += more
			} else {
				plain = false
			}
		}
		if plain {
			b.WriteString(s[i : i+size])
		} else {
			writeEscape(&b, s[i:i+size])
		}
		switch {
		case !plain, r == ' ', r == '/': // no mark is theirs
			room = 0
		case mark:
			room--
		default:
			room = maxMarks
		}
		i += size
	}
	return b.String()
}

// writeEscape writes the escape of a character, or of a byte that begins none.
func writeEscape(b *strings.Builder, s string) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		fmt.Fprintf(b, `\x%02x`, s[0])
	case r == '\\':
		b.WriteString(`\\`)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '\r':
		b.WriteString(`\r`)
	case r < utf8.RuneSelf:
		fmt.Fprintf(b, `\x%02x`, r)
	case r <= 0xffff:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// maxMarks is how many marks a character may have. Words have up to five or six.
const maxMarks = 10

// combines reports whether a character is drawn into the one before it.
func combines(r rune) bool { return unicode.Is(unicode.M, r) || runeWidth(r) == 0 }

// emojiModifier reports whether a character is a skin tone. Most terminals show it beside the emoji before it, some in it.
func emojiModifier(r rune) bool { return 0x1f3fb <= r && r <= 0x1f3ff }

// Quoted is Escape for text in which nsinspect/shell has quoted what others chose, a command or the words of a fix: it
// prints as it is, since a second escape would change its backslashes. Text in which something does not print is escaped.
func Quoted(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !shell.Printable(r) }) {
		return Escape(s)
	}
	return s
}

// plainASCII reports whether Escape leaves s alone, for the common case.
func plainASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

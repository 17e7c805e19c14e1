package render

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect/shell"
)

// Escape turns any string into one line that is safe on a terminal. Control bytes (C0, DEL, C1), bidi overrides and
// other characters that print nothing, invalid UTF-8 and the backslash become visible escapes: \n, \x1b, \u202e, \\.
// Different strings stay different.
func Escape(s string) string {
	if plainASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\':
			b.WriteString(`\\`)
		case shell.Printable(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

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

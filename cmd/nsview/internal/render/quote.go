package render

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Quote writes args as words of a shell command that can be pasted: each word comes out of the shell as it went in.
// Words of harmless characters stay as they are, others are single-quoted, and those with control bytes, invalid UTF-8
// or characters that print nothing are in the form $'...' (bash, zsh, ksh, busybox, POSIX.1-2024; not dash).
//
// A NUL cannot be in an argument, and none is expected here.
func Quote(args ...string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = quoteWord(arg)
	}
	return strings.Join(words, " ")
}

func quoteWord(s string) string {
	if s == "" {
		return "''"
	}
	harmless := true
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !Printable(r) {
			return dollarQuote(s)
		}
		harmless = harmless && shellHarmless(r)
		i += size
	}
	if harmless {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// dollarQuote writes s as $'...'. Escapes are three octal digits: unlike \x they have the same length in every shell.
func dollarQuote(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && size == 1 || !Printable(r):
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteRune(r)
		}
		i += size
	}
	b.WriteByte('\'')
	return b.String()
}

// shellHarmless reports whether no shell gives r a meaning anywhere in a word.
func shellHarmless(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return strings.ContainsRune("@%_+:,./-", r)
}

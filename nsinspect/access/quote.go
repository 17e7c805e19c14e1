package access

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote writes args as the words of one shell command that root can paste: each word comes out of the shell as it went
// in. Harmless words stay as they are, others are single-quoted; what has control bytes, invalid UTF-8 or characters that
// print nothing is in the form $'...' (bash, zsh, ksh, busybox, POSIX.1-2024; not dash).
//
// A word that starts with "-" is still an option to the command: callers put "--" before operands.
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
		if r == utf8.RuneError && size == 1 || !showsAsItself(r) {
			return dollarQuote(s)
		}
		harmless = harmless && (r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("@%_+=:,./-", r))
		i += size
	}
	// A first word with "=" would be an assignment, one that starts with "~" is not harmless anyway.
	if harmless && !strings.HasPrefix(s, "=") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// dollarQuote writes s as $'...'. Escapes are three octal digits, which have the same length in every shell.
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
		case r == utf8.RuneError && size == 1 || !showsAsItself(r):
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

// shown is a name in a sentence: as it is when it is harmless, else quoted as in a command, so that a title never has a
// control byte that a container chose.
func shown(path string) string { return quoteWord(path) }

func showsAsItself(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

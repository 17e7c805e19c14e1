// Package shell writes commands that can be pasted into a shell. It runs nothing.
package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote writes args as words of a shell command that can be pasted: each word comes out of the shell as it went in.
// Words of harmless characters stay as they are, others are single-quoted, and those with control bytes, invalid UTF-8
// or characters that print nothing are in the form $'...' (bash, zsh, ksh, busybox, POSIX.1-2024; not dash).
//
// A word that starts with "-" is still an option to the command: callers put "--" before operands. A NUL cannot be in an
// argument, and none is expected here.
func Quote(args ...string) string {
	return quoteWords(args, func(word string) string { return quoteWord(word, "") })
}

// Command is Quote for a whole command, a program and its arguments.
func Command(program string, args ...string) string {
	if len(args) == 0 {
		return Quote(program)
	}
	return Quote(program) + " " + Arguments(args...)
}

// Arguments is Quote for what stands after the name of a program: there "=" assigns nothing and needs no quotes. It also
// shows a name that a container chose in a sentence, without its control bytes.
func Arguments(args ...string) string {
	return quoteWords(args, func(word string) string {
		if strings.HasPrefix(word, "=") { // zsh expands =cmd
			return quoteWord(word, "")
		}
		return quoteWord(word, "=")
	})
}

func quoteWords(args []string, quote func(string) string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = quote(arg)
	}
	return strings.Join(words, " ")
}

// quoteWord quotes one word. also are characters that are harmless where it stands.
func quoteWord(s, also string) string {
	if s == "" {
		return "''"
	}
	harmless := true
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !Printable(r) {
			return dollarQuote(s)
		}
		harmless = harmless && (shellHarmless(r) || strings.ContainsRune(also, r))
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

// Printable reports whether r shows as itself: letters, marks, numbers, punctuation, symbols and the ASCII space, less
// those that show nothing (Hangul fillers, variation selectors).
func Printable(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

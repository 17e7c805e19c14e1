package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect/shell"
)

// YAML writes v as a YAML document with the keys, the order and the values of [JSON]. It needs no library: a JSON value is
// a YAML value but for the indentation, and what a YAML parser might take for something else than the string it is stands
// in double quotes.
func YAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	y := yamlWriter{out: bufio.NewWriter(w), dec: dec}
	if err := y.value("", ""); err != nil {
		return err
	}
	return y.out.Flush()
}

type yamlWriter struct {
	out *bufio.Writer
	dec *json.Decoder
}

// value copies the next value. What stands on the line so far (a key with its colon, the dash of an item) is before; what
// is in the value is indented by indent.
func (y *yamlWriter) value(before, indent string) error {
	token, err := y.dec.Token()
	if err != nil {
		return err
	}
	switch t := token.(type) {
	case json.Delim:
		return y.composite(t, before, indent)
	case string:
		y.line(before, yamlString(t))
	case nil:
		y.line(before, "null")
	default:
		y.line(before, fmt.Sprint(t))
	}
	return nil
}

func (y *yamlWriter) line(before, text string) {
	if before != "" && !strings.HasSuffix(before, " ") {
		before += " "
	}
	y.out.WriteString(before + text + "\n")
}

func (y *yamlWriter) composite(open json.Delim, before, indent string) error {
	if !y.dec.More() {
		y.line(before, map[json.Delim]string{'{': "{}", '[': "[]"}[open])
		_, err := y.dec.Token()
		return err
	}
	// The first key of an item stands on the line of its dash; everything else begins a line.
	lead := indent
	if strings.HasSuffix(before, "- ") {
		lead = before
	} else if before != "" {
		y.out.WriteString(before + "\n")
	}
	for ; y.dec.More(); lead = indent {
		var err error
		if open == '[' {
			err = y.value(lead+"- ", indent+"  ")
		} else {
			var key json.Token
			if key, err = y.dec.Token(); err != nil {
				return err
			}
			err = y.value(lead+yamlString(key.(string))+":", indent+"  ")
		}
		if err != nil {
			return err
		}
	}
	_, err := y.dec.Token()
	return err
}

// plainYAML reports whether no YAML parser takes s for anything but a string, apart from the words below: letters, digits
// and some signs after a letter, _ or /.
func plainYAML(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '/'
		if !letter && (i == 0 || (c < '0' || c > '9') && !strings.ContainsRune(".@+=-", rune(c))) {
			return false
		}
	}
	return s != ""
}

// yamlString is a string as it stands in the document.
func yamlString(s string) string {
	// YAML 1.1 knows these words as values, also where 1.2 no longer does.
	words := []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
	if plainYAML(s) && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r != utf8.RuneError && shell.Printable(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect/shell"
)

// JSON writes v as one indented JSON value. Characters that could steer a terminal are written as \uXXXX, which reads
// back as the same string.
func JSON(w io.Writer, v any) error {
	return writeJSON(w, v, "  ")
}

// JSONLine writes v as JSON on one line.
func JSONLine(w io.Writer, v any) error {
	return writeJSON(w, v, "")
}

// JSONLines writes each item of a list as JSON on a line of its own.
func JSONLines(w io.Writer, items any) error {
	list := reflect.ValueOf(items)
	for i := range list.Len() {
		if err := JSONLine(w, list.Index(i).Addr().Interface()); err != nil {
			return err
		}
	}
	return nil
}

// AppendJSON appends the text of a JSON string, without the quotes around it, as [JSON] would write it. What is not UTF-8
// becomes U+FFFD: JSON has no bytes.
func AppendJSON(dst, s []byte) []byte {
	for i, c := range s {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(append(dst, s[:i]...), slowJSON(s[i:])...)
		}
	}
	return append(dst, s...)
}

func slowJSON(s []byte) []byte {
	var buf bytes.Buffer
	if err := JSONLine(&buf, string(s)); err != nil {
		return nil // a string always is JSON
	}
	text := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	return text[1 : len(text)-1]
}

func writeJSON(w io.Writer, v any, indent string) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(buf.Bytes()))
	return err
}

// escapeJSON replaces what encoding/json leaves as it is and a terminal might act on: DEL, C1 controls, bidi overrides
// and the like. Outside strings JSON is printable ASCII, so whatever is replaced here is inside a string.
func escapeJSON(b []byte) []byte {
	if isQuiet(b) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r == '\n' || shell.Printable(r):
			out = append(out, b[i:i+size]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

func isQuiet(b []byte) bool {
	for _, c := range b {
		if c > '~' {
			return false
		}
	}
	return true
}

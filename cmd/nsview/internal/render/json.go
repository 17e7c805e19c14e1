package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect/shell"
)

// JSON writes v as one indented JSON value. Characters that could steer a terminal are written as \uXXXX, which reads
// back as the same string. The lists that a struct has are written item by item: the answer about a great host begins at
// once, and is never in memory as a whole.
func JSON(w io.Writer, v any) error {
	out := newJSONWriter(w)
	frame, lists := withoutLists(v)
	if err := out.value(frame, "\n"); err != nil {
		return err
	}
	rest := bytes.Clone(out.text.Bytes())
	out.text.Reset()
	for _, l := range lists {
		// No string has a newline in it, and what is deeper stands further to the right.
		key := "\n" + jsonIndent + `"` + l.key + `": [`
		before, after, ok := bytes.Cut(rest, []byte(key+"]"))
		if !ok {
			return fmt.Errorf("JSON of %T: it has no list %s", v, l.key)
		}
		out.text.Write(before)
		out.text.WriteString(key)
		for i := range l.items.Len() {
			if i > 0 {
				out.text.WriteByte(',')
			}
			const line = "\n" + jsonIndent + jsonIndent
			out.text.WriteString(line)
			if err := out.value(l.items.Index(i).Addr().Interface(), line); err != nil {
				return err
			}
			if err := out.flush(jsonPiece); err != nil {
				return err
			}
		}
		out.text.WriteString("\n" + jsonIndent + "]")
		rest = after
	}
	out.text.Write(rest)
	out.text.WriteByte('\n')
	return out.flush(0)
}

// JSONLine writes v as JSON on one line.
func JSONLine(w io.Writer, v any) error {
	out := newJSONWriter(w)
	if err := out.enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(out.compact.Bytes()))
	return err
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

const (
	jsonIndent = "  "
	jsonPiece  = 64 << 10 // so much is written at once
)

// jsonWriter is JSON in the making.
type jsonWriter struct {
	w       io.Writer
	text    bytes.Buffer // to be written
	compact bytes.Buffer // the value at hand, as enc writes it
	enc     *json.Encoder
}

func newJSONWriter(w io.Writer) *jsonWriter {
	out := &jsonWriter{w: w}
	out.enc = json.NewEncoder(&out.compact)
	out.enc.SetEscapeHTML(false)
	return out
}

// value adds a value, whose lines after the first one begin with line.
func (out *jsonWriter) value(v any, line string) error {
	out.compact.Reset()
	if err := out.enc.Encode(v); err != nil {
		return err
	}
	compact := bytes.TrimSuffix(out.compact.Bytes(), []byte("\n"))
	out.text.Write(appendIndented(out.text.AvailableBuffer(), compact, line))
	return nil
}

// appendIndented appends JSON that has no space between its parts, laid out as [json.Indent] does it, which checks each byte
// and takes as long as all else that there is to JSON. Each line but the first begins with line.
func appendIndented(dst, src []byte, line string) []byte {
	margin := []byte(line)
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '"':
			end := i + 1
			for ; src[end] != '"'; end++ {
				if src[end] == '\\' {
					end++
				}
			}
			dst = append(dst, src[i:end+1]...)
			i = end
		case '{', '[':
			dst = append(dst, c)
			if src[i+1] == '}' || src[i+1] == ']' {
				i++
				dst = append(dst, src[i])
				continue
			}
			margin = append(margin, jsonIndent...)
			dst = append(dst, margin...)
		case '}', ']':
			margin = margin[:len(margin)-len(jsonIndent)]
			dst = append(append(dst, margin...), c)
		case ',':
			dst = append(append(dst, c), margin...)
		case ':':
			dst = append(dst, c, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// flush writes what there is when that is at least so much. Escaped is text that ends where a value does.
func (out *jsonWriter) flush(least int) error {
	if out.text.Len() < least {
		return nil
	}
	_, err := out.w.Write(escapeJSON(out.text.Bytes()))
	out.text.Reset()
	return err
}

// jsonList is a list in a struct, by the key that it has in JSON.
type jsonList struct {
	key   string
	items reflect.Value
}

// withoutLists is v and no lists, or, of a pointer to a struct, a copy in which lists are empty, and these lists in their
// order: the fields that are always in the JSON, as lists of what they hold.
func withoutLists(v any) (any, []jsonList) {
	whole := reflect.ValueOf(v)
	if whole.Kind() != reflect.Pointer || whole.IsNil() || whole.Elem().Kind() != reflect.Struct {
		return v, nil
	}
	if _, ok := marshalled(whole); ok {
		return v, nil
	}
	frame := reflect.New(whole.Type().Elem())
	frame.Elem().Set(whole.Elem())
	var lists []jsonList
	for _, f := range reflect.VisibleFields(whole.Type().Elem()) {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" || key == "-" || options != "" || !f.IsExported() || f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() == reflect.Uint8 {
			continue
		}
		if list, err := frame.Elem().FieldByIndexErr(f.Index); err == nil && list.Len() > 0 {
			if _, ok := marshalled(list); !ok {
				lists = append(lists, jsonList{key, whole.Elem().FieldByIndex(f.Index)})
				list.Set(reflect.MakeSlice(f.Type, 0, 0))
			}
		}
	}
	return frame.Interface(), lists
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

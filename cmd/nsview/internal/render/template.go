package render

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// text is a string in a template: printed it is escaped, whatever prints it; json has it as it is.
type text string

func (t text) String() string { return Escape(string(t)) }

// null is an id that is unmapped, a name that is unknown: false in a condition, and printed what JSON prints.
type null string

func (null) String() string               { return "null" }
func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Template is what --format asks for: a Go template over the keys of the JSON, for each item of a list.
type Template struct {
	tmpl  *template.Template
	table bool // aligned at the tabs, with a header
}

// ParseTemplate reads a template as docker and podman take it: \t and \n are a tab and a new line, and "table" before it
// asks for aligned columns with a header.
func ParseTemplate(format string) (*Template, error) {
	format, table := cutTable(format)
	format = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(format)
	tmpl, err := template.New("format").Option("missingkey=error").Funcs(templateFuncs()).Parse(format)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: format:"))
	}
	return &Template{tmpl: tmpl, table: table}, nil
}

func cutTable(format string) (rest string, table bool) {
	rest, table = strings.CutPrefix(format, "table")
	if !table || rest == strings.TrimLeft(rest, " \t") && !strings.HasPrefix(rest, "{{") {
		return format, false
	}
	return strings.TrimLeft(rest, " \t"), true
}

// templateFuncs are the functions of docker's and podman's templates.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			var buf bytes.Buffer
			err := JSONLine(&buf, v)
			return strings.TrimSuffix(buf.String(), "\n"), err
		},
		"join": func(list []any, sep string) string {
			parts := make([]string, len(list))
			for i, v := range list {
				parts[i] = fmt.Sprint(v)
			}
			return strings.Join(parts, sep)
		},
		"split": func(v any, sep string) []any {
			var list []any
			for part := range strings.SplitSeq(raw(v), sep) {
				list = append(list, text(part))
			}
			return list
		},
		"lower": func(v any) text { return text(strings.ToLower(raw(v))) },
		"upper": func(v any) text { return text(strings.ToUpper(raw(v))) },
		"truncate": func(v any, width int) text {
			runes := []rune(raw(v))
			return text(runes[:min(len(runes), max(width, 0))])
		},
	}
}

// raw is a value as a string that is not escaped yet.
func raw(v any) string {
	if t, ok := v.(text); ok {
		return string(t)
	}
	return fmt.Sprint(v)
}

// Execute prints the template for every item of a list, or once for a value that is none.
func (t *Template) Execute(w io.Writer, value any, o TableOptions) error {
	v := reflect.ValueOf(value)
	var items []reflect.Value
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			items = append(items, v.Index(i))
		}
	} else {
		items = append(items, v)
	}
	out := bufio.NewWriter(w)
	rows := Table{Header: t.header(), Escaped: true}
	for _, item := range items {
		data, err := plain(item)
		if err != nil {
			return err
		}
		var line strings.Builder
		if err := t.tmpl.Execute(&line, data); err != nil {
			return templateError(err, data)
		}
		if t.table {
			rows.Rows = append(rows.Rows, strings.Split(line.String(), "\t"))
			continue
		}
		out.WriteString(line.String() + "\n")
	}
	if t.table {
		return rows.Render(w, o)
	}
	return out.Flush()
}

// ErrNoKey is a key in a template that the value does not have.
type ErrNoKey struct {
	Key  string
	Keys []string // those at the top
}

func (e *ErrNoKey) Error() string { return fmt.Sprintf("there is no key \"%s\"", e.Key) }

func templateError(err error, data any) error {
	reason := err
	if exec := new(template.ExecError); errors.As(err, exec) {
		reason = exec.Err
	}
	_, message, _ := strings.Cut(reason.Error(), "executing \"format\" at ")
	if message == "" {
		message = reason.Error()
	}
	if _, key, ok := strings.Cut(message, "map has no entry for key "); ok {
		e := &ErrNoKey{Key: strings.Trim(key, `"`)}
		if m, ok := data.(map[string]any); ok {
			e.Keys = slices.Sorted(maps.Keys(m))
		}
		return e
	}
	return errors.New(message)
}

// header names the columns of a table: of {{.inside.uid}} it is INSIDE UID.
func (t *Template) header() []string {
	if !t.table {
		return nil
	}
	var line strings.Builder
	for _, node := range t.tmpl.Root.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			line.Write(n.Text)
		case *parse.ActionNode:
			line.WriteString(actionName(n))
		}
	}
	return strings.Split(line.String(), "\t")
}

func actionName(n *parse.ActionNode) string {
	for _, command := range n.Pipe.Cmds {
		for _, arg := range command.Args {
			if f, ok := arg.(*parse.FieldNode); ok {
				return strings.ToUpper(strings.ReplaceAll(strings.Join(f.Ident, " "), "_", "-"))
			}
		}
	}
	return ""
}

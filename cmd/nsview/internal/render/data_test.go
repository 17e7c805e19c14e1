package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/nsview/nsview/procscan/proctest"
)

// YAML says what JSON says: a library's parser is asked.
func TestYAMLIsTheJSON(t *testing.T) {
	values := []any{
		nil, "", 7, true,
		[]int{},
		map[string]int{},
		[]any{[]any{[]int{1, 2}, "x"}, map[string]any{"a": []any{map[string]any{"b": 1, "c": nil}}}},
		[]string{"yes", "No", "null", "~", "1e3", "0x1f", "12:30", "- a", "a: b", "#c", "&a", "*a", "!t", "%d", "@x", "2026-01-02", ".inf", "=", "<<", "trailing ", "日本 👩‍💻", "\u2028\ufeff"},
		map[string]any{"key with: colon": "v", "": "empty key", "yes": "word"},
		uint64(1<<64 - 1),
	}
	for _, s := range proctest.Hostile() {
		values = append(values, map[string]any{s: []string{s}})
	}
	for _, v := range values {
		checkYAML(t, v)
	}
}

func FuzzYAML(f *testing.F) {
	f.Add(`{"a":[1,{"b":"c: d"},[]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if dec.Decode(&v) == nil {
			checkYAML(t, v)
		}
	})
}

func checkYAML(t *testing.T, v any) {
	t.Helper()
	var text bytes.Buffer
	if err := YAML(&text, v); err != nil {
		t.Fatal(err)
	}
	for _, r := range text.String() {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e {
			t.Fatalf("%q steers a terminal", text.String())
		}
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &node); err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, nodeValue(t, &node)); diff != "" {
		t.Errorf("%s\n%s", diff, text.String())
	}
}

// nodeValue is what a parsed node stands for, as a JSON decoder that uses json.Number gives it.
func nodeValue(t *testing.T, n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return nodeValue(t, n.Content[0])
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, nodeValue(t, item))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].ShortTag() != "!!str" {
				t.Errorf("key %q is a %s", n.Content[i].Value, n.Content[i].Tag)
			}
			m[n.Content[i].Value] = nodeValue(t, n.Content[i+1])
		}
		return m
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int", "!!float":
		return json.Number(n.Value)
	case "!!str":
		return n.Value
	}
	t.Errorf("%q is a %s", n.Value, n.Tag)
	return nil
}

type inner struct {
	UID  *int   `json:"uid"`
	Name string `json:"name,omitempty"`
}

type outer struct {
	inner `json:"-"`
	Base
	PID    int             `json:"pid"`
	Args   []string        `json:"args"`
	Inside *inner          `json:"inside"`
	Labels map[string]bool `json:"labels,omitempty"`
	Big    uint64          `json:"big"`
	hidden int
}

// Base is a struct whose fields are the outer one's.
type Base struct {
	Kind string `json:"kind"`
}

func TestTemplate(t *testing.T) {
	uid := 1000
	items := []outer{
		{Base: Base{"k"}, PID: 1, Args: []string{"a", "b\x1b[31m"}, Inside: &inner{UID: &uid, Name: "app"}, Big: 1<<64 - 1},
		{PID: 22, Inside: &inner{}, Labels: map[string]bool{"x": true}, hidden: 1},
	}
	for _, tt := range []struct{ format, want string }{
		{`{{.pid}} {{.kind}}`, "1 k\n22 \n"},
		{`{{.inside.uid}}:{{.inside.name}}`, "1000:app\nnull:\n"},
		{`{{if .inside.uid}}mapped{{else}}unmapped{{end}}`, "mapped\nunmapped\n"},
		{`{{json .args}} {{join .args ","}}`, `["a","b\u001b[31m"] a,b\x1b[31m` + "\n[] \n"},
		{`{{printf "%s|%v" (index .args 0) .big}}{{break}}`, ""},
		{`{{range .args}}{{.}};{{end}}{{if eq .pid 22}}two{{end}}`, `a;b\x1b[31m;` + "\ntwo\n"},
		{`{{upper .inside.name}}\t{{len .args}}`, "APP\t2\n\t0\n"},
		{`table {{.pid}}\t{{.inside.uid}}\t{{.args}}`, "PID  INSIDE UID  ARGS\n1    1000        [a b\\x1b[31m]\n22   null        []\n"},
		{`{{.labels}}`, "map[]\nmap[x:true]\n"},
	} {
		tmpl, err := ParseTemplate(tt.format)
		if err != nil {
			if tt.want != "" {
				t.Errorf("%s: %v", tt.format, err)
			}
			continue
		}
		var b bytes.Buffer
		if err := tmpl.Execute(&b, items, TableOptions{}); err != nil {
			t.Errorf("%s: %v", tt.format, err)
		}
		if got := b.String(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.format, got, tt.want)
		}
	}
}

func TestTemplateKeys(t *testing.T) {
	tmpl, err := ParseTemplate("{{.uid}}")
	if err != nil {
		t.Fatal(err)
	}
	err = tmpl.Execute(&bytes.Buffer{}, outer{}, TableOptions{})
	var noKey *ErrNoKey
	if !errors.As(err, &noKey) || noKey.Key != "uid" || !slices.Contains(noKey.Keys, "inside") {
		t.Errorf("%v", err)
	}
}

// No function lets a control character through, whatever prints it.
func TestTemplateHostile(t *testing.T) {
	for _, s := range proctest.Hostile() {
		for _, format := range []string{`{{.}}`, `{{print .}}`, `{{printf "%s %q %v" . . .}}`, `{{lower .}}`, `{{upper .}}`, `{{json .}}`, `{{truncate . 9}}`, `{{range split . "a"}}{{.}}{{end}}`, `{{html .}}`, `{{js .}}`, `{{println .}}`, `{{urlquery .}}`, `{{slice . 1}}`} {
			if len(s) == 0 {
				continue
			}
			tmpl, err := ParseTemplate(format)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := tmpl.Execute(&b, s, TableOptions{}); err != nil {
				t.Fatalf("%s of %q: %v", format, s, err)
			}
			if i := strings.IndexFunc(strings.TrimRight(b.String(), "\n"), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e }); i >= 0 {
				t.Errorf("%s of %q printed %q", format, s, b.String())
			}
		}
	}
}

// The values of a template have the keys and the values of the JSON.
func TestPlainIsTheJSON(t *testing.T) {
	uid := 5
	v := outer{Base: Base{"k"}, PID: 3, Args: []string{}, Inside: &inner{UID: &uid, Name: "n"}, Labels: map[string]bool{"l": false}}
	got, err := plain(reflect.ValueOf(&v))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var a, c map[string]any
	if json.Unmarshal(b, &a) != nil || json.Unmarshal(want, &c) != nil {
		t.Fatal("no JSON")
	}
	if diff := cmp.Diff(c, a); diff != "" {
		t.Error(diff)
	}
}

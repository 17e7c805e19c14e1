package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// standard is what encoding/json makes of v.
func standard(t *testing.T, v any) string {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

type listHead struct {
	Kind string     `json:"kind"`
	Time *time.Time `json:"time"`
	Gaps []string   `json:"gaps"`
}

type listAnswer struct {
	listHead
	Partial bool             `json:"partial,omitempty"`
	Empty   []int            `json:"empty"`
	None    []int            `json:"none"`
	Items   []listItem       `json:"items"`
	Links   []*listItem      `json:"links"`
	Some    []string         `json:"some,omitempty"`
	Bytes   []byte           `json:"bytes"`
	Raw     json.RawMessage  `json:"raw"`
	Deep    [][]string       `json:"deep"`
	Map     map[string][]int `json:"map"`
	Last    int              `json:"last"`
	hidden  []int
}

type listItem struct {
	Items []string          `json:"items"` // a key that a list above has too
	Name  string            `json:"name"`
	Of    map[string]string `json:"of"`
}

// JSON that is written piece by piece is what encoding/json writes at once.
func TestJSONListByList(t *testing.T) {
	now := time.Unix(1, 2)
	item := listItem{Items: []string{"{[,:]}", "\"", `\`, `\"`, "a\n  \"items\": []", ""}, Name: "<&>", Of: map[string]string{"a:b": "{", "": "["}}
	for _, v := range []any{
		&listAnswer{},
		&listAnswer{
			listHead: listHead{Kind: "K", Time: &now, Gaps: []string{"\n  \"items\": []", "}"}}, Partial: true, Empty: []int{}, Items: []listItem{item, {}, {Items: []string{}}},
			Links: []*listItem{nil, &item}, Some: []string{"x"}, Bytes: []byte("bytes"), Raw: json.RawMessage(`{"a": [ ], "b" : {} }`), Deep: [][]string{nil, {}, {"a", "b"}},
			Map: map[string][]int{"x": {1, 2}, "y": nil}, Last: -1, hidden: []int{1},
		},
		listAnswer{Items: []listItem{item}},
		&item,
		[]listItem{item},
		map[string]any{"items": []int{}, "x": []listItem{item}},
		(*listAnswer)(nil), nil, "text", 1.5e300,
		[]int{},
		&now,
		struct{}{},
		&struct{}{},
	} {
		var got strings.Builder
		if err := JSON(&got, v); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		if want := standard(t, v); got.String() != want {
			t.Errorf("%T: %s\nencoding/json: %s", v, got.String(), want)
		}
	}
}

// pieces is what was written, and how much of it at once.
type pieces struct {
	strings.Builder
	largest, n int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	p.n++
	return p.Builder.Write(b)
}

// However long a list is, no more of it is in memory than a piece.
func TestJSONLongList(t *testing.T) {
	list := &listAnswer{}
	for i := range 20_000 {
		list.Items = append(list.Items, listItem{Name: fmt.Sprint(i, " \u009b é 漢"), Items: []string{"x"}})
	}
	var got pieces
	if err := JSON(&got, list); err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(standard(t, list), "\u009b", `\u009b`); got.String() != want {
		t.Error("it is not what encoding/json writes")
	}
	if got.largest > 2*jsonPiece || got.n > got.Len()/jsonPiece+1 {
		t.Errorf("%d bytes in %d pieces, the largest of %d", got.Len(), got.n, got.largest)
	}
}

// FuzzAppendIndented compares with encoding/json.
func FuzzAppendIndented(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `{"a":[],"b":{},"c":[1,"{\"",{"d":null}]}`, `"\\"`, `[[[]],[{}]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var compact, want bytes.Buffer
		if json.Compact(&compact, b) != nil || json.Indent(&want, compact.Bytes(), "", jsonIndent) != nil {
			t.Skip("no JSON")
		}
		if got := appendIndented(nil, compact.Bytes(), "\n"); string(got) != want.String() {
			t.Errorf("%q, encoding/json: %q", got, want.String())
		}
	})
}

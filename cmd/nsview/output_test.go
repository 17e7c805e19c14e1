package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nsview/nsview/procscan/proctest"
)

// formatCase is a command with operands, to be asked in every form of output.
type formatCase struct {
	args []string
	none bool // it has no table to choose columns of
}

// formatCases are of every command that answers from a snapshot: two answers are of one moment.
func formatCases(box string) []formatCase {
	return []formatCase{
		{args: []string{"ps", "-A"}},
		{args: []string{"owner", "/etc"}},
		{args: []string{"ns"}},
		{args: []string{"containers", "-a"}},
		{args: []string{"diff", "host", box}},
		{args: []string{"map", box}},
		{args: []string{"map", box, "0", "1000"}},
		{args: []string{"map", "--from", "host", "--to", box, "0"}},
		{args: []string{"caps", box, "host"}},
		{args: []string{"access", box, "/etc"}},
		{args: []string{"access", box, "/etc", "chdir"}, none: true},
		{args: []string{"doctor"}},
		{args: []string{"graph"}, none: true},
	}
}

// Every command answers in every form of output that it has, and all of them say the same: JSON is what docs/schema says,
// YAML and JSON lines have its values, a template knows its keys, and -O takes each column that -O help lists.
func TestEveryCommandInEveryFormat(t *testing.T) {
	proctest.NeedRoot(t)
	// A host of few processes, whatever else this one does.
	const small = `nsview run --pid --name box -- sleep 60 &
until nsview ps box >/dev/null 2>&1; do kill -0 $! || exit; done
nsview snapshot --path host:/etc --path box:/etc
status=$?; kill $!; wait $!; exit $status`
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, "nsview", "run", "--pid", "--mount-proc", "--", "sh", "-c", small)
	cmd.Stderr = os.Stderr
	stored, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(file, stored, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := validJSON("snapshot", bytes.NewReader(stored)); err != nil {
		t.Error(err)
	}
	asked := map[string]bool{"snapshot": true}
	for _, q := range formatCases("box") {
		asked[q.args[0]] = true
		t.Run(strings.Join(q.args, "_"), func(t *testing.T) { tryFormats(t, &q, slices.Insert(q.args, 1, "--from", file)) })
	}
	for _, cmd := range (&app{}).rootCommand(nil).Commands() {
		_, has := cmd.Annotations[formatsAnnotation]
		if has && !asked[cmd.Name()] && !slices.Contains([]string{"report", "trace"}, cmd.Name()) { // a page, and what is live
			t.Errorf("%s is not asked", cmd.Name())
		}
	}
}

// answer is what nsview prints.
func answer(t *testing.T, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"nsview"}, args...), nil, &out, &errs); code == exitFailure {
		t.Fatalf("%q: %s", args, errs.String())
	}
	return out.Bytes()
}

func tryFormats(t *testing.T, q *formatCase, args []string) {
	name := args[0]
	cmd, _, err := (&app{}).rootCommand(nil).Find([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	say := func(more ...string) []byte { return answer(t, append(slices.Clone(args), more...)...) }
	var whole any
	if slices.Contains(outputFormats(cmd), "json") {
		text := say("-o", "json")
		if err := validJSON(name, bytes.NewReader(text)); err != nil {
			t.Error(err)
		}
		whole = decoded(t, bytes.NewReader(text))[0]
	}
	items := []any{whole}
	for _, format := range outputFormats(cmd) {
		text := say("-o", format)
		switch format {
		case "yaml":
			if got := yamlValue(t, text); !reflect.DeepEqual(got, whole) {
				t.Errorf("-o yaml has other values than -o json: %s", text)
			}
		case "jsonl":
			if err := validJSON(name, bytes.NewReader(text)); err != nil {
				t.Error(err)
			}
			items = decoded(t, bytes.NewReader(text))
			if list := listOf(whole); !reflect.DeepEqual(items, list) && len(items)+len(list) > 0 {
				t.Errorf("-o jsonl has other items than -o json: %s", text)
			}
			if lines := bytes.Count(text, []byte("\n")); lines != len(items) {
				t.Errorf("-o jsonl prints %d items in %d lines", len(items), lines)
			}
		case "junit":
			if err := xml.Unmarshal(text, new(struct{ XMLName xml.Name })); err != nil {
				t.Errorf("-o junit: %v", err)
			}
		case "sarif":
			decoded(t, bytes.NewReader(text))
		case "table", "wide", "tree":
			if bytes.ContainsRune(text, '\x1b') {
				t.Errorf("-o %s is coloured, and no terminal: %q", format, text)
			}
		}
		if len(text) == 0 && format != "jsonl" {
			t.Errorf("-o %s prints nothing", format)
		}
	}
	if whole != nil {
		if list := listOf(whole); name == "access" && list != nil {
			items = list
		}
		tryTemplates(t, say, items)
	}
	if !q.none {
		tryColumns(t, args, say)
	}
}

// tryTemplates asks for each key of the items by a template.
func tryTemplates(t *testing.T, say func(...string) []byte, items []any) {
	if len(items) == 0 {
		return
	}
	keys := slices.Sorted(maps.Keys(items[0].(map[string]any)))
	rows := decoded(t, bytes.NewReader(say("--format", "[{{json ."+strings.Join(keys, "}},{{json .")+"}}]")))
	if len(rows) != len(items) {
		t.Fatalf("--format prints %d lines for %d items", len(rows), len(items))
	}
	for i, row := range rows {
		for j, value := range row.([]any) {
			object := items[i].(map[string]any)
			if want, there := object[keys[j]]; there && !hasOptional(value, want) {
				t.Errorf("--format {{json .%s}} is %v, in JSON it is %v", keys[j], value, want)
			}
		}
	}
	header, _, _ := strings.Cut(string(say("--format", `table {{.`+strings.Join(keys, `}}\t{{.`)+"}}")), "\n")
	if want := strings.ToUpper(strings.ReplaceAll(strings.Join(keys, " "), "_", "-")); strings.Join(strings.Fields(header), " ") != want {
		t.Errorf("--format table has the header %q", header)
	}
}

// hasOptional reports whether a template's value is that of JSON but for keys that JSON leaves out where they say nothing.
func hasOptional(value, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := value.(map[string]any)
		for key := range want {
			ok = ok && hasOptional(object[key], want[key])
		}
		return ok
	case []any:
		list, ok := value.([]any)
		ok = ok && len(list) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = hasOptional(list[i], want[i])
		}
		return ok
	}
	return reflect.DeepEqual(value, want)
}

// tryColumns chooses each column that there is, in another order than the table's, and one that there is not.
func tryColumns(t *testing.T, args []string, say func(...string) []byte) {
	var columns []string
	for line := range strings.Lines(string(say("-O", "help"))) {
		columns = append(columns, strings.Fields(line)[0])
	}
	if len(columns) == 0 {
		t.Fatal("-O help lists nothing")
	}
	slices.Reverse(columns)
	list := strings.Join(columns, ",")
	header, rest, _ := strings.Cut(string(say("-O", list)), "\n")
	if n := len(strings.Fields(header)); n < len(columns) {
		t.Errorf("-O %s has the header %q", list, header)
	}
	if bare := string(say("-O", strings.ToUpper(list), "--no-headers")); !slices.Equal(strings.Fields(bare), strings.Fields(rest)) {
		t.Errorf("--no-headers leaves more out than the header: %q, not %q", bare, rest)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"nsview"}, append(slices.Clone(args), "-O", "nothing")...), nil, &out, &errs)
	if hint := "nsview: no column \"nothing\"\nhint: the columns are "; code != exitFailure || out.Len() > 0 || !strings.HasPrefix(errs.String(), hint) || strings.Count(errs.String(), "\n") != 2 {
		t.Errorf("a column that there is not ends in %d, %q", code, errs.String())
	}
}

// listOf is the list that an answer is about, nil where it is about one thing.
func listOf(answer any) []any {
	for _, key := range []string{"processes", "files", "namespaces", "containers", "findings", "verdicts"} {
		if list, ok := answer.(map[string]any)[key].([]any); ok && (len(list) == 0 || reflect.TypeOf(list[0]).Kind() == reflect.Map) && answer.(map[string]any)["kind"] != "Diff" {
			if answer.(map[string]any)["kind"] == "FindingList" && key == "containers" {
				continue
			}
			return list
		}
	}
	return nil
}

// decoded are the JSON values of a text, numbers as they are written.
func decoded(t *testing.T, r io.Reader) []any {
	t.Helper()
	values := []any{}
	dec := json.NewDecoder(r)
	dec.UseNumber()
	for {
		var v any
		switch err := dec.Decode(&v); err {
		case nil:
			values = append(values, v)
		case io.EOF:
			return values
		default:
			t.Fatal(err)
		}
	}
}

// yamlValue is a YAML document as JSON would be decoded.
func yamlValue(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, bytes.NewReader(b))[0]
}

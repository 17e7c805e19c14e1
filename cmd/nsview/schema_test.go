package main

import (
	"bytes"
	"context"
	_ "embed" // the schema of SARIF
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/runner"
)

// update writes what is generated from the code into docs instead of comparing: make generate.
var update = flag.Bool("update", false, "write the generated files in docs")

// checkGenerated holds a file to what the code generates.
func checkGenerated(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code generates (%v): make generate", path, err)
	}
}

const schemaFile = "../../docs/schema/nsview-v1.json"

// docs/schema/nsview-v1.json is made of the Go types and of the meanings that docs/json.md gives their keys.
func TestSchemaIsCurrent(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(jsonSchema(jsonSections(t), false)); err != nil {
		t.Fatal(err)
	}
	checkGenerated(t, schemaFile, b.Bytes())
}

// schemaMaker makes the JSON Schema of the documented types.
type schemaMaker struct {
	names  map[reflect.Type]string
	docs   map[string]map[string]jsonRow // of docs/json.md
	strict bool                          // refuses keys that it does not know; published it must not, keys become more
}

type schema = map[string]any

// jsonSchema is a schema (draft 2020-12) of everything that nsview prints as JSON: any of the kinds.
func jsonSchema(docs map[string]map[string]jsonRow, strict bool) schema {
	m := schemaMaker{names: make(map[reflect.Type]string), docs: docs, strict: strict}
	types := documentedJSON()
	for name, typ := range types {
		m.names[typ] = name
	}
	defs := schema{}
	var kinds []any
	for _, name := range slices.Sorted(maps.Keys(types)) {
		def := m.object(types[name], name, "")
		properties := def["properties"].(schema)
		if _, ok := properties["kind"]; ok && name != "Report" && properties["schema"] != nil {
			properties["kind"] = schema{"const": name}
			kinds = append(kinds, schema{"$ref": "#/$defs/" + name})
		}
		if properties["schema"] != nil {
			properties["schema"] = schema{"const": nsinspect.Schema}
		}
		defs[name] = def
	}
	return schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     "https://github.com/nsview/nsview/docs/schema/nsview-v1.json",
		"title":   "What nsview -o json prints",
		"anyOf":   kinds,
		"$defs":   defs,
	}
}

func (m *schemaMaker) object(typ reflect.Type, section, prefix string) schema {
	properties := schema{}
	required := []string{}
	for _, f := range jsonFields(typ, nil) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		value := m.value(f.Type, section, prefix+name)
		explained := section
		if embedded := m.names[typ.Field(f.Index[0]).Type]; len(f.Index) > 1 && embedded != "" {
			explained = embedded
		}
		if row := m.docs[explained][prefix+name]; row.meaning != "" {
			value["description"] = row.meaning
		}
		properties[name] = value
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	def := schema{"type": "object", "properties": properties, "required": required}
	if m.strict {
		def["additionalProperties"] = false
	}
	return def
}

// jsonFields are the fields that encoding/json writes of a struct, at index. reflect.VisibleFields has not those that are
// called as the struct that they are embedded in.
func jsonFields(typ reflect.Type, index []int) []reflect.StructField {
	var fields, embedded []reflect.StructField
	for i := range typ.NumField() {
		f := typ.Field(i)
		f.Index = append(slices.Clone(index), i)
		tag, ok := f.Tag.Lookup("json")
		switch {
		case ok && tag != "-" && f.IsExported():
			fields = append(fields, f)
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			embedded = append(embedded, jsonFields(f.Type, f.Index)...)
		}
	}
	key := func(f *reflect.StructField) string { name, _, _ := strings.Cut(f.Tag.Get("json"), ","); return name }
	for i := range embedded {
		if !slices.ContainsFunc(fields, func(f reflect.StructField) bool { return key(&f) == key(&embedded[i]) }) {
			fields = append(fields, embedded[i]) // else a field further out hides it
		}
	}
	return fields
}

func (m *schemaMaker) value(typ reflect.Type, section, path string) schema {
	if name, ok := m.names[typ]; ok {
		return schema{"$ref": "#/$defs/" + name}
	}
	if typ == reflect.TypeFor[time.Time]() {
		return schema{"type": "string", "format": "date-time"}
	}
	if typ == reflect.TypeFor[json.RawMessage]() {
		return schema{} // anything
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return schema{"anyOf": []any{m.value(typ.Elem(), section, path), schema{"type": "null"}}}
	case reflect.Interface:
		return schema{}
	case reflect.Struct:
		return m.object(typ, section, path+".")
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": m.value(typ.Elem(), section, path+".")}
	case reflect.Slice, reflect.Array:
		path := path
		inner := typ.Elem()
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			path += "[]"
		}
		list := any("array")
		if listMayBeNull(strings.TrimSuffix(path, "[]")) {
			list = []any{"array", "null"}
		}
		return schema{"type": list, "items": m.value(typ.Elem(), section, path)}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return schema{"type": "string"}
	}
	number := schema{"type": "integer"}
	if typ.Kind() >= reflect.Uint && typ.Kind() <= reflect.Uintptr {
		number["minimum"] = 0
	}
	if mayBeNull(typ) {
		number["type"] = []any{"integer", "null"}
	}
	return number
}

// strictSchemas compiles the schema, with every key that is not documented refused.
func strictSchemas() (*jsonschema.Compiler, error) {
	b, err := json.Marshal(jsonSchema(nil, true))
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	return c, c.AddResource("schema.json", doc)
}

// itemsOf are the lists whose items -o jsonl prints, by command.
var itemsOf = map[string]string{
	"ps": "ProcessList/properties/processes/items", "owner": "OwnerReport/properties/files/items",
	"ns": "NamespaceList/properties/namespaces/items", "containers": "ContainerList/properties/containers/items",
	"ls": "ContainerList/properties/containers/items", "doctor": "FindingList/properties/findings/items",
	"access": "AccessAnswer", "trace": "TraceEvent",
}

// validJSON holds what a command printed to the schema: one object after the other.
func validJSON(command string, out io.Reader) error {
	c, err := strictSchemas()
	if err != nil {
		return err
	}
	dec := json.NewDecoder(out)
	dec.UseNumber()
	for {
		var v any
		switch err := dec.Decode(&v); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		object, _ := v.(map[string]any)
		def, ok := object["kind"].(string)
		if object["schema"] == nil || !ok {
			def = itemsOf[command]
		}
		if def == "" {
			return fmt.Errorf("no schema is known for what %s printed", command)
		}
		s, err := c.Compile("schema.json#/$defs/" + def)
		if err != nil {
			return err
		}
		if err := s.Validate(v); err != nil {
			return fmt.Errorf("%s: %w", def, err)
		}
	}
}

// sarifSchema is OASIS's schema of SARIF.
//
//go:embed internal/ci/testdata/sarif-schema-2.1.0.json
var sarifSchema []byte

// validSARIF holds a SARIF log to its schema. A command that failed printed none.
func validSARIF(_ string, out io.Reader) error {
	text, err := io.ReadAll(out)
	if err != nil || len(text) == 0 {
		return err
	}
	log, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(sarifSchema))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		return err
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		return err
	}
	return schema.Validate(log)
}

// uncheckedEnv is set where nsview is to take no more memory and time than it does: to check its JSON takes several times as
// much.
const uncheckedEnv = "NSVIEW_TEST_UNCHECKED"

// checkedMain is nsview for the scripts: whatever it prints as JSON or SARIF, in any script, must be what the schema says.
func checkedMain() {
	if os.Getenv(uncheckedEnv) != "" {
		main()
		return
	}
	asked := func(words ...string) bool {
		return slices.ContainsFunc(os.Args, func(arg string) bool { return slices.Contains(words, arg) })
	}
	var valid func(command string, out io.Reader) error
	switch {
	case asked("json", "jsonl", "--batch", "-ojson", "-ojsonl", "--output=json"):
		valid = validJSON
	case asked("sarif"):
		valid = validSARIF
	}
	if runner.IsStage(os.Args) || valid == nil || len(os.Args) < 2 || os.Args[1] == "run" && !slices.Contains(os.Args, "--dry-run") || slices.Contains(os.Args, "--watch") {
		main()
		return
	}
	ctx, stop := interruptible(context.Background())
	var printed bytes.Buffer
	code := run(ctx, os.Args, os.Stdin, io.MultiWriter(os.Stdout, &printed), os.Stderr)
	stop()
	if err := valid(os.Args[1], &printed); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "what was printed is not what its schema says: %v\n", err)
		code = 99
	}
	os.Exit(code)
}

// What is not in the schema is found: a check that cannot fail is none.
func TestSchemaRefuses(t *testing.T) {
	const process = `"pid":1,"ppid":0,"pids":[1],"comm":"","args":[],"state":"S","started":null,"host":{"uid":0,"gid":null,"user":"","group":""},"inside":{"uid":0,"gid":0,"user":"","group":""},` +
		`"namespaces":{"user":1,"pid":1,"pid_for_children":1,"mnt":1,"net":1,"uts":1,"ipc":1,"cgroup":1,"time":null,"time_for_children":1},"container":null,"viewer":"host","role":null`
	if err := validJSON("ps", strings.NewReader("{"+process+"}\n{"+process+"}")); err != nil {
		t.Errorf("a process is refused: %v", err)
	}
	for what, text := range map[string]string{
		"another version": `{"version":"2.0.0","runs":[]}`, "no runs": `{"version":"2.1.0"}`, "no JSON": "{",
		"a level that is none": `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"nsview"}},"results":[{"level":"fatal","message":{"text":""}}]}]}`,
	} {
		if validSARIF("doctor", strings.NewReader(text)) == nil {
			t.Errorf("SARIF with %s is valid", what)
		}
	}
	for what, text := range map[string]string{
		"a key too many":      "{" + process + `,"more":1}`,
		"a key that lacks":    "{" + strings.Replace(process, `"ppid":0,`, "", 1) + "}",
		"a number as text":    "{" + strings.Replace(process, `"pid":1`, `"pid":"1"`, 1) + "}",
		"null for a name":     "{" + strings.Replace(process, `"comm":""`, `"comm":null`, 1) + "}",
		"null for a list":     "{" + strings.Replace(process, `"pids":[1]`, `"pids":null`, 1) + "}",
		"another schema":      `{"schema":"nsview/v2","kind":"ProcessList","observer":{},"gaps":[],"processes":[]}`,
		"a kind of no report": `{"schema":"nsview/v1","kind":"Nothing"}`,
		"no JSON":             "{",
	} {
		if validJSON("ps", strings.NewReader(text)) == nil {
			t.Errorf("%s is valid", what)
		}
	}
}

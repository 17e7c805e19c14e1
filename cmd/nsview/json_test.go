package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/runner"
)

// documentedJSON is every JSON object that nsview prints: the section of docs/json.md that has its keys, and its type.
// Whoever adds a kind adds a line here and a section there.
func documentedJSON() map[string]reflect.Type {
	return map[string]reflect.Type{
		// what kinds begin with, but for those of run
		"Report": reflect.TypeFor[nsinspect.Report](),
		// kinds
		"ProcessList":   reflect.TypeFor[nsinspect.ProcessList](),
		"OwnerReport":   reflect.TypeFor[nsinspect.OwnerReport](),
		"OwnerSummary":  reflect.TypeFor[nsinspect.OwnerSummary](),
		"NamespaceList": reflect.TypeFor[nsinspect.NamespaceList](),
		"IdMap":         reflect.TypeFor[nsinspect.MapReport](),
		"Diff":          reflect.TypeFor[nsinspect.Diff](),
		"ContainerList": reflect.TypeFor[nsinspect.ContainerList](),
		"FindingList":   reflect.TypeFor[doctor.FindingList](),
		"Snapshot":      reflect.TypeFor[nsinspect.Snapshot](),
		"RunPlan":       reflect.TypeFor[runPlan](),
		"RunReport":     reflect.TypeFor[runReport](),
		"AccessVerdict": reflect.TypeFor[accessVerdict](),
		"AccessReport":  reflect.TypeFor[accessReport](),
		"AccessAnswer":  reflect.TypeFor[batchAnswer](),
		"CapReport":     reflect.TypeFor[access.CapReport](),
		"TraceEvent":    reflect.TypeFor[events.Event](),
		"Trace":         reflect.TypeFor[traceReport](),
		// objects in them, explained once
		"Observer":     reflect.TypeFor[nsinspect.ReportObserver](),
		"Gap":          reflect.TypeFor[nsinspect.Gap](),
		"OwnerView":    reflect.TypeFor[nsinspect.OwnerView](),
		"EngineMount":  reflect.TypeFor[nsinspect.EngineMount](),
		"StartFacts":   reflect.TypeFor[nsinspect.StartFacts](),
		"ChainLink":    reflect.TypeFor[nsinspect.ChainLink](),
		"Pod":          reflect.TypeFor[nsinspect.Pod](),
		"Namespaces":   reflect.TypeFor[nsinspect.NamespaceSet](),
		"ContainerRef": reflect.TypeFor[nsinspect.ContainerRef](),
		"Pin":          reflect.TypeFor[nsinspect.Pin](),
		"Extent":       reflect.TypeFor[idmap.Extent](),
		"MountExtent":  reflect.TypeFor[idmap.MountExtent](),
		"Mount":        reflect.TypeFor[nsinspect.Mount](),
		"Credentials":  reflect.TypeFor[nsinspect.Credentials](),
		"IDs":          reflect.TypeFor[nsinspect.IDs](),
		"FileOwner":    reflect.TypeFor[runner.Owner](),
		"Verdict":      reflect.TypeFor[access.Verdict](),
	}
}

// jsonKey is one key of an object: "processes[].host.uid".
type jsonKey struct {
	section  string // that explains the objects in it, "" when they are explained here
	null     bool   // may be null
	optional bool   // may be missing
}

// docs/json.md has every key of every object, says of each whether it may be null or missing, and has no other.
func TestJSONIsDocumented(t *testing.T) {
	documented := jsonSections(t)
	sections := make(map[reflect.Type]string)
	for name, typ := range documentedJSON() {
		sections[typ] = name
	}
	for name, typ := range documentedJSON() {
		rows, ok := documented[name]
		if !ok {
			t.Errorf("docs/json.md has no section %s", name)
			continue
		}
		keys := make(map[string]jsonKey)
		jsonKeys(typ, "", sections, keys)
		for path, key := range keys {
			row, ok := rows[path]
			if !ok {
				t.Errorf("%s: key %s is not documented", name, path)
				continue
			}
			if says := strings.Contains(row.typ, "null"); says != key.null {
				t.Errorf("%s: %s: may be null: %v; the document says %q", name, path, key.null, row.typ)
			}
			if says := strings.Contains(row.typ, "optional"); says != key.optional {
				t.Errorf("%s: %s: may be missing: %v; the document says %q", name, path, key.optional, row.typ)
			}
			if link := "[" + key.section + "](#" + strings.ToLower(key.section) + ")"; key.section != "" && !strings.Contains(row.typ, link) {
				t.Errorf("%s: %s: the document does not link to %s", name, path, link)
			}
			if row.meaning == "" {
				t.Errorf("%s: %s: no meaning", name, path)
			}
		}
		for path := range rows {
			if _, ok := keys[path]; !ok {
				t.Errorf("%s: there is no key %s", name, path)
			}
		}
	}
	for name := range documented {
		if documentedJSON()[name] == nil {
			t.Errorf("docs/json.md explains %s, which nsview does not print", name)
		}
	}
}

// jsonKeys adds the keys of an object, also those of objects in it that have no section of their own.
func jsonKeys(typ reflect.Type, prefix string, sections map[reflect.Type]string, keys map[string]jsonKey) {
	for _, f := range reflect.VisibleFields(typ) {
		if len(f.Index) > 1 && slices.Contains([]reflect.Type{reflect.TypeFor[nsinspect.Report](), reflect.TypeFor[access.Verdict]()}, typ.Field(f.Index[0]).Type) {
			continue // in its own section
		}
		tag, ok := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		if !ok || name == "-" {
			continue
		}
		path := prefix + name
		key := jsonKey{optional: strings.Contains(options, "omitempty")}
		inner := f.Type
		key.null = !key.optional && (mayBeNull(inner) || listMayBeNull(path))
		suffix := "."
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice && !isScalar(inner) {
			if inner.Kind() == reflect.Slice {
				suffix = "[]."
			}
			inner = inner.Elem()
		}
		key.section = sections[inner]
		keys[path] = key
		if inner.Kind() == reflect.Struct && key.section == "" && !isScalar(inner) {
			jsonKeys(inner, path+suffix, sections, keys)
		}
	}
}

// mayBeNull reports whether a value of the type is null for something that is unknown, unmapped or not there.
func mayBeNull(typ reflect.Type) bool {
	switch typ {
	case reflect.TypeFor[nsinspect.Inode](), reflect.TypeFor[idmap.Inside](), reflect.TypeFor[idmap.Kernel](), reflect.TypeFor[idmap.Disk]():
		return true
	}
	return typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Interface
}

// listMayBeNull reports whether a list is told from an empty one where it is unknown.
func listMayBeNull(path string) bool { return path == "observer.lsms" }

// isScalar reports whether the type, though a struct, is one value in JSON.
func isScalar(typ reflect.Type) bool { return typ.PkgPath() == "time" }

// jsonRow is a row of a table of keys.
type jsonRow struct{ typ, meaning string }

var keyRow = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]*) \\|$")

// jsonSections reads docs/json.md: the rows of the table in each section "### NAME", by key.
func jsonSections(t *testing.T) map[string]map[string]jsonRow {
	t.Helper()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]map[string]jsonRow)
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "### "); ok {
			section = name
			sections[section] = make(map[string]jsonRow)
			continue
		}
		row := keyRow.FindStringSubmatch(line)
		switch {
		case row == nil && strings.HasPrefix(line, "| `"):
			t.Errorf("not a row of key, type and meaning: %s", line)
		case row != nil && section == "":
			t.Errorf("a key in no section: %s", line)
		case row != nil:
			if _, twice := sections[section][row[1]]; twice {
				t.Errorf("%s: %s twice", section, row[1])
			}
			sections[section][row[1]] = jsonRow{row[2], strings.TrimSpace(row[3])}
		}
	}
	return sections
}

// Every kind that the commands print is one that is documented.
func TestJSONKindsAreDocumented(t *testing.T) {
	kind := regexp.MustCompile(`(?:Kind: |\.Report\()"([A-Z]\w+)"`)
	var found []string
	for _, dir := range []string{".", "../../nsinspect", "../../nsinspect/access", "../../procscan"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile(dir + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range kind.FindAllStringSubmatch(string(text), -1) {
				found = append(found, m[1])
			}
		}
	}
	if len(found) < 9 {
		t.Errorf("found only the kinds %v", found)
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(found))) {
		if documentedJSON()[name] == nil {
			t.Errorf("kind %s is not documented", name)
		}
	}
}

package ci

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan/proctest"
)

func sample() *doctor.FindingList {
	list := &doctor.FindingList{Containers: []string{"docker:web", "docker:fine"}}
	list.Findings = []doctor.Finding{
		{ID: doctor.Write, Severity: doctor.Error, Target: "docker:web", Path: "/var/lib/my data", Evidence: "denied", Meaning: "it cannot", Fixes: []access.Fix{{Title: "t", Commands: []string{"chown -- x"}}}},
		{ID: doctor.Unmapped, Severity: doctor.Warning, Target: "docker:web", Path: "/srv", Evidence: "e", Meaning: "m"},
		{ID: doctor.Newidmap, Severity: doctor.Info, Target: "host", Evidence: "e", Meaning: "m"},
	}
	for _, s := range proctest.Hostile() {
		list.Findings = append(list.Findings, doctor.Finding{ID: doctor.Read, Severity: doctor.Warning, Target: "x/" + s, Path: "/" + s, Evidence: s, Meaning: s})
	}
	list.Gaps = []nsinspect.Gap{{Subject: "pid 1", Fact: "names", Error: "permission denied \x1b"}}
	return list
}

// OASIS's own schema has nothing against what is written.
func TestSARIF(t *testing.T) {
	text, err := os.ReadFile("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []*doctor.FindingList{sample(), {}} {
		var b bytes.Buffer
		if err := SARIF(&b, list, "1.0"); err != nil {
			t.Fatal(err)
		}
		log, err := jsonschema.UnmarshalJSON(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(log); err != nil {
			t.Error(err)
		}
	}
	var b bytes.Buffer
	if err := SARIF(&b, sample(), "1.0"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Runs []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Locations []struct {
					PhysicalLocation struct{ ArtifactLocation struct{ URI string } }
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%s is rule %d", r.RuleID, r.RuleIndex)
		}
	}
	if got := run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != "nsview:docker:web/var/lib/my%20data" || run.Results[0].Level != "error" || run.Results[2].Level != "note" {
		t.Errorf("%+v", run.Results[0])
	}
}

// Jenkins's schema has nothing against what is written, nor has xmllint(1).
func TestJUnitSchema(t *testing.T) {
	xmllint, err := exec.LookPath("xmllint")
	proctest.Need(t, "xmllint", err == nil, "libxml2-utils is not installed")
	for _, list := range []*doctor.FindingList{sample(), {}} {
		var b bytes.Buffer
		if err := JUnit(&b, list); err != nil {
			t.Fatal(err)
		}
		lint := exec.Command(xmllint, "--noout", "--nonet", "--schema", "testdata/junit-10.xsd", "-")
		lint.Stdin = &b
		if out, err := lint.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// Whoever chose a name adds no line to a message, such as one that looks like a fix; what is quoted is not escaped again.
func TestMessage(t *testing.T) {
	f := &doctor.Finding{Evidence: "of /a\nfix: all\n  rm -rf /", Meaning: "m", Fixes: []access.Fix{{Title: `let it read $'/a\nb'`, Commands: []string{`chmod o+r -- $'/a\nb'`}, How: "h\nfix: more"}}}
	want := `of /a\nfix: all\n  rm -rf /
m
fix: let it read $'/a\nb'
  chmod o+r -- $'/a\nb'
  h\nfix: more`
	if got := message(f); got != want {
		t.Errorf("%s\n\nwant\n%s", got, want)
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e\ufffd") {
		t.Errorf("a control character or a lost one:\n%s", b.String())
	}
	var got testSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for i := range got.Suites {
		skipped += got.Suites[i].Skipped
	}
	if want := len(sample().Findings) + 2; got.Tests != want || got.Failures != 1 || skipped != 1 {
		t.Errorf("%d tests, %d failed, %d skipped; want %d, 1, 1", got.Tests, got.Failures, skipped, want)
	}
	if web := got.Suites[0]; web.Name != "docker:web" || web.Tests != 2 || web.Cases[0].Failure == nil || !strings.Contains(web.Cases[0].Failure.Text, "chown -- x") {
		t.Errorf("%+v", web)
	}
	if fine := got.Suites[1]; fine.Cases[0].Name != "nothing found" || fine.Failures != 0 {
		t.Errorf("%+v", fine)
	}
}

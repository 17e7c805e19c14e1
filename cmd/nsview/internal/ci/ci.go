// Package ci writes findings in the formats that CI services show: SARIF beside the code, JUnit as failed tests. Strings
// become JSON and XML, in which nothing steers a reader's terminal.
package ci

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/doctor"
)

const (
	project  = "https://github.com/nsview/nsview"
	findings = project + "/blob/main/docs/findings.md#"
)

// SARIF writes the findings as a log of version 2.1.0 with one run (docs.oasis-open.org/sarif). A finding is about a path
// of a container, which is no file of a repository: it stands as the URI nsview:TARGET/PATH and as a logical location.
// What could not be told is a notification, and so is not mistaken for a clean bill.
func SARIF(w io.Writer, list *doctor.FindingList, version string) error {
	levels := map[doctor.Severity]string{doctor.Error: "error", doctor.Warning: "warning", doctor.Info: "note"}
	var rules []any
	index := make(map[doctor.ID]int)
	for i, id := range doctor.IDs() {
		index[id] = i
		rules = append(rules, object{"id": id, "helpUri": findings + strings.ToLower(string(id))})
	}
	results := []any{}
	for i := range list.Findings {
		f := &list.Findings[i]
		location := object{
			"logicalLocations": []any{object{"fullyQualifiedName": f.Target + f.Path, "kind": "resource"}},
			"physicalLocation": object{"artifactLocation": object{"uri": "nsview:" + escapePath(f.Target) + escapePath(cmp.Or(f.Path, "/"))}},
		}
		results = append(results, object{
			"ruleId": f.ID, "ruleIndex": index[f.ID], "level": levels[f.Severity],
			"message":             object{"text": message(f)},
			"locations":           []any{location},
			"partialFingerprints": object{"nsview/v1": string(f.ID) + " " + f.Target + " " + f.Path},
		})
	}
	notifications := []any{}
	for _, g := range list.Gaps {
		text := fmt.Sprintf("could not read %s of %s: %s", g.Fact, g.Subject, g.Error)
		notifications = append(notifications, object{"level": "warning", "message": object{"text": text}})
	}
	return render.JSON(w, object{
		"$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		"version": "2.1.0",
		"runs": []any{object{
			"tool":        object{"driver": object{"name": "nsview", "version": version, "informationUri": project, "rules": rules}},
			"invocations": []any{object{"executionSuccessful": true, "toolExecutionNotifications": notifications}},
			"results":     results,
		}},
	})
}

type object = map[string]any

// escapePath keeps the slashes of a path.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// message is what was seen, what it means, and the fixes with their commands, a line each: whoever chose a name in it adds
// none.
func message(f *doctor.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s", render.Escape(f.Evidence), render.Escape(f.Meaning))
	for i := range f.Fixes {
		fix := &f.Fixes[i]
		fmt.Fprintf(&b, "\nfix: %s", render.Quoted(fix.Title))
		for _, command := range append(slices.Clone(fix.Commands), fix.How) {
			if command != "" {
				fmt.Fprintf(&b, "\n  %s", render.Quoted(command))
			}
		}
	}
	return b.String()
}

type testSuites struct {
	XMLName  xml.Name    `xml:"testsuites"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Suites   []testSuite `xml:"testsuite"`
}

type testSuite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *failure `xml:"failure"`
	Skipped *skipped `xml:"skipped"`
	Output  string   `xml:"system-out,omitempty"`
}

type failure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

type skipped struct {
	Message string `xml:"message,attr"`
}

// JUnit writes the findings as test cases, a suite a container: an error failed, a warning or a remark passed with its text
// as output, what could not be told was skipped. A container without a finding is one test that passed. The elements and
// attributes are those of Jenkins's junit-10.xsd, which are those that other services read too; none was an error of the
// test itself.
func JUnit(w io.Writer, list *doctor.FindingList) error {
	all := testSuites{Name: "nsview doctor"}
	suite := func(name string) *testSuite {
		at := slices.IndexFunc(all.Suites, func(s testSuite) bool { return s.Name == name })
		if at < 0 {
			at = len(all.Suites)
			all.Suites = append(all.Suites, testSuite{Name: name})
		}
		return &all.Suites[at]
	}
	for _, name := range list.Containers {
		suite(render.Escape(name))
	}
	for i := range list.Findings {
		f := &list.Findings[i]
		s := suite(render.Escape(f.Target))
		c := testCase{Class: s.Name, Name: strings.TrimSpace(string(f.ID) + " " + render.Escape(f.Path))}
		if f.Severity == doctor.Error {
			c.Failure = &failure{Type: string(f.ID), Message: render.Escape(f.Evidence), Text: message(f)}
		} else {
			c.Output = string(f.Severity) + ": " + message(f)
		}
		s.Cases = append(s.Cases, c)
	}
	for i := range all.Suites {
		if s := &all.Suites[i]; len(s.Cases) == 0 {
			s.Cases = append(s.Cases, testCase{Class: s.Name, Name: "nothing found"})
		}
	}
	for i := range list.Gaps {
		g := &list.Gaps[i]
		s := suite("what could not be read")
		s.Cases = append(s.Cases, testCase{Class: s.Name, Name: render.Escape(g.Fact + " of " + g.Subject), Skipped: &skipped{render.Escape(g.Error)}})
	}
	for i := range all.Suites {
		s := &all.Suites[i]
		for j := range s.Cases {
			s.Tests++
			if s.Cases[j].Failure != nil {
				s.Failures++
			}
			if s.Cases[j].Skipped != nil {
				s.Skipped++
			}
		}
		all.Tests, all.Failures = all.Tests+s.Tests, all.Failures+s.Failures
	}
	out, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, out)
	return err
}

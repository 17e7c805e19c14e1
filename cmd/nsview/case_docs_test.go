package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reportedCases are the ids of docs/cases.md.
const reportedCases = `
A01 A02 A03 A04 A05 A06 A07 A09 A11 A12 A13 A15 A16 A17 A18 A20 A22 A23 A24 A25
B01 B03 B04 B06 B07 B09 B11 B12 B13 B14 B15 B16 B18 B20 B21 B23 B26 B28
C01 C02 C03 C05 C07 C09 C11 C12 C13 C15 C16 C18 C19 C21 C22 C23 C25 C27 C28 C29 C30 C31 C32`

// The table of docs/cases.md has every case once, names the scripts that there are, and the checks that they show. A case
// without a script says that it was not reproduced.
func TestCasesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cases.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/cases/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(\.\./cmd/nsview/(testdata/script/cases/[^)]+)\)`)
	code := regexp.MustCompile("`([^`]+)`|(NSV-[A-Z-]+)") // checks, commands and findings
	var ids, linked []string
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 5 || !regexp.MustCompile(`^\| [A-Z]\d\d$`).MatchString(cells[0]) {
			continue
		}
		id, answer := strings.TrimPrefix(cells[0], "| "), cells[2]
		ids = append(ids, id)
		text := ""
		for _, m := range link.FindAllStringSubmatch(cells[3], -1) {
			content, err := os.ReadFile(m[1])
			if err != nil {
				t.Error(err)
			}
			if !strings.HasPrefix(filepath.Base(m[1]), id+"-") {
				t.Errorf("%s: the script %s is another case's", id, m[1])
			}
			linked, text = append(linked, m[1]), text+string(content)
		}
		if (text == "") != strings.Contains(answer, "not reproduced") {
			t.Errorf("%s: a case has a script, or says that it was not reproduced", id)
		}
		for _, m := range code.FindAllStringSubmatch(answer, -1) {
			if word, _, _ := strings.Cut(m[1]+m[2], " "); text != "" && !strings.Contains(text, word) {
				t.Errorf("%s: no script of it shows %s", id, word)
			}
		}
	}
	if want := strings.Fields(reportedCases); !slices.Equal(ids, want) {
		t.Errorf("the table has %v,\nwant %v", ids, want)
	}
	slices.Sort(linked)
	if !slices.Equal(linked, scripts) {
		t.Errorf("the table names the scripts %v,\nthere are %v", linked, scripts)
	}
}

package main

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	mdLink    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	mdFence   = regexp.MustCompile("(?ms)^```.*?^```$|`[^`\n]*`")
)

// Every link in a document of this repository leads to a file of it, and to a heading that the file has. (Addresses of other
// sites are not asked: that would make the tests depend on them.)
func TestLinks(t *testing.T) {
	const root = "../.."
	checked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "dist") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range mdLink.FindAllStringSubmatch(mdFence.ReplaceAllString(string(text), ""), -1) {
			u, err := url.Parse(m[1])
			switch {
			case err != nil:
				t.Errorf("%s: %s: %v", path, m[1], err)
				continue
			case u.Scheme == "https":
				continue
			case u.Scheme != "":
				t.Errorf("%s: %s is not https", path, m[1])
				continue
			}
			checked++
			to := path
			if u.Path != "" {
				to = filepath.Join(filepath.Dir(path), u.Path)
			}
			if rel, err := filepath.Rel(root, to); err != nil || strings.HasPrefix(rel, "..") {
				t.Errorf("%s: %s leads out of the repository", path, m[1])
				continue
			}
			there, err := os.ReadFile(to)
			if info, statErr := os.Stat(to); statErr == nil && info.IsDir() && u.Fragment == "" {
				continue
			}
			if err != nil {
				t.Errorf("%s: %s: there is no such file", path, m[1])
				continue
			}
			if u.Fragment != "" && filepath.Ext(to) == ".md" && !headings(string(there))[u.Fragment] {
				t.Errorf("%s: %s: there is no such heading", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 50 {
		t.Errorf("only %d links were found", checked)
	}
}

// headings are the anchors that GitHub makes of a document's headings.
func headings(text string) map[string]bool {
	anchors := make(map[string]bool)
	for _, m := range mdHeading.FindAllStringSubmatch(text, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(m[1]) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				b.WriteRune(r)
			}
		}
		anchors[b.String()] = true
	}
	return anchors
}

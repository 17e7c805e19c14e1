// Package html makes nsview's report: one page that needs no network and runs under a content security policy of its own.
// Strings in a [Page] are put in as text, whatever they contain; what could mislead a reader (controls, bidi overrides) is
// made visible as on a terminal.
package html

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"slices"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/cmd/nsview/internal/render/picture"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styleText string

//go:embed page.js
var scriptText string

// Page is a report.
type Page struct {
	Title    string
	Facts    [][2]string // of the host and of who looked: name and value
	Version  string
	Findings []Finding
	Pictures []Picture
	Tables   []Table
	Gaps     []Gap

	Viewers   []string // containers as TARGETs, "host" among them: what a process's Viewer is the index of
	Processes []Process
}

// Finding is what doctor found.
type Finding struct {
	ID, Severity, Target, Path, Evidence, Meaning string
	Fixes                                         []Fix
}

// Fix is what would change it. What others chose is quoted in it as for a shell.
type Fix struct {
	Title    string
	Notes    []string
	Commands []string
	How      string // what to do where no command does it, "" otherwise
}

// Counts say how many findings there are of each severity.
func (p *Page) Counts() []Count {
	var counts []Count
	for _, f := range p.Findings {
		i := slices.IndexFunc(counts, func(c Count) bool { return c.Severity == f.Severity })
		if i < 0 {
			i = len(counts)
			counts = append(counts, Count{Severity: f.Severity})
		}
		counts[i].N++
	}
	return counts
}

// Count is a number of findings of one severity.
type Count struct {
	Severity string
	N        int
}

// Picture is a graph or ribbons.
type Picture struct {
	ID, Title, About string
	Draw             func(w io.Writer, alone bool) error
}

// Table has a header and rows; of each row the first cell names its container.
type Table struct {
	ID, Title string
	Header    []string
	Rows      [][]string
}

// Gap is what could not be read.
type Gap struct{ Subject, Fact, Error, Hint string }

// Process is a row of the process table.
type Process struct {
	PID, CPID         int
	User, UID, GID    string // the host's side
	CUser, CUID, CGID string // inside
	Viewer            int
	Comm              string
}

// MarshalJSON writes it as a list: there are many.
func (p Process) MarshalJSON() ([]byte, error) {
	e := render.Escape
	return json.Marshal([]any{p.PID, p.CPID, e(p.User), p.UID, p.GID, e(p.CUser), p.CUID, p.CGID, p.Viewer, e(p.Comm)})
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	style := styleText + picture.Style
	policy := "default-src 'none'; style-src '" + digest(style) + "'; script-src '" + digest(scriptText) + "'; base-uri 'none'; form-action 'none'"
	data, err := p.data()
	if err != nil {
		return err
	}
	tmpl, err := template.New("page").Funcs(template.FuncMap{
		"text":   render.Escape,
		"quoted": render.Quoted,
		"draw": func(d func(io.Writer, bool) error) (template.HTML, error) {
			var b bytes.Buffer
			err := d(&b, false)
			return template.HTML(b.String()), err // made by picture, which escapes
		},
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return tmpl.Execute(w, map[string]any{
		"Page": p, "Policy": policy, "Style": template.CSS(style), "Script": template.JS(scriptText), "Data": template.JS(data),
	})
}

// data is what the script builds the process table of. encoding/json writes <, > and & as \u003c and so on, so nothing in
// it ends the element that it stands in.
func (p *Page) data() ([]byte, error) {
	viewers := make([]string, len(p.Viewers))
	for i, v := range p.Viewers {
		viewers[i] = render.Escape(v)
	}
	processes := p.Processes
	if processes == nil {
		processes = []Process{}
	}
	return json.Marshal(map[string]any{"viewers": viewers, "processes": processes})
}

// digest is how a content security policy names an inline style or script (CSP level 2).
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

const module = "github.com/nsview/nsview/"

// mayImport is the house as docs/design.md draws it: which packages of the module each one may import. A package that is
// not listed fails the test, so that a new one is placed on purpose.
var mayImport = map[string][]string{
	"bench":                               {},
	"packaging/apk":                       {},
	"packaging/sbomcheck":                 {},
	"idmap":                               {},
	"nsinspect":                           {"idmap"},
	"nsinspect/shell":                     {},
	"nsinspect/access":                    {"idmap", "nsinspect", "nsinspect/shell"},
	"nsinspect/doctor":                    {"idmap", "nsinspect", "nsinspect/access", "nsinspect/shell"},
	"nsinspect/events":                    {"idmap", "nsinspect", "nsinspect/access", "nsinspect/shell"},
	"procscan":                            {"idmap", "nsinspect", "procscan/taskiter"},
	"procscan/taskiter":                   {"idmap", "nsinspect"},
	"procscan/trace":                      {"idmap", "nsinspect", "nsinspect/access", "nsinspect/events", "procscan"},
	"procscan/pathwalk":                   {"idmap", "nsinspect", "nsinspect/access", "procscan"},
	"procscan/engine":                     {"idmap", "nsinspect", "procscan"},
	"procscan/engine/enginetest":          {"procscan/proctest"},
	"procscan/engine/enginetest/impostor": {},
	"procscan/proctest":                   {},
	"runner":                              {"idmap"},
	"cmd/nsview/internal/render":          {"nsinspect/shell"},
	"cmd/nsview/internal/render/picture":  {"cmd/nsview/internal/render"},
	"cmd/nsview/internal/render/html":     {"cmd/nsview/internal/render", "cmd/nsview/internal/render/picture"},
	"cmd/nsview/internal/manual":          {},
	"cmd/nsview/internal/ci":              {"nsinspect/doctor", "cmd/nsview/internal/render"},
	"cmd/nsview":                          {"idmap", "nsinspect", "nsinspect/access", "nsinspect/doctor", "nsinspect/events", "nsinspect/shell", "procscan", "procscan/pathwalk", "procscan/engine", "procscan/trace", "runner", "cmd/nsview/internal/ci", "cmd/nsview/internal/manual", "cmd/nsview/internal/render", "cmd/nsview/internal/render/html", "cmd/nsview/internal/render/picture"},
}

// pure packages calculate and reason; they never touch the system.
var (
	pure   = []string{"idmap", "nsinspect", "nsinspect/access", "nsinspect/doctor", "nsinspect/events", "nsinspect/shell"}
	impure = []string{"os", "os/exec", "os/user", "os/signal", "syscall", "net", "net/http", "plugin", "unsafe"}
)

// onlyIn says which single package a dependency is confined to.
var onlyIn = map[string]string{
	"github.com/clipperhouse/displaywidth": "cmd/nsview/internal/render",
	"github.com/spf13/cobra":               "cmd/nsview",
}

type goPackage struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
}

func TestImportsFollowTheHouse(t *testing.T) {
	for _, p := range goPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, listed := mayImport[name]
		if !listed {
			t.Errorf("package %s has no place in the house: add it to mayImport and to docs/design.md", name)
			continue
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("package %s uses cgo: %v", name, p.CgoFiles)
		}
		for _, imported := range p.Imports {
			if inner, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, inner) {
				t.Errorf("package %s imports %s: it may import only %v", name, inner, allowed)
			}
			if slices.Contains(pure, name) && (slices.Contains(impure, imported) || strings.HasPrefix(imported, "golang.org/x/sys")) {
				t.Errorf("package %s imports %s: it must stay pure", name, imported)
			}
			for dependency, home := range onlyIn {
				if (imported == dependency || strings.HasPrefix(imported, dependency+"/")) && name != home {
					t.Errorf("package %s imports %s, which belongs in %s", name, imported, home)
				}
			}
		}
	}
}

func TestTopLevelFolders(t *testing.T) {
	want := []string{"bench", "cmd", "idmap", "nsinspect", "packaging", "procscan", "runner"}
	for _, p := range goPackages(t) {
		top, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, module), "/")
		if !slices.Contains(want, top) {
			t.Errorf("package %s is outside the top-level folders %v", p.ImportPath, want)
		}
	}
}

func goPackages(t *testing.T) []goPackage {
	t.Helper()
	goTool, err := exec.LookPath("go")
	proctest.Need(t, "go", err == nil, "the go command lists the imports")
	out, err := exec.Command(goTool, "list", "-json=ImportPath,Imports,CgoFiles", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(packages) == 0 {
				t.Fatal("go list named no package")
			}
			return packages
		case err != nil:
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

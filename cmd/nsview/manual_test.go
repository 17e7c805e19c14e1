package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

const commandDocs = "../../docs/commands"

// docs/commands has what help says of every command, in Markdown.
func TestCommandPagesIsCurrent(t *testing.T) {
	root := (&app{}).rootCommand(nil)
	want := make(map[string]bool)
	for _, l := range pageList(root) {
		if l.Section != 1 {
			continue
		}
		cmd, _, err := root.Find(strings.Fields(l.Name)[1:])
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := commandPage(cmd).Markdown(&b); err != nil {
			t.Fatal(err)
		}
		file := strings.TrimSuffix(l.File(), ".1") + ".md"
		want[file] = true
		checkGenerated(t, filepath.Join(commandDocs, file), b.Bytes())
	}
	entries, err := os.ReadDir(commandDocs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !want[e.Name()] {
			t.Errorf("%s/%s is of no command", commandDocs, e.Name())
		}
	}
}

// Every page is one that mandoc(1) reads without a complaint, and it shows the text that help shows.
func TestManPages(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	proctest.Need(t, "mandoc", err == nil, "it checks the man pages")
	root := (&app{}).rootCommand(nil)
	for _, l := range pageList(root) {
		name := strings.TrimPrefix(strings.TrimPrefix(l.Name, "nsview"), " ")
		args := []string{"nsview", "help", "--man"}
		if name != "" {
			args = append(args, name)
		}
		var page, errs bytes.Buffer
		if code := run(t.Context(), args, nil, &page, &errs); code != 0 {
			t.Fatalf("%v: %s", args, errs.String())
		}
		file := filepath.Join(t.TempDir(), l.File())
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		lint, _ := exec.Command(mandoc, "-T", "lint", "-W", "warning", file).CombinedOutput()
		for line := range strings.Lines(string(lint)) {
			if !strings.Contains(line, "missing date") { // a date would be another one at every build
				t.Errorf("%s: %s", l.File(), line)
			}
		}
		shown, err := exec.Command(mandoc, "-T", "utf8", "-O", "width=500", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		text := overstruck(string(shown))
		var help bytes.Buffer
		if code := run(t.Context(), append([]string{"nsview", "help"}, args[3:]...), nil, &help, &errs); code != 0 {
			t.Fatal(errs.String())
		}
		// Words, since lines are filled anew; without the marks of Markdown.
		words := strings.Join(strings.Fields(text), " ")
		checked := 0
		for paragraph := range strings.SplitSeq(strings.TrimLeft(help.String(), "\n"), "\n\n") {
			first, _, _ := strings.Cut(strings.NewReplacer("`", "", "*", "", "- ", "").Replace(paragraph), "\n")
			if strings.HasSuffix(first, ":") || first == "" || checked == 3 {
				break
			}
			if first = strings.Join(strings.Fields(first), " "); !strings.Contains(words, first) && checked > 0 {
				t.Errorf("%s does not say %q", l.File(), first)
			}
			checked++
		}
	}
}

// overstruck takes away how a terminal from paper prints bold and underlined letters: the letter, a backspace, another.
func overstruck(text string) string {
	runes := []rune(text)
	var out []rune
	for i := 0; i < len(runes); i++ {
		if runes[i] == '\b' && len(out) > 0 {
			out = out[:len(out)-1]
			continue
		}
		out = append(out, runes[i])
	}
	return string(out)
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

// The README shows what make demo prints. Every line of its blocks that begin with "$ nsview" must be in what the demo
// prints for that command, in that order, but for numbers that differ from run to run. A line "..." stands for lines left
// out.
func TestReadmeShowsWhatTheDemoPrints(t *testing.T) {
	proctest.NeedRoot(t)
	checkShown(t, "../../README.md", commandBlocks(runDocs(t, "../../docs/demo.sh")), 4)
}

// So do the guides.
func TestGuidesShowWhatIsPrinted(t *testing.T) {
	proctest.NeedRoot(t)
	printed := commandBlocks(runDocs(t, "../../docs/guides/guides.sh"))
	guides, err := filepath.Glob("../../docs/guides/*.md")
	if err != nil || len(guides) < 8 {
		t.Fatalf("there are the guides %v (%v)", guides, err)
	}
	for _, guide := range guides {
		if filepath.Base(guide) != "README.md" {
			checkShown(t, guide, printed, 1)
		}
	}
}

// checkShown holds the blocks of a document to what was printed.
func checkShown(t *testing.T, document string, printed map[string][]string, least int) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	shown := commandBlocks(string(text))
	if len(shown) < least {
		t.Errorf("%s shows %d commands, it should show %d", document, len(shown), least)
	}
	for command, lines := range shown {
		got, ok := printed[command]
		if !ok {
			t.Errorf("%s shows %q, which the script does not run", document, command)
			continue
		}
		for _, line := range lines {
			if line == "..." {
				continue
			}
			at := indexOf(got, line)
			if at < 0 {
				t.Errorf("%s shows for %q\n  %s\nwhich is not printed there:\n  %s", document, command, line, strings.Join(printed[command], "\n  "))
				break
			}
			got = got[at+1:]
		}
	}
}

// An ordinary user sees the experiment too, with what is left out named.
func TestDemoAsOrdinaryUser(t *testing.T) {
	proctest.NeedOrdinary(t)
	out := commandBlocks(runDocs(t, "../../docs/demo.sh"))
	for _, command := range []string{"nsview ps mariadb", "nsview owner mariadb/file.txt"} {
		if text := strings.Join(out[command], "\n"); !strings.Contains(text, "nsview:mariadb") || !strings.Contains(text, " ctr ") {
			t.Errorf("%s printed\n%s\nwhich does not show ctr in nsview:mariadb", command, text)
		}
	}
}

// runDocs runs a script of the documents with this test binary as nsview, and checks that it leaves nothing behind.
func runDocs(t *testing.T, script string) string {
	t.Helper()
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(tmp, "nsview") // testscript.Main runs the command of that name
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(tmp, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", script, binary)
	cmd.Env = append(os.Environ(), "TMPDIR="+work)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, stderr.String())
	}
	left, err := os.ReadDir(work)
	if err != nil || len(left) > 0 {
		t.Errorf("%s left %v behind (%v)", script, left, err)
	}
	return string(out)
}

var (
	temporary = regexp.MustCompile(`/[^ ]*nsview-demo\.\w+`)
	dates     = regexp.MustCompile(`[A-Z][a-z]{2} +\d+ +\d\d:\d\d`)
	numbers   = regexp.MustCompile(`\b\d{2,}\b`)
	spaces    = regexp.MustCompile(`\s+`)
	ids       = map[string]bool{"1000": true, "100000": true, "101000": true, "65536": true}
)

// commandBlocks finds "$ COMMAND" lines and the lines after each that are not empty, up to a comment or the end of a
// fence, with what differs from run to run made equal.
func commandBlocks(text string) map[string][]string {
	blocks := make(map[string][]string)
	command := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		switch c, ok := strings.CutPrefix(line, "$ nsview "); {
		case ok:
			command = "nsview " + c
			blocks[command] = nil
		case line == "":
		case strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "```") || strings.HasPrefix(line, "$ "):
			command = ""
		case command != "":
			line = temporary.ReplaceAllString(line, "/tmp/nsview-demo")
			line = dates.ReplaceAllString(line, "DATE")
			line = numbers.ReplaceAllStringFunc(line, func(n string) string {
				if ids[n] {
					return n
				}
				return "N"
			})
			blocks[command] = append(blocks[command], spaces.ReplaceAllString(line, " "))
		}
	}
	return blocks
}

func indexOf(lines []string, line string) int {
	for i, l := range lines {
		if l == line {
			return i
		}
	}
	return -1
}

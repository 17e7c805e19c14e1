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

// The README shows what make demo prints. Its blocks that begin with "$ COMMAND" must be what the demo prints for these
// commands, in that order; what of that may be left out or may vary is said in docs_shown_test.go.
func TestReadmeShowsWhatTheDemoPrints(t *testing.T) {
	proctest.NeedRoot(t)
	checkShown(t, "../../README.md", printedBlocks(t, "../../docs/demo.sh"), 4)
}

// So do the guides.
func TestGuidesShowWhatIsPrinted(t *testing.T) {
	proctest.NeedRoot(t)
	printed := printedBlocks(t, "../../docs/guides/guides.sh")
	guides, err := filepath.Glob("../../docs/guides/*.md")
	if err != nil || len(guides) < 8 {
		t.Fatalf("there are the guides %v (%v)", guides, err)
	}
	for _, guide := range guides {
		if filepath.Base(guide) != "README.md" {
			checkShown(t, guide, printed, 3)
		}
	}
}

// checkShown holds the blocks of a document to what was printed.
func checkShown(t *testing.T, document string, printed []commandBlock, least int) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	shown := commandBlocks(string(text))
	if len(shown) < least {
		t.Errorf("%s shows %d commands, it should show %d", document, len(shown), least)
	}
	for _, problem := range notPrinted(shown, printed) {
		t.Errorf("%s shows %s", document, problem)
	}
}

// An ordinary user sees the experiment too, with what is left out named.
func TestDemoAsOrdinaryUser(t *testing.T) {
	proctest.NeedOrdinary(t)
	out := make(map[string]string)
	for _, block := range printedBlocks(t, "../../docs/demo.sh") {
		out[strings.ReplaceAll(block.command, "ps nsview:", "ps ")] = strings.Join(block.lines, "\n") // where this host has another mariadb
	}
	for _, command := range []string{"$ nsview ps mariadb", "$ nsview owner mariadb/file.txt"} {
		if text := out[command]; !strings.Contains(text, "nsview:mariadb") || !strings.Contains(text, " ctr ") {
			t.Errorf("%s printed\n%s\nwhich does not show ctr in nsview:mariadb", command, text)
		}
	}
}

var startLine = regexp.MustCompile(`(?m)^\s*start ([a-z0-9-]+) `)

// printedBlocks are the commands of a script and what they printed, for the host and the containers that it starts.
func printedBlocks(t *testing.T, script string) []commandBlock {
	t.Helper()
	source, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	viewers := []string{"host"}
	for _, m := range startLine.FindAllSubmatch(source, -1) {
		viewers = append(viewers, "nsview:"+string(m[1]))
	}
	return commandBlocks(runDocs(t, script), viewers...)
}

// aloneOnHost is a script that runs its arguments on a host without containers, once it is in PID and mount namespaces of
// its own: not even stopped ones that engines keep could be called as those of the documents.
const aloneOnHost = `
for dir in /run /var/lib/docker /var/lib/containers /var/lib/containerd /var/lib/nerdctl /var/lib/lxc /var/lib/lxd /var/lib/incus /var/lib/machines; do
	if test -d "$dir"; then mount -t tmpfs -o mode=0755 none "$dir" || exit; fi
done
exec "$@"`

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
	args := []string{"bash", script, binary}
	if os.Geteuid() == 0 {
		args = append([]string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", aloneOnHost, "sh"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
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

package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/engine/enginetest"
	"github.com/nsview/nsview/procscan/proctest"
)

// Of four volumes in real containers, one of them mounted in another, the one that its container cannot use is the one
// that is marked: in each format of a graph, and in a report, where what was found about it comes first.
func TestLiveReport(t *testing.T) {
	dot, err := exec.LookPath("dot")
	proctest.Need(t, "graphviz", err == nil, "it reads the DOT")
	d := enginetest.StartDocker(t)
	// In shop is what the other volume is mounted on.
	for name, owner := range map[string]string{"site": "33", "shop/old": "999", "broken": "1000", "cache": "33"} {
		if err := os.MkdirAll(d.Dir+"/"+name, 0o700); err != nil {
			t.Fatal(err)
		}
		top, _, _ := strings.Cut(name, "/")
		enginetest.Run(t, nil, "chown", "-R", owner+":"+owner, d.Dir+"/"+top)
	}
	d.Container("--name", "live-site", "--user", "33:33", "-v", d.Dir+"/site:/var/www/html", "-v", d.Dir+"/cache:/data", "busybox", "sleep", "1000")
	d.Container("--name", "live-shop", "--user", "mysql", "-v", d.Dir+"/shop:/var/lib/mysql", "-v", d.Dir+"/broken:/var/lib/mysql/old", "busybox", "sleep", "1000")
	targets := []string{"docker:live-site", "docker:live-shop"}
	graph := func(format string) string {
		t.Helper()
		return enginetest.Run(t, nil, "nsview", append([]string{"graph", "--of", "volumes", "-o", format}, targets...)...)
	}

	cmd := exec.Command(dot, "-Tplain")
	cmd.Stdin = strings.NewReader(graph("dot"))
	plain, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var red []string
	for _, line := range strings.Split(string(plain), "\n") {
		if strings.HasPrefix(line, "node ") && strings.Contains(line, " red ") {
			red = append(red, line)
		}
	}
	if len(red) != 1 || !strings.Contains(red[0], `⚠ /var/lib/mysql/old`) {
		t.Errorf("graphviz has red boxes %q", red)
	}
	mermaid := graph("mermaid")
	bad := regexp.MustCompile(`(?m)^  (n\d+)\["⚠ /var/lib/mysql/old<br>`).FindStringSubmatch(mermaid)
	if bad == nil || !strings.Contains(mermaid, "\n  class "+bad[1]+" bad\n") || strings.Contains(mermaid, " warn\n") {
		t.Errorf("%s", mermaid)
	}

	out, err := exec.Command("nsview", append([]string{"report"}, targets...)...).Output()
	if err != nil {
		t.Fatalf("%v", err)
	}
	page := string(out)
	boxes := regexp.MustCompile(`<g class="part node mount[^"]*"[^>]*>`).FindAllString(page, -1)
	slices.Sort(boxes)
	if want := `<g class="part node mount bad" data-choice="docker:live-shop" data-of="docker:live-shop">`; len(boxes) != 4 || boxes[0] != want || strings.Contains(boxes[1], "bad") {
		t.Errorf("mounts in the report: %q", boxes)
	}
	first := regexp.MustCompile(`<article class="finding (\w+)" data-viewer="([^"]*)"`).FindStringSubmatch(page)
	if first == nil || first[1] != "error" || first[2] != "docker:live-shop" {
		t.Errorf("the first finding is %q", first)
	}
	if !strings.Contains(page, `{"processes":[[`) || strings.Contains(page, "1000\"]") {
		t.Error("no process, or command lines, which may hold secrets")
	}
}

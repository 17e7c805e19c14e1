package html

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/cmd/nsview/internal/render/picture"
	"github.com/nsview/nsview/procscan/proctest"
)

const evil = `<script>window.pwned=1</script><img src=x onerror="window.pwned=1">`

// hostile are names that a container may choose.
func hostile() []string {
	return append(append(proctest.Hostile(), proctest.Scripts()...), evil, "</script><script>window.pwned=1</script>", `"><svg onload=window.pwned=1>`, "{{.Page}}", "<!--", "</style>", "javascript:alert(1)")
}

// testPage is a report of a host with that many processes, where whatever a container can choose is hostile.
func testPage(processes int) *Page {
	p := &Page{Title: "Containers " + evil, Version: "test", Facts: [][2]string{{"kernel", evil}}, Viewers: []string{"host", "docker:web", evil}}
	graph := &picture.Graph{Title: evil, Nodes: []picture.Node{
		{ID: "a", Lines: []string{"user 4026531837", "host, 3 processes"}, Kind: "user", Choice: "host", Of: []string{"docker:web", evil}},
		{ID: "b", Lines: []string{"docker:web", "mnt 1"}, Kind: "container", Choice: "docker:web"},
		{ID: "c", Lines: []string{evil}, Kind: "container", Level: picture.Broken, Choice: evil},
	}, Edges: []picture.Edge{{From: "a", To: "b"}, {From: "a", To: "c", Level: picture.Broken}}}
	ribbons := &picture.Ribbons{Title: "ids", Bands: []picture.Band{{Outside: 100000, Count: 65536, Label: evil, Of: []string{evil}}}, Marks: []picture.Mark{{ID: 1000, Label: evil}}}
	p.Pictures = []Picture{{"namespaces", "Namespaces", "about", graph.SVG}, {"uids", "User ids", "about", ribbons.SVG}}
	for i, s := range hostile() {
		p.Findings = append(p.Findings, Finding{
			ID: "NSV-TEST", Severity: []string{"error", "warning", "info"}[i%3], Target: []string{"docker:web", evil}[i%2], Path: s, Evidence: s, Meaning: s,
			Fixes: []Fix{{Title: s, Notes: []string{"proven", s}, Commands: []string{"chown -- " + render.Escape(s)}, How: s}},
		})
		p.Gaps = append(p.Gaps, Gap{s, s, s, s})
		p.Processes = append(p.Processes, Process{PID: i + 1, CPID: i, User: s, UID: "0", GID: "0", CUser: "unmapped", CUID: "unmapped", CGID: "unmapped", Viewer: i % 3, Comm: s})
	}
	for i := len(p.Processes); i < processes; i++ {
		p.Processes = append(p.Processes, Process{PID: i + 1, CPID: i % 300, User: "root", UID: fmt.Sprint(i % 70000), GID: "0", CUser: "app", CUID: fmt.Sprint(i % 1000), CGID: "33", Viewer: 1, Comm: fmt.Sprintf("worker-%d", i)})
	}
	p.Tables = []Table{{ID: "containers", Title: "Containers", Header: []string{"CONTAINER", "IMAGE"}, Rows: [][]string{{"docker:web", "image"}, {evil, evil}}}}
	return p
}

// Nothing of what a container chose is markup, whoever reads the page.
func TestPageHostile(t *testing.T) {
	var b bytes.Buffer
	if err := testPage(100).Write(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, tag := range []string{"<img", "onerror=\"", "<svg onload", "<script>window"} {
		if strings.Contains(text, tag) {
			t.Errorf("the page has %q", tag)
		}
	}
	if n := strings.Count(text, "<script"); n != 2 {
		t.Errorf("%d scripts, the page has two", n)
	}
	for _, outside := range []string{"http://", "https://"} {
		if at := strings.Index(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), outside); at >= 0 {
			t.Errorf("the page has an address: %.80s", text[at:])
		}
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e }); i >= 0 {
		t.Errorf("a control character at %q", text[max(0, i-20):i+4])
	}
}

// browser is Chromium without a window; what it complains about and asks for is collected.
type browser struct {
	context.Context
	mu       sync.Mutex
	trouble  []string
	requests []string
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	proctest.Need(t, "chromium", err == nil, "it opens the report")
	b := &browser{}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithListener(b.heed), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Env("HOME="+t.TempDir())))
	t.Cleanup(end)
	b.Context = ctx
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return b
}

// heed is told of everything that happens in the page.
func (b *browser) heed(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.trouble = append(b.trouble, "exception: "+e.ExceptionDetails.Text)
	case *cdpruntime.EventConsoleAPICalled:
		b.trouble = append(b.trouble, fmt.Sprintf("console: %v", e.Args))
	case *log.EventEntryAdded:
		b.trouble = append(b.trouble, "log: "+e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		b.trouble = append(b.trouble, "dialog: "+e.Message)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// check runs steps, and fails when one does.
func (b *browser) check(t *testing.T, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// does runs a script in the page.
func does(script string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[bool]("void function() {"+script+"}() || true")(ctx, target)
		return chromedp.Void{}, err
	}
}

// click brings an element into sight, waits until it stands still there, and clicks it. What is only laid out when it comes
// into sight (content-visibility in page.css) moves what is below it, so that a click at once would miss.
func (b *browser) click(t *testing.T, what, selector string) {
	t.Helper()
	const still = `
		const element = document.querySelector(%q);
		let at = NaN, frames = 0;
		window.still = false;
		const look = () => {
			element.scrollIntoView({block: "center"});
			const now = element.getBoundingClientRect().top;
			frames = now === at ? frames + 1 : 0;
			at = now;
			window.still = frames === 3;
			if (!window.still) requestAnimationFrame(look);
		};
		look();`
	b.check(t, what, does(fmt.Sprintf(still, selector)))
	b.wants(t, `window.still`)
	b.check(t, what, chromedp.Click(selector))
}

// wants asks the page something that becomes true. (The page's own policy forbids it to evaluate text, so it is not the
// page that waits.)
func (b *browser) wants(t *testing.T, expression string) {
	t.Helper()
	var got bool
	var err error
	came := proctest.Within(10*time.Second, func() bool {
		got, err = chromedp.Run(b, chromedp.Evaluate[bool](expression))
		return err == nil && got
	})
	if !came {
		state, _ := chromedp.Run(b, chromedp.Evaluate[string](`document.getElementById("search").value+" | "+document.getElementById("hits").textContent+" | "+document.getElementById("process-count").textContent`))
		t.Fatalf("never true: %s (%s): %v", expression, state, err)
	}
}

// A person opens the page of a host with 20,000 processes, and searches, filters and sorts, with mouse and keyboard.
func TestPageInChromium(t *testing.T) {
	b := openBrowser(t)
	file := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := testPage(20_000).Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	const ready = `document.documentElement.dataset.ready === "yes"`
	start := time.Now()
	b.check(t, "open", chromedp.Navigate("file://"+file))
	b.wants(t, ready)
	took := time.Since(start)
	t.Logf("20,000 processes open in %v", took)
	if took > 2*time.Second && !testing.Short() {
		t.Errorf("20,000 processes open in %v, more than 2s", took)
	}
	b.wants(t, `window.pwned === undefined`)
	b.wants(t, `document.querySelectorAll("img, iframe, object, link, base").length === 0`)
	b.wants(t, `document.getElementById("process-count").textContent === "20000"`)
	b.wants(t, `[...document.querySelectorAll("#process-table td")].some(td => td.textContent.includes("<script>window.pwned=1"))`)
	b.wants(t, `document.querySelectorAll("#process-table tbody tr").length === 200`)

	// Search, by the keyboard, and leave it again.
	b.check(t, "press /", chromedp.KeyEvent("/"))
	b.wants(t, `document.activeElement.id === "search"`)
	// The driver sends the character though the key was handled, which a keyboard does not.
	b.check(t, "type", does(`document.getElementById("search").value = ""`), chromedp.KeyEvent("worker-777"))
	b.wants(t, `document.getElementById("process-count").textContent === "11 of 20000"`)
	b.wants(t, `document.querySelectorAll("#process-table tbody tr").length === 11`)
	b.wants(t, `document.querySelectorAll(".finding:not([hidden])").length === 0`)
	b.check(t, "press Escape", chromedp.KeyEvent("\x1b"))
	b.wants(t, `document.getElementById("process-count").textContent === "20000"`)

	// A name that looks like markup is found as a name.
	b.check(t, "search", does(`document.getElementById("search").value = ""`), chromedp.SendKeys("#search", "<script>window"))
	b.wants(t, `document.getElementById("hits").textContent.includes("findings") && document.querySelectorAll("#process-table tbody tr").length > 0`)
	b.click(t, "clear", "#clear")

	// Filters.
	errors := 0
	for i := range hostile() {
		if i%3 == 0 {
			errors++
		}
	}
	b.check(t, "choose", does(`document.getElementById("severity").value = "error"; document.getElementById("severity").dispatchEvent(new Event("change"))`))
	b.wants(t, fmt.Sprintf(`document.querySelectorAll(".finding:not([hidden])").length === %d`, errors))
	b.click(t, "clear", "#clear")
	b.click(t, "a box of the picture", `#namespaces .node.container[data-choice="docker:web"]`)
	b.wants(t, `document.getElementById("viewer").value === "docker:web"`)
	b.wants(t, `[...document.querySelectorAll(".finding:not([hidden])")].every(f => f.dataset.viewer === "docker:web")`)
	b.wants(t, `document.querySelectorAll("table.plain tbody tr:not([hidden])").length === 1`)
	b.wants(t, `document.querySelectorAll("#namespaces .dim").length > 0`)
	b.check(t, "the same with the keyboard", chromedp.Focus(`#namespaces .node.container[data-choice="docker:web"]`), chromedp.KeyEvent("\r"))
	b.wants(t, `document.getElementById("viewer").value === ""`)

	// Sort, and more rows.
	b.click(t, "sort", "#process-table th:nth-child(1) button")
	b.wants(t, `document.querySelector("#process-table td").textContent === "20000" && document.querySelector("#process-table th").ariaSort === "descending"`)
	b.click(t, "sort", "#process-table th:nth-child(1) button")
	b.wants(t, `document.querySelector("#process-table td").textContent === "1"`)
	b.check(t, "more, with the keyboard", chromedp.Focus("#more"), chromedp.KeyEvent("\r"))
	b.wants(t, `document.querySelectorAll("#process-table tbody tr").length === 1200`)

	// A fix opens.
	b.click(t, "open a fix", ".finding details summary")
	b.wants(t, `document.querySelector(".finding details").open`)

	// A phone, dark: nothing is wider than the screen.
	b.check(t, "a phone", chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile), prefers("dark"))
	b.wants(t, `document.documentElement.scrollWidth <= 360`)
	// What stands above the columns of a table stands before each cell there.
	b.wants(t, `getComputedStyle(document.querySelector("table.plain td:nth-child(2)"), "::before").content === '"IMAGE "'`)
	b.wants(t, `getComputedStyle(document.body).backgroundColor === "rgb(23, 24, 28)" && getComputedStyle(document.body).color === "rgb(230, 230, 234)"`)
	b.wants(t, `getComputedStyle(document.querySelector(".ns-pic")).color === "rgb(230, 230, 234)"`)

	// On paper.
	if pdf, err := chromedp.Run(b, chromedp.PrintToPDF()); err != nil || !bytes.HasPrefix(pdf, []byte("%PDF")) {
		t.Errorf("print: %v", err)
	}
	b.wants(t, ready)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.trouble) > 0 {
		t.Errorf("the browser complains: %q", b.trouble)
	}
	for _, url := range b.requests {
		if url != "file://"+file {
			t.Errorf("the page asks for %s", url)
		}
	}
	if len(b.requests) == 0 {
		t.Error("no request was seen, not even for the page")
	}
}

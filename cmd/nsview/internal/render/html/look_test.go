package html

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// opens writes a page and opens it.
func (b *browser) opens(t *testing.T, p *Page) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b.check(t, "open", chromedp.Navigate("file://"+file))
	b.wants(t, `document.documentElement.dataset.ready === "yes"`)
}

// prefers has the browser ask for light or dark.
func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return chromedp.Void{}, err
	}
}

// faint are the texts of the page whose contrast with what is behind them is below 4.5:1 (WCAG 2, level AA), one a line,
// and how many were measured. Behind a text of a picture is its box.
const faint = `(() => {
  const parse = c => c.match(/[\d.]+/g).map(Number);
  const over = (c, b) => { const a = c.length > 3 ? c[3] : 1; return [0, 1, 2].map(i => c[i] * a + b[i] * (1 - a)); };
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => {
    if (!e) return [255, 255, 255];
    const box = e.classList.contains("node") && e.querySelector("rect");
    const c = parse(box ? getComputedStyle(box).fill : getComputedStyle(e).backgroundColor);
    return c.length > 3 && c[3] < 1 ? over(c, behind(e.parentElement)) : c;
  };
  const opacity = e => e ? Number(getComputedStyle(e).opacity) * opacity(e.parentElement) : 1;
  let measured = 0;
  const bad = [];
  const measure = (e, color, what) => {
    const back = behind(e), c = parse(color);
    const front = over([c[0], c[1], c[2], (c.length > 3 ? c[3] : 1) * opacity(e)], back);
    const [x, y] = [light(front), light(back)], ratio = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    measured++;
    if (ratio < 4.5) bad.push(ratio.toFixed(2) + " " + e.tagName + "." + e.getAttribute("class") + " " + what);
  };
  for (const e of document.body.querySelectorAll("*")) {
    const text = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join("").trim();
    if (!text || /^(SCRIPT|STYLE|NOSCRIPT|OPTION|title|desc)$/.test(e.tagName)) continue;
    const style = getComputedStyle(e);
    measure(e, e.tagName === "text" ? style.fill : style.color, text.slice(0, 30));
  }
  const search = document.getElementById("search");
  measure(search, getComputedStyle(search, "::placeholder").color, "placeholder");
  return [measured, ...new Set(bad)].join("\n");
})()`

// Every text can be read, in light and in dark, and nothing moves.
func TestPageContrast(t *testing.T) {
	b := openBrowser(t)
	b.opens(t, testPage(100))
	// Colours: a table of hostile names has all that a page can have.
	for _, scheme := range []string{"light", "dark"} {
		b.check(t, scheme, prefers(scheme))
		b.wants(t, `matchMedia("(prefers-color-scheme: `+scheme+`)").matches`)
		got, err := chromedp.Run(b, chromedp.Evaluate[string](faint))
		if err != nil {
			t.Fatal(err)
		}
		measured, bad, _ := strings.Cut(got, "\n")
		t.Logf("%s: %s texts measured", scheme, measured)
		if bad != "" || len(measured) < 3 {
			t.Errorf("%s: of %s texts, hard to read are:\n%s", scheme, measured, bad)
		}
		b.wants(t, `document.querySelectorAll("#search:placeholder-shown").length === 1 && document.getAnimations().length === 0`)
	}
}

// With the keyboard alone: the tab order, one box of each picture in it, arrow keys to the others, a ring around what has
// the focus.
func TestPageKeyboard(t *testing.T) {
	b := openBrowser(t)
	b.opens(t, testPage(100))
	focused := func(expression string) string {
		return `(e => ` + expression + `)(document.activeElement)`
	}
	for _, id := range []string{"", "search", "viewer", "severity", "clear"} {
		b.check(t, "tab to "+id, chromedp.KeyEvent("\t"))
		b.wants(t, focused(`e.id === "`+id+`" && e !== document.body`))
		b.wants(t, focused(`getComputedStyle(e).outlineStyle === "solid" && parseFloat(getComputedStyle(e).outlineWidth) >= 3`))
	}
	b.wants(t, `[...document.querySelectorAll(".picture")].every(p => p.querySelectorAll(".node[tabindex='0']").length <= 1)`)
	b.wants(t, `document.querySelectorAll("#namespaces .node[role=button]").length === 3`)
	b.check(t, "to a picture", chromedp.Focus("#namespaces .picture"), chromedp.KeyEvent("\t"))
	b.wants(t, focused(`e.dataset.choice === "host" && e.getAttribute("aria-label").startsWith("user 4026531837, host, 3 processes")`))
	b.check(t, "to the next box", does(`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true}))`))
	b.wants(t, focused(`e.dataset.choice === "docker:web"`))
	b.check(t, "choose it", chromedp.KeyEvent(" "))
	b.wants(t, `document.getElementById("viewer").value === "docker:web"`)
	b.wants(t, focused(`e.getAttribute("aria-pressed") === "true"`))
	// What leads to it stays in sight; what is another's does not.
	b.wants(t, `!document.querySelector("#namespaces [data-choice=host]").classList.contains("dim")`)
	b.wants(t, `document.querySelector("#namespaces .node.bad").classList.contains("dim")`)
	b.wants(t, `document.querySelectorAll("#namespaces .part:not(.node):not(.dim)").length === 1`)
	b.wants(t, `document.querySelector("#uids .band").classList.contains("dim")`)
	b.wants(t, `document.getElementById("filtered").textContent.includes("docker:web") && getComputedStyle(document.getElementById("filtered")).display === "none"`)
	b.check(t, "all again", chromedp.KeyEvent("\x1b"))
	b.wants(t, `document.getElementById("viewer").value === "" && document.querySelectorAll(".dim").length === 0`)
}

// A key typed into the search of 20,000 processes is answered at once: 100 ms is what a person takes for that.
func TestPageFilterTime(t *testing.T) {
	b := openBrowser(t)
	b.opens(t, testPage(20_000))
	const search = `(() => {
	  const search = document.getElementById("search"), form = document.querySelector(".filters"), took = [];
	  for (const word of ["w", "wo", "worker-1", "worker-19", "app 33", ""]) {
	    search.value = word;
	    const start = performance.now();
	    form.dispatchEvent(new Event("submit", { cancelable: true }));
	    document.body.offsetHeight; // with the layout
	    took.push(performance.now() - start);
	  }
	  return Math.min(...took.slice(0, 3)) + " " + took.map(t => Math.round(t)).join(" ");
	})()`
	got, err := chromedp.Run(b, chromedp.Evaluate[string](search))
	if err != nil {
		t.Fatal(err)
	}
	best, all, _ := strings.Cut(got, " ")
	t.Logf("ms for each search: %s", all)
	// The best of several: a busy machine makes any one of them slow.
	if took, err := time.ParseDuration(best + "ms"); err != nil || took > 100*time.Millisecond && !testing.Short() {
		t.Errorf("a search takes %sms: %v", best, err)
	}
}

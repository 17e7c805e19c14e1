package html

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// onPaper has the browser lay the page out as for a printer, in dark, which paper is not.
func onPaper(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	return chromedp.Void{}, err
}

// On paper all that would be opened is open, what only a screen can do is left out, nothing is wider than the sheet, and
// columns are as wide as short words. A sheet of A4 has 680 pixels of CSS between its margins.
func TestPageOnPaper(t *testing.T) {
	p := testPage(3000)
	p.Tables = []Table{{
		ID: "containers", Title: "Containers", Header: []string{"CONTAINER", "IMAGE", "STATE", "PID", "PROCESSES", "UIDS", "GIDS", "VOLUMES"},
		Rows: [][]string{{"docker:mariadb", "busybox", "running", "7826", "1", "all", "all", "/srv/volumes/of/containers/web:/var/www/html,/srv/volumes/shared-by-all:/shared"}},
	}}
	b := openBrowser(t)
	b.opens(t, p)
	b.check(t, "paper", chromedp.EmulateViewport(680, 1000), onPaper)
	b.wants(t, `matchMedia("print").matches && getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)"`)
	b.wants(t, `[".filters", "nav", "#more"].every(s => getComputedStyle(document.querySelector(s)).display === "none")`)
	b.wants(t, `document.querySelectorAll("details[open]").length === 0 && document.querySelectorAll("#process-table tbody tr").length === 200`)
	b.check(t, "print", does(`window.dispatchEvent(new Event("beforeprint"))`))
	b.wants(t, `document.querySelectorAll("details:not([open])").length === 0 && document.querySelectorAll("#process-table tbody tr").length === 1000`)
	const lines = `(e => { const r = document.createRange(); r.selectNodeContents(e); return r.getClientRects().length; })`
	b.wants(t, `[...document.querySelectorAll("table.plain th, table.plain td:not(:last-child)")].every(e => `+lines+`(e) === 1)`)
	b.wants(t, `[...document.querySelectorAll("svg, table.plain, pre")].every(e => e.getBoundingClientRect().right <= 680)`)
	b.wants(t, `[...document.querySelectorAll("section > h2")].every(e => getComputedStyle(e).breakAfter === "avoid")`)
	b.wants(t, `[...document.querySelectorAll(".picture, section > p, .finding")].every(e => getComputedStyle(e).breakInside === "avoid")`)
	b.check(t, "printed", does(`window.dispatchEvent(new Event("afterprint"))`))
	b.wants(t, `document.querySelectorAll("details[open]").length === 0 && document.querySelectorAll("#process-table tbody tr").length === 200`)
}

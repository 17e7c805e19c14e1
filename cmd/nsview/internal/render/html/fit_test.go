package html

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/nsview/nsview/cmd/nsview/internal/render/picture"
	"github.com/nsview/nsview/procscan/proctest"
)

// fitNames are names that are hard to measure: of every script, wide and narrow letters, longer than a box, and characters
// that fonts draw far wider than their columns.
func fitNames() []string {
	names := append(proctest.Scripts(), proctest.Hostile()...)
	for _, s := range []string{"W", "m", "i", "MW@%", "漢", "한", "ｶﾞ", "😀", "🇰🇷", "نص", "ﷺ", "﷽", "क्षि", "กำ", "…", "⚠", "①", "lower-case.name_0"} {
		for _, n := range []int{1, 20, 200} {
			names = append(names, strings.Repeat(s, n))
		}
	}
	return names
}

// overflowing are the texts that leave their box or their picture, one a line, and how many were measured.
const overflowing = `(() => {
  let measured = 0;
  const bad = [];
  const measure = (text, left, right, what) => {
    const box = text.getBBox();
    measured++;
    if (box.x < left - 0.5 || box.x + box.width > right + 0.5) bad.push(what + ": " + box.x.toFixed(1) + "+" + box.width.toFixed(1) + " in " + left + ".." + right + ": " + [...text.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join(""));
  };
  for (const svg of document.querySelectorAll("svg")) {
    for (const text of svg.querySelectorAll("text")) measure(text, 0, svg.viewBox.baseVal.width, "picture");
    for (const node of svg.querySelectorAll(".node")) {
      const r = node.querySelector("rect");
      for (const text of node.querySelectorAll("text")) measure(text, r.x.baseVal.value, r.x.baseVal.value + r.width.baseVal.value, "box");
    }
  }
  return [measured, ...bad].join("\n");
})()`

// Every text of a picture is within its box, and within the picture, whatever fonts make of it.
func TestPictureTextsFit(t *testing.T) {
	graph := &picture.Graph{Title: "fit"}
	ribbons := &picture.Ribbons{Title: "fit"}
	for i, name := range fitNames() {
		graph.Nodes = append(graph.Nodes, picture.Node{ID: fmt.Sprint(i), Lines: []string{name, name}, Level: picture.Level(i % 3)})
		if i%3 != 0 {
			graph.Edges = append(graph.Edges, picture.Edge{From: fmt.Sprint(i - 1), To: fmt.Sprint(i)})
		}
		ribbons.Notes = append(ribbons.Notes, name)
		ribbons.Bands = append(ribbons.Bands, picture.Band{Outside: uint64(i * 100000), Count: 100000, Label: name})
		ribbons.Marks = append(ribbons.Marks, picture.Mark{ID: uint64(i), Label: name, In: i%2 == 0})
	}
	b := openBrowser(t)
	for what, draw := range map[string]Picture{"graph": {Draw: graph.SVG}, "ribbons": {Draw: ribbons.SVG}} {
		var svg bytes.Buffer
		if err := draw.Draw(&svg, true); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), what+".html")
		if err := os.WriteFile(file, append([]byte("<!DOCTYPE html><meta charset=utf-8>"), svg.Bytes()...), 0o644); err != nil {
			t.Fatal(err)
		}
		b.check(t, what, chromedp.Navigate("file://"+file))
		got, err := chromedp.Run(b, chromedp.Evaluate[string](overflowing))
		if err != nil {
			t.Fatal(err)
		}
		measured, bad, _ := strings.Cut(got, "\n")
		if measured == "0" || bad != "" {
			t.Errorf("%s: of %s texts, those are not where they should be:\n%s", what, measured, bad)
		}
	}
}

package render

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nsview/nsview/procscan/proctest"
)

// The widths of terminals; TestScreenWidths of cmd/nsview asks one.
func TestWidth(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "plain": 5, "日本語": 6, "한국": 4, "\u1112\u1161\u11ab": 2, "e\u0301": 1, "ก็": 1, "กำ": 2, "नि": 2, "ｱ": 1, "ｶﾞ": 2, "Ａ": 2,
		"👍": 2, "🇰🇷": 2, "ß": 1, "مرحبا": 5, "①": 1, "├─ …": 4, "𠀀": 2,
	} {
		if got := Width(s); got != want {
			t.Errorf("%q is %d columns wide, want %d", s, got, want)
		}
		if got := Pad(s, 8); !strings.HasPrefix(got, s) || Width(got) != 8 {
			t.Errorf("%q filled up to 8 columns is %q", s, got)
		}
	}
}

// checkCut holds what cuts promise of any escaped string: they fit, use the room that there is, and what is left is whole
// characters of it and whole escapes, at the end that is kept.
func checkCut(t *testing.T, in string, width int) {
	t.Helper()
	s := Escape(in)
	whole := make(map[int]bool) // the places where it may be cut
	widest := 0
	for i := 0; i < len(s); {
		whole[i] = true
		size := unit(s[i:])
		widest = max(widest, Width(s[i:i+size]))
		i += size
	}
	for i := range whole {
		r, _ := utf8.DecodeRuneInString(s[i:])
		if runeWidth(r) == 0 {
			t.Fatalf("%q may be cut before %q", s, r)
		}
		if back := unescape(t, s[:i]) + unescape(t, s[i:]); back != in {
			t.Fatalf("%q may be cut at %d, within an escape", s, i)
		}
	}
	front, end := cutFront(s, width, false), cut(s, width, false)
	if width <= 0 || Width(s) <= width {
		if front != s || end != s {
			t.Fatalf("%q fits in %d columns, and is cut to %q and %q", s, width, end, front)
		}
		return
	}
	left, isEnd := strings.CutSuffix(end, "…")
	right, isFront := strings.CutPrefix(front, "…")
	if !isEnd || !isFront || !strings.HasPrefix(s, left) || !strings.HasSuffix(s, right) || !whole[len(left)] || !whole[len(s)-len(right)] && right != "" {
		t.Fatalf("%q cut to %d columns is %q and %q", s, width, end, front)
	}
	for _, got := range []string{end, front} {
		if w := Width(got); w > width || w <= width-widest {
			t.Fatalf("%q cut to %d columns is %q, %d wide", s, width, got, w)
		}
	}
}

func TestCut(t *testing.T) {
	for _, s := range append(proctest.Hostile(), append(proctest.Scripts(), "0\u1161")...) {
		for width := range 30 {
			checkCut(t, s, width)
			checkCut(t, strings.Repeat(s, 9), width)
		}
	}
	for _, tt := range [][3]string{{"/srv/日本", "/srv…", "…/日本"}, {"a\nb\nc\n", `a\nb…`, `…\nc\n`}, {"eeee" + "e\u0301\u0302" + "ee", "eeee…", "…\u0065\u0301\u0302ee"}} {
		width := Width(tt[2])
		if end, front := cut(Escape(tt[0]), 5, false), cutFront(Escape(tt[0]), width, false); end != tt[1] || front != tt[2] {
			t.Errorf("%q is cut to %q and %q, want %q and %q", tt[0], end, front, tt[1], tt[2])
		}
	}
	// What a shell reads in $'...' is not cut apart either.
	if got := cut(`$'\342\200\256x'`, 8, true); got != `$'\342+` {
		t.Error(got)
	}
}

func FuzzCut(f *testing.F) {
	for _, s := range append(proctest.Hostile(), proctest.Scripts()...) {
		f.Add(s, 5)
	}
	f.Fuzz(func(t *testing.T, s string, width int) { checkCut(t, s[:min(len(s), 200)], width) }) // it looks at all parts of it
}

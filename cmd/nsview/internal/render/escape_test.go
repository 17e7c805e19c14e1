package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect/shell"
	"github.com/nsview/nsview/procscan/proctest"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "two words": "two words", "new\nline": `new\nline`, "tab\there": `tab\there`, "cr\rover": `cr\rover`,
		"\x1b[31mred": `\x1b[31mred`, "\x7f": `\x7f`, "\u009b31m": `\u009b31m`, "\u202egnp.exe": `\u202egnp.exe`,
		"\xff\xfe": `\xff\xfe`, "half \xe2\x82": `half \xe2\x82`, `\n`: `\\n`, "日本": "日本", "\U000e0041": `\U000e0041`, "\u3164": `\u3164`,
		// A mark is drawn into a character of its own string, and no two emoji into one.
		"e\u0301": "e\u0301", "\u0301x": `\u0301x`, " \u0301": ` \u0301`, "/\u0301": `/\u0301`, "\n\u0301\u0302": `\n\u0301\u0302`, `\` + "\u0301": `\\\u0301`, "\xff\u0301": `\xff\u0301`,
		"\u1112\u1161\u11ab": "\u1112\u1161\u11ab", "\u1161": `\u1161`, "\u0928\u093f": "\u0928\u093f", "\u093f": `\u093f`, "1\ufe0f\u20e3": `1\ufe0f\u20e3`,
		"a" + strings.Repeat("\u0301", 12): "a" + strings.Repeat("\u0301", 10) + `\u0301\u0301`, "👍🏽": `👍\U0001f3fd`, "👩\u200d👧": `👩\u200d👧`, "🇰🇷": "🇰🇷", "🇰": `\U0001f1f0`, "🇰🇷🇯🇵": "🇰🇷🇯🇵", "🇰🇷🇯p": `🇰🇷\U0001f1efp`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %s, want %s", in, got, want)
		}
	}
}

// checkEscaped holds what Escape promises of any string.
func checkEscaped(t *testing.T, in string) {
	t.Helper()
	out := Escape(in)
	if !utf8.ValidString(out) {
		t.Fatalf("Escape(%q) = %q is not UTF-8", in, out)
	}
	for _, r := range out {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || !unicode.IsPrint(r) {
			t.Fatalf("Escape(%q) = %q lets %U pass", in, out, r)
		}
	}
	if back := unescape(t, out); back != in {
		t.Fatalf("Escape(%q) = %q, which stands for %q", in, out, back)
	}
}

// unescape reads an escaped string back: it shows that two strings are never the same on the screen.
func unescape(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	for len(s) > 0 {
		if s[0] != '\\' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		length, char := map[byte]int{'x': 4, 'u': 6, 'U': 10}[s[1]], strings.IndexByte(`ntr\`, s[1])
		if char >= 0 {
			b.WriteByte("\n\t\r\\"[char])
			s = s[2:]
			continue
		}
		var r rune
		for _, digit := range s[2:length] {
			r = r<<4 | rune(strings.IndexRune("0123456789abcdef", digit))
		}
		if s[1] == 'x' {
			b.WriteByte(byte(r))
		} else {
			b.WriteRune(r)
		}
		s = s[length:]
	}
	return b.String()
}

func TestEscapeHostile(t *testing.T) {
	for _, s := range append(proctest.Hostile(), proctest.Scripts()...) {
		checkEscaped(t, s)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range append(proctest.Hostile(), proctest.Scripts()...) {
		f.Add(s)
	}
	f.Fuzz(checkEscaped)
}

// JSON of hostile strings has nothing for a terminal to act on, and reads back as the same strings.
func TestJSONHostile(t *testing.T) {
	for _, s := range proctest.Hostile() {
		for name, write := range map[string]func(*bytes.Buffer) error{
			"JSON":      func(b *bytes.Buffer) error { return JSON(b, s) },
			"JSONLines": func(b *bytes.Buffer) error { return JSONLines(b, []string{s}) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			line, ok := strings.CutSuffix(b.String(), "\n")
			if !ok {
				t.Errorf("%s(%q) does not end its line", name, s)
			}
			for _, r := range line {
				if !shell.Printable(r) && r != utf8.RuneError {
					t.Errorf("%s(%q) = %q lets %U pass", name, s, line, r)
				}
			}
			var back string
			if err := json.Unmarshal(b.Bytes(), &back); err != nil || back != strings.ToValidUTF8(s, string(utf8.RuneError)) && utf8.ValidString(s) {
				t.Errorf("%s(%q) reads back as %q, %v", name, s, back, err)
			}
		}
	}
}

// The parts of a path, put together, are the path.
func TestAppendJSON(t *testing.T) {
	for _, s := range proctest.Hostile() {
		var b bytes.Buffer
		if err := JSONLine(&b, "dir/"+s+"/file"); err != nil {
			t.Fatal(err)
		}
		got := AppendJSON([]byte(`"dir/`), []byte(s))
		if got := string(AppendJSON(got, []byte("/file"))) + "\"\n"; got != b.String() {
			t.Errorf("AppendJSON(%q): %q, want %q", s, got, b.String())
		}
	}
}

func TestJSONKeepsHTML(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, map[string]string{"a": "<&>"}); err != nil || b.String() != "{\n  \"a\": \"<&>\"\n}\n" {
		t.Errorf("%s %v", b.String(), err)
	}
}

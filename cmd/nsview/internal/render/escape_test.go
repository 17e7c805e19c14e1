package render

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nsview/nsview/procscan/proctest"
)

// What a container might call a process, a user or a file.
func hostile() []string {
	return []string{
		"", "plain", "two words", "new\nline", "tab\there", "cr\rover", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "bell\x07", "\x7f", "del\x7f",
		"\u009b31m", "\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth", "\u2028", "\ufeffbom", "\u3164", "a\ufe0f", "\U000e0041tag",
		"\xff\xfe", "half \xe2\x82", "back\\slash", `\n`, "é", "日本", "e\u0301", "$(reboot)", "`id`", "it's", `"`, "-rf", "~", "a;b", "a&&b", "!!", "*",
		"=cmd", "#x", "{a,b}", "\u00a0",
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "two words": "two words", "new\nline": `new\nline`, "tab\there": `tab\there`, "cr\rover": `cr\rover`,
		"\x1b[31mred": `\x1b[31mred`, "\x7f": `\x7f`, "\u009b31m": `\u009b31m`, "\u202egnp.exe": `\u202egnp.exe`,
		"\xff\xfe": `\xff\xfe`, "half \xe2\x82": `half \xe2\x82`, `\n`: `\\n`, "日本": "日本", "\U000e0041": `\U000e0041`, "\u3164": `\u3164`,
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
	for _, s := range hostile() {
		checkEscaped(t, s)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(checkEscaped)
}

func TestQuote(t *testing.T) {
	for want, in := range map[string][]string{
		"chown -h 1000:1000 -- /srv/data": {"chown", "-h", "1000:1000", "--", "/srv/data"},
		`'two words' 'it'\''s' ''`:        {"two words", "it's", ""},
		`'$(reboot)' '*' '~'`:             {"$(reboot)", "*", "~"},
		`$'a\nb' $'\033[31m' $'\377'`:     {"a\nb", "\x1b[31m", "\xff"},
		`$'\342\200\256x\'\\'`:            {"\u202ex'\\"},
		`日本`:                              nil,
	} {
		if in == nil {
			in = []string{"日本"}
			want = "'日本'"
		}
		if got := Quote(in...); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// readBack lets a shell split a command line, and returns the words it got.
func readBack(t *testing.T, shell, line string) []string {
	t.Helper()
	out, err := exec.Command(shell, "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatalf("%s: %s: %v", shell, line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestQuoteRoundTripsThroughShells(t *testing.T) {
	bash, err := exec.LookPath("bash")
	proctest.Need(t, "bash", err == nil, "it knows $'...'")
	words := append(hostile(), strings.Join(hostile(), ""))
	var plain []string
	for _, w := range words {
		if !strings.HasPrefix(quoteWord(w), "$") {
			plain = append(plain, w)
		}
	}
	for shell, in := range map[string][]string{bash: words, "/bin/sh": plain} {
		got := readBack(t, shell, Quote(in...))
		for i := range in {
			if i >= len(got) || got[i] != in[i] {
				t.Fatalf("%s: word %d: got %q, want %q", shell, i, got, in[i])
			}
		}
	}
}

func FuzzQuote(f *testing.F) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		f.Skip("needs bash: it knows $'...'")
	}
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip("no argument has a NUL")
		}
		quoted := Quote(s)
		for _, r := range quoted {
			if !unicode.IsPrint(r) {
				t.Fatalf("Quote(%q) = %q lets %U pass", s, quoted, r)
			}
		}
		if got := readBack(t, bash, quoted); len(got) != 1 || got[0] != s {
			t.Fatalf("Quote(%q) = %s, which bash reads as %q", s, quoted, got)
		}
	})
}

// JSON of hostile strings has nothing for a terminal to act on, and reads back as the same strings.
func TestJSONHostile(t *testing.T) {
	for _, s := range hostile() {
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
				if !Printable(r) && r != utf8.RuneError {
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
	for _, s := range hostile() {
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

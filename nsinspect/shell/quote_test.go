package shell

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"github.com/nsview/nsview/procscan/proctest"
)

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
	words := append(proctest.Hostile(), strings.Join(proctest.Hostile(), ""))
	var plain []string
	for _, w := range words {
		if !strings.HasPrefix(quoteWord(w, ""), "$") {
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
	for _, s := range proctest.Hostile() {
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

func TestCommand(t *testing.T) {
	for want, in := range map[string][]string{
		"mount -o X-mount.idmap=b:0:1:2 '=ls' 'a b'": {"mount", "-o", "X-mount.idmap=b:0:1:2", "=ls", "a b"},
		"'a=b' c=d": {"a=b", "c=d"},
		"rm ''":     {"rm", ""},
	} {
		if got := Command(in[0], in[1:]...); got != want {
			t.Errorf("Command(%q) = %s, want %s", in, got, want)
		}
	}
}

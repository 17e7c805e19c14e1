package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nsview/nsview/procscan/proctest"
)

// shellStarts begin a shell as a person has it, with nsview's completions. What is completed then is not done but printed,
// each word in brackets.
var shellStarts = map[string]struct {
	file, text string // what it reads at its start
	args       []string
}{
	"bash": {"bashrc", `source /usr/share/bash-completion/bash_completion
source <(nsview completion bash)
nsview() { if [ "$1" = __complete ]; then command nsview "$@"; else printf 'WORD<%s>' "$@"; echo; fi; }
bind 'set enable-bracketed-paste off'
PS1='READY> '
`, []string{"--noprofile", "--rcfile", "bashrc", "-i"}},
	"zsh": {".zshrc", `autoload -Uz compinit; compinit -u -D
source <(nsview completion zsh)
nsview() { if [ "$1" = __complete ]; then command nsview "$@"; else printf 'WORD<%s>' "$@"; echo; fi; }
PS1='READY> '
`, []string{"-i"}},
	"fish": {"start.fish", `nsview completion fish | source
function nsview
    if test "$argv[1]" = __complete
        command nsview $argv
    else
        printf 'WORD<%s>' $argv
        echo
    end
end
function fish_prompt
    printf 'READY> '
end
`, []string{"--private", "-C", "source start.fish"}},
}

// At a terminal, with the TAB key: a name that a container chose is completed to what a shell reads as that name, and
// nothing in it is executed, then or at the next TAB.
func TestCompletionByKey(t *testing.T) {
	dir, env := completionBox(t)
	for shell, start := range shellStarts {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			proctest.Need(t, shell, err == nil, "its completions are asked")
			if err := os.WriteFile(filepath.Join(dir, start.file), []byte(start.text), 0o644); err != nil {
				t.Fatal(err)
			}
			type row struct{ keys, want string }
			rows := []row{
				{"nsview access compl-w\t", "WORD<access>WORD<compl-web>"},
				{"nsview access compl-web /mnt/data/two\t", "WORD</mnt/data/two words/>"},
				{`nsview access compl-web /mnt/data/two\ w` + "\t", "WORD</mnt/data/two words/>"},
				{"nsview access compl-web /mnt/data/co\t", "WORD</mnt/data/co:lon/>"},
				{"nsview owner --in compl-web /mnt/data/two\t", "WORD</mnt/data/two words/>"},
				{`nsview access compl-web /mnt/data/\$` + "\t opent\t", "WORD</mnt/data/$(touch pwned)/>WORD<opentrunc>"},
				{"nsview access compl-web '/mnt/data/$(touch pwned)/' opent\t", "WORD</mnt/data/$(touch pwned)/>WORD<opentrunc>"},
				{"nsview access compl-web /mnt/data/se\t opent\t", "WORD</mnt/data/semi;touch pwned/>WORD<opentrunc>"},
				{"nsview access compl-web /mnt/data/\\`\t opent\t", "WORD</mnt/data/`touch pwned`/>WORD<opentrunc>"},
				// What two names begin with is put on the line first.
				{"nsview access compl-web /mnt/data/twins/\tb\t opent\t", "WORD</mnt/data/twins/$(touch pwned)b/>WORD<opentrunc>"},
				{"nsview access compl-web /mnt/data/od\t\t opent\t", "WORD</mnt/data/odd/" + oddName + "/>WORD<opentrunc>"},
				// It looks as if a flag were in it.
				{"nsview access compl-web /mnt/data/x-\tin\t opent\t", "WORD</mnt/data/x-$(touch pwned)=/inner/>WORD<opentrunc>"},
				{`nsview access compl-web /mnt/data/blanks/a\ \ ` + "\t opent\t", "WORD</mnt/data/blanks/a  b/>WORD<opentrunc>"},
				// A quote is open. Where Q stands it is closed, by bash itself.
				{`nsview access "compl-w` + "\t /mnt/data/two\t opent\t", "WORD<compl-web>WORD</mnt/data/two words/>WORD<opentrunc>"},
				{`nsview access compl-web "/mnt/data/two` + "\tQ opent\t", "WORD</mnt/data/two words/>WORD<opentrunc>"},
				{`nsview access compl-web "/mnt/data/two w` + "\tQ opent\t", "WORD</mnt/data/two words/>WORD<opentrunc>"},
				{"nsview access compl-web '/mnt/data/two w\tQ opent\t", "WORD</mnt/data/two words/>WORD<opentrunc>"},
				{`nsview owner --in="compl-w` + "\t /mnt/data/se\t", "WORD<--in=compl-web>WORD</mnt/data/semi;touch pwned/>"},
				{`nsview access compl-web "/mnt/data/co` + "\tQ opent\t", "WORD</mnt/data/co:lon/>WORD<opentrunc>"},
				{`nsview owner --in compl-web "/mnt/data/se` + "\tQ -o yam\t", "WORD</mnt/data/semi;touch pwned/>WORD<-o>WORD<yaml>"},
				{`nsview access compl-web "/mnt/data/twins/` + "\tb\tQ opent\t", "WORD</mnt/data/twins/$(touch pwned)b/>WORD<opentrunc>"},
				{"nsview access compl-web '/mnt/data/twins/\tb\tQ opent\t", "WORD</mnt/data/twins/$(touch pwned)b/>WORD<opentrunc>"},
				{`nsview access compl-web "/mnt/data/odd/` + "\tQ opent\t", "WORD</mnt/data/odd/" + oddName + "/>WORD<opentrunc>"},
				{"nsview access compl-web '/mnt/data/odd/\tQ opent\t", "WORD</mnt/data/odd/" + oddName + "/>WORD<opentrunc>"},
			}
			if shell == "bash" { // listed at the second of them, which leaves the line as it is; zsh and fish choose one
				rows = append(rows, row{"nsview access compl-web /mnt/data/twins/\t\t\tb\t opent\t", "WORD</mnt/data/twins/$(touch pwned)b/>WORD<opentrunc>"})
			}
			for _, tt := range rows {
				keys := tt.keys
				if at := strings.IndexByte(keys, 'Q'); at >= 0 {
					closing := keys[strings.LastIndexAny(keys[:at], `"'`):][:1]
					if shell == "bash" {
						closing = ""
					}
					keys = keys[:at] + closing + keys[at+1:]
				}
				cmd := exec.Command(path, start.args...)
				cmd.Env, cmd.Dir = env, dir
				s := commandOnTerminal(t, 200, 50, cmd)
				s.until(t, "the prompt", func(text string) bool { return strings.Contains(text, "READY> ") })
				if _, err := s.master.WriteString(keys + "\r"); err != nil {
					t.Fatal(err)
				}
				s.until(t, tt.want, func(text string) bool { return strings.Contains(text, "WORD<") && strings.Contains(text, tt.want) })
				_ = cmd.Process.Kill()
				if made, _ := filepath.Glob(filepath.Join(dir, "*pwned*")); made != nil {
					t.Fatalf("%q: a name was executed: %q", keys, made)
				}
			}
		})
	}
}

// What bash lists is never put on the line unquoted: not what the descriptions of names share, nor what a name shares with
// the description of another.
func TestCompletionListsInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	proctest.Need(t, "bash", err == nil, "its completions are asked")
	const script = `source <(nsview completion bash)
_init_completion() { cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
compopt() { :; }
nsview() { cat; }
COMP_WORDS=(nsview ps "$1") COMP_CWORD=2 COMP_TYPE=9
__start_nsview
printf '<%s>\n' "${COMPREPLY[@]}"`
	for _, tt := range []struct {
		typed, offered string
		want           []string
	}{
		{"w", "web\t$(a)x\nweb\t$(a)y", []string{"web"}},
		{"web", "web\t$(a)x\nweb  ($(a)x\tz", []string{"web          ($(a)x)", "web  ($(a)x  (z)", " "}},
		{"we", "web\t1\nwest\t2", []string{"web   (1)", "west  (2)"}},
		{"w", "web\t1\nwest\t2", []string{"we", "web", "west"}},
		{"/x/", "/x/$(a)b\n/x/$(a)c", []string{`/x/\$\(a\)`, `/x/\$\(a\)b`, `/x/\$\(a\)c`}},
		{`"/x/`, "/x/$(a)b\n/x/$(a)c", []string{`/x/\$(a)`, `/x/\$(a)b`, `/x/\$(a)c`}},
		{"'/x/", "/x/$(a)b\n/x/$(a)'c", []string{"/x/$(a)", "/x/$(a)b", `/x/$(a)'\''c`}},
		{`/x/\$`, "/x/$a\n/x/$b", []string{"/x/$a", "/x/$b", " "}},
	} {
		cmd := exec.Command(bash, "--norc", "-c", script, "bash", tt.typed)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "COLUMNS=200")
		cmd.Stdin = strings.NewReader(tt.offered + "\n:4\n")
		out, err := cmd.CombinedOutput()
		if want := "<" + strings.Join(tt.want, ">\n<") + ">\n"; err != nil || string(out) != want {
			t.Errorf("%q of %q: %v\n%s\nwant\n%s", tt.typed, tt.offered, err, out, want)
		}
	}
}

// A script that cobra makes in another way is not handed out unseen, and of what is known to be wrong nothing is left in it.
func TestCompletionsAreMended(t *testing.T) {
	if n := len(shellMends()); n != 4 {
		t.Errorf("the scripts of %d shells are looked at, there are four", n)
	}
	for shell, mends := range shellMends() {
		for _, bare := range []string{"--no-descriptions=false", "--no-descriptions"} {
			script := string(answer(t, "completion", shell, bare))
			for _, mend := range mends {
				if !strings.Contains(script, mend.right) || strings.Contains(strings.ReplaceAll(script, mend.right, ""), mend.from) {
					t.Errorf("%s: left as it was: %q", shell, mend.from)
				}
			}
			cmd := exec.Command(shell, "-n")
			cmd.Stdin = strings.NewReader(script)
			if _, err := exec.LookPath(shell); err != nil {
				continue // the keys are pressed where it is
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s does not read it: %v\n%s", shell, err, out)
			}
		}
	}
}

// PowerShell is not run here. Its script asks as the others do: "nsview __complete WORDS", and of the answer takes the last
// line, :DIRECTIVE, and before that lines of a completion, a tab and a description.
func TestCompletionProtocol(t *testing.T) {
	var script, errs strings.Builder
	if code := run(t.Context(), []string{"nsview", "completion", "powershell"}, nil, &script, &errs); code != exitOK {
		t.Fatal(errs.String())
	}
	for _, want := range []string{"Register-ArgumentCompleter -CommandName 'nsview' -ScriptBlock", `$RequestComp="$Program __complete $Arguments"`, "[int]$Directive = $Out[-1].TrimStart(':')"} {
		if !strings.Contains(script.String(), want) {
			t.Errorf("the script has no %s", want)
		}
	}
	for words, want := range map[string]string{
		"access host /etc ": "opentrunc\topen O_WRONLY|O_TRUNC", "ps -O pid,cui": "pid,cuid", "ls -o ": "yaml", "help idm": "idmapped-mounts\t",
		"ps ": "host\tthis host", "map --color ": "never",
	} {
		var out strings.Builder
		if code := run(t.Context(), append([]string{"nsview", "__complete"}, strings.Split(words, " ")...), nil, &out, &errs); code != exitOK {
			t.Fatalf("%s: %s", words, errs.String())
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		last := lines[len(lines)-1]
		if _, err := strconv.ParseUint(strings.TrimPrefix(last, ":"), 10, 8); err != nil || last[0] != ':' {
			t.Errorf("%s: the last line is %q", words, last)
		}
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("%s: %q is not offered, but %q", words, want, lines)
		}
		for _, line := range lines {
			if strings.Count(line, "\t") > 1 {
				t.Errorf("%s: not a completion and a description: %q", words, line)
			}
		}
	}
}

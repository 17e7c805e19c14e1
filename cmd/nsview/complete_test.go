package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/procscan/proctest"
)

// shellAnswers asks a shell, with nsview's completions loaded, what it would complete a line to.
var shellAnswers = map[string]string{
	// cobra's script leaves what it found in COMPREPLY. Bash takes words apart at a colon.
	"bash": `source /usr/share/bash-completion/bash_completion
source <(nsview completion bash)
COMP_LINE=$1
IFS=' ' read -ra COMP_WORDS <<<"${1//:/ : }"
[ "${1% }" = "$1" ] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_POINT=${#COMP_LINE}
__start_nsview 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"`,
	// zsh's own _describe would draw them; those that begin with the word are what it would offer.
	"zsh": `autoload -Uz compinit; compinit -u -D
source <(nsview completion zsh)
_describe() { print -rl -- ${(M)completions:#${words[CURRENT]}*} }
words=(${(z)1}); [[ $1 == *" " ]] && words+=("")
CURRENT=${#words} PREFIX=${words[-1]}
_nsview`,
	"fish": `nsview completion fish | source
complete -C $argv[1]`,
}

// oddName has all that means something to a shell, within quotes too.
const oddName = "it's \"q\" $HOME `touch pwned` !1 & (x) * {a,b} ~ #"

// completionBox starts a container whose names are not made for shells, and returns a directory with nsview in it and the
// environment that finds it there.
func completionBox(t *testing.T) (dir string, env []string) {
	t.Helper()
	proctest.NeedRoot(t)
	dir = t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript's commands are links to the test binary.
	if err := os.Symlink(self, filepath.Join(dir, "nsview")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"only/inner", "only/.hidden", "two words", "co:lon", "$(touch pwned)", "semi;touch pwned", "`touch pwned`", "x-$(touch pwned)=/inner", "twins/$(touch pwned)a", "twins/$(touch pwned)b", "odd/" + oddName, "blanks/a  b", "blanks/a b"} {
		if err := os.MkdirAll(filepath.Join(dir, "data", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A link of the container's own: it must not be followed on the host.
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "data/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data/new\nline"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir, "ZDOTDIR="+dir, "TERM=dumb", "LC_ALL=C.UTF-8")
	box := exec.Command(filepath.Join(dir, "nsview"), "run", "--pid", "--name", "compl-web", "--tmpfs", "/mnt", "--bind", filepath.Join(dir, "data")+":/mnt/data", "--", "sleep", "60")
	box.Env = env
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminate(box) })
	waitForContainer(t, dir, env, "compl-web")
	return dir, env
}

// terminate ends a nsview run as its user would, so that it takes back what it wrote down of the container.
func terminate(run *exec.Cmd) {
	_ = run.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(5*time.Second, func() { _ = run.Process.Kill() })
	_ = run.Wait()
	late.Stop()
}

// The shells complete what is there: containers, paths as a container sees them, operations, columns.
func TestCompletionsInShells(t *testing.T) {
	_, env := completionBox(t)
	for shell, script := range shellAnswers {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			proctest.Need(t, shell, err == nil, "its completions are asked")
			for _, tt := range []struct {
				line string
				want []string
				not  string
			}{
				{"nsview ps compl-w", []string{"compl-web"}, ""},
				{"nsview access compl-web /mnt/data/", []string{"/mnt/data/only/", "/mnt/data/link"}, "line"},
				{"nsview access compl-web /mnt/data/o", []string{"/mnt/data/only/"}, "link"},
				{"nsview owner --in nsview:compl-web /mnt/data/only/", []string{"/mnt/data/only/inner/"}, "hidden"},
				{"nsview access compl-web / opent", []string{"opentrunc"}, "read"},
				{"nsview ps -O pid,cui", []string{"pid,cuid"}, "uid,"},
				{"nsview ns -O owner-", []string{"owner-uid"}, ""},
				{"nsview ls -o ya", []string{"yaml"}, ""},
				{"nsview help idm", []string{"idmapped-mounts"}, ""},
				{"nsview map --to compl", []string{"compl-web"}, ""},
				{"nsview map --from compl", []string{"compl-web"}, ""},
				{"nsview diff compl-web hos", []string{"host"}, "compl"},
			} {
				args := []string{"-c", script, shell, tt.line}
				if shell == "fish" {
					args = []string{"-c", script, tt.line}
				}
				cmd := exec.Command(path, args...)
				cmd.Env = env
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v %s", tt.line, err, stderr.String())
				}
				var got []string
				for line := range strings.Lines(string(out)) {
					name, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
					if shell == "zsh" {
						name, _, _ = strings.Cut(name, ":") // before the description
					}
					got = append(got, strings.ReplaceAll(strings.TrimSpace(name), `\`, "")) // bash quotes a comma
				}
				for _, want := range tt.want {
					if !slices.Contains(got, want) {
						t.Errorf("%q: %q is not offered, but %q", tt.line, want, got)
					}
				}
				if tt.not != "" && strings.Contains(string(out), tt.not) {
					t.Errorf("%q: %q is offered: %q", tt.line, tt.not, got)
				}
			}
		})
	}
}

// waitForContainer waits until nsview sees a container of that name.
func waitForContainer(t *testing.T, dir string, env []string, name string) {
	t.Helper()
	var out []byte
	var err error
	seen := proctest.Within(20*time.Second, func() bool {
		cmd := exec.Command(filepath.Join(dir, "nsview"), "ps", name)
		cmd.Env = env
		out, err = cmd.CombinedOutput()
		return err == nil && strings.Contains(string(out), "sleep")
	})
	if !seen {
		t.Fatalf("no container %s: %v\n%s", name, err, out)
	}
}

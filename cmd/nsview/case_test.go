package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nsview/nsview/nsinspect/access"
)

// TestCases runs testdata/script/cases/*.txtar: permission problems that people reported, one a script (docs/cases.md).
// Each shows the real operation failing, asks nsview why, carries out what it offers, and shows that the operation works
// then. Besides the commands of TestScripts they have these:
//
//	box NAME COMMAND [ARG...]       starts COMMAND, which ends in sh; its host PID is in $NAME, and NAME means it below
//	does NAME SCRIPT                has that shell run SCRIPT, which is to succeed, with ! to fail; what it prints is stdout
//	denied ERRNO RULE NAME PATH OP [ARG...]
//	                                asks nsview access, which is to deny with that errno by that rule
//	allowed NAME PATH OP [ARG...]   the same, which is to be allowed
//	because REGEXP                  matches the explanation of that answer
//	fixit [REGEXP]                  runs the commands of its first proven fix that needs no restart, or of the first whose
//	                                title matches; with ! there is none
//	offers REGEXP                   matches the title and the instructions of a fix of that answer; with ! of none
//
// fixit runs nothing outside the script's directory, and no sysctl.
func TestCases(t *testing.T) {
	p := scriptParams("testdata/script/cases")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Values[caseKey{}] = &caseState{boxes: make(map[string]*box)}
		for _, dir := range []string{env.WorkDir, filepath.Dir(env.WorkDir)} { // other users are to reach it
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
		return setup(env)
	}
	maps.Copy(p.Cmds, map[string]func(*testscript.TestScript, bool, []string){
		"box": caseBox, "does": caseDoes, "denied": caseDenied, "allowed": caseAllowed, "because": caseBecause, "fixit": caseFixit, "offers": caseOffers,
	})
	testscript.Run(t, p)
}

type caseKey struct{}

// caseState is what a script has asked and started.
type caseState struct {
	boxes  map[string]*box
	answer access.Verdict
}

// box is a shell that does what it is told.
type box struct {
	pid int
	in  io.Writer
	out *bufio.Reader
}

func stateOf(ts *testscript.TestScript) *caseState { return ts.Value(caseKey{}).(*caseState) }

// caseDeadline is beyond what any command of a box takes.
const caseDeadline = 30 * time.Second

func caseBox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: box NAME COMMAND [ARG...]")
	}
	path, err := lookPath(ts.Getenv("PATH"), args[1])
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Args[0] = args[1]
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "WORK=" + ts.Getenv("WORK"), "LC_ALL=C.UTF-8", "HOME=" + ts.Getenv("WORK")}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	b := &box{in: in, out: bufio.NewReader(out)}
	watchdog := time.AfterFunc(4*caseDeadline, func() { _ = cmd.Process.Kill() })
	ts.Defer(func() {
		watchdog.Stop()
		_ = in.Close() // the shell ends at the end of its input
		done := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		done.Stop()
	})
	text, status := b.run(ts, "echo $$")
	if b.pid, err = strconv.Atoi(strings.TrimSpace(text)); status != 0 || err != nil {
		ts.Fatalf("the box does not say its PID: %q", text)
	}
	stateOf(ts).boxes[args[0]] = b
	ts.Setenv(args[0], strconv.Itoa(b.pid))
}

// run has the shell run a script, and returns what it printed and its exit status.
func (b *box) run(ts *testscript.TestScript, script string) (string, int) {
	const end = "--nsview-case-end--"
	if _, err := fmt.Fprintf(b.in, "{ %s\n} 2>&1 </dev/null; echo %s $?\n", script, end); err != nil {
		ts.Fatalf("the box ended: %v", err)
	}
	type result struct {
		text   string
		status int
	}
	got := make(chan result, 1)
	go func() {
		var text strings.Builder
		for {
			line, err := b.out.ReadString('\n')
			if before, status, ok := strings.Cut(strings.TrimSpace(line), end+" "); ok {
				n, _ := strconv.Atoi(status)
				got <- result{text.String() + before, n}
				return
			}
			text.WriteString(line)
			if err != nil {
				got <- result{text.String(), -1}
				return
			}
		}
	}()
	select {
	case r := <-got:
		if r.status < 0 {
			ts.Fatalf("the box ended, having printed %q", r.text)
		}
		return r.text, r.status
	case <-time.After(caseDeadline):
		ts.Fatalf("%q did not end in %v", script, caseDeadline)
	}
	return "", 0
}

func caseDoes(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || stateOf(ts).boxes[args[0]] == nil {
		ts.Fatalf("usage: does NAME SCRIPT, of a box")
	}
	// In a subshell, since a failed redirection of a special builtin ends the shell that does it.
	text, status := stateOf(ts).boxes[args[0]].run(ts, "(\n"+args[1]+"\n)")
	_, err := io.WriteString(ts.Stdout(), text)
	ts.Check(err)
	if (status != 0) != neg {
		ts.Fatalf("exit status %d of %q, which printed %q", status, args[1], text)
	}
}

// ask asks nsview access of a box or another TARGET.
func ask(ts *testscript.TestScript, args []string) *access.Verdict {
	if b := stateOf(ts).boxes[args[0]]; b != nil {
		args = append([]string{strconv.Itoa(b.pid)}, args[1:]...)
	}
	_ = ts.Exec("nsview", append([]string{"access", "-o", "json"}, args...)...) // denied is exit status 1
	v := &stateOf(ts).answer
	*v = access.Verdict{}
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), v); err != nil {
		ts.Fatalf("no answer: %v\n%s", err, ts.ReadFile("stderr"))
	}
	return v
}

func caseDenied(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: denied ERRNO RULE NAME PATH OP [ARG...]")
	}
	v := ask(ts, args[2:])
	ts.Logf("%s", v.Explanation)
	for i := range v.Fixes {
		f := &v.Fixes[i]
		ts.Logf("fix (proven %v, restart %v): %s\n  %s\n  %s", f.Proven, f.Restart, f.Title, strings.Join(f.Commands, "\n  "), f.How)
	}
	if v.Verdict != access.Deny || string(v.Errno) != args[0] || string(v.Rule) != args[1] {
		ts.Fatalf("nsview says %s %s by %s (%s)", v.Verdict, v.Errno, v.Rule, v.Missing)
	}
}

func caseAllowed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: allowed NAME PATH OP [ARG...]")
	}
	if v := ask(ts, args); v.Verdict != access.Allow {
		ts.Fatalf("nsview says %s %s by %s (%s)", v.Verdict, v.Errno, v.Rule, v.Missing)
	}
}

func caseBecause(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: because REGEXP")
	}
	if text := stateOf(ts).answer.Explanation; matches(ts, args[0], text) == neg {
		ts.Fatalf("the explanation is %q", text)
	}
}

func caseOffers(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: offers REGEXP")
	}
	found := slices.ContainsFunc(stateOf(ts).answer.Fixes, func(f access.Fix) bool { return matches(ts, args[0], f.Title+" "+f.How) })
	if found == neg {
		ts.Fatalf("the fixes are %v", stateOf(ts).answer.Fixes)
	}
}

func matches(ts *testscript.TestScript, expression, text string) bool {
	re, err := regexp.Compile(expression)
	ts.Check(err)
	return re.MatchString(text)
}

func caseFixit(ts *testscript.TestScript, neg bool, args []string) {
	title := ""
	if len(args) == 1 {
		title = args[0]
	}
	for _, f := range stateOf(ts).answer.Fixes {
		if !f.Proven || f.Restart || len(f.Commands) == 0 || !matches(ts, title, f.Title) || isSysctl(f.Commands[0]) {
			continue
		}
		if neg {
			ts.Fatalf("offered: %s", f.Title)
		}
		for _, command := range f.Commands {
			if why := strays(ts, command); why != "" {
				ts.Fatalf("%s: %s", command, why)
			}
			ts.Check(ts.Exec("sh", "-c", command))
		}
		return
	}
	if !neg {
		ts.Fatalf("no such fix: %v", stateOf(ts).answer.Fixes)
	}
}

func isSysctl(command string) bool { return strings.HasPrefix(command, "sysctl ") }

// strays says why a command must not be run here: it changes something outside the script's directory.
func strays(ts *testscript.TestScript, command string) string {
	words := strings.Fields(command)
	if !slices.Contains([]string{"setfacl", "chmod", "chown", "chgrp", "chattr", "mount"}, words[0]) {
		return "is no change of one file or mount"
	}
	end := slices.Index(words, "--")
	if end < 0 || end == len(words)-1 {
		return "has no operands after --"
	}
	for i, operand := range words[end+1:] {
		if i == 0 && (words[0] == "chown" || words[0] == "chgrp") {
			continue // ids
		}
		path := operand
		if rest, ok := strings.CutPrefix(path, "/proc/"); ok {
			_, path, _ = strings.Cut(rest, "/root")
		}
		inside := path == ts.MkAbs(".") || strings.HasPrefix(path, ts.MkAbs(".")+"/")
		// A box may have mounted a part of the directory elsewhere, in its own mount namespace.
		inside = inside || words[0] == "mount" && words[1] == "-N" && path == "/mnt"
		if !inside || strings.ContainsAny(operand, "$'\"\\`;&|") || filepath.Clean(path) != path {
			return operand + " is outside the script's directory"
		}
	}
	return ""
}

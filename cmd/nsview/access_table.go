package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/shell"
)

// printVerdict prints one answer for a person: the sentence, what the kernel says, with explain every check, then each fix
// as commands to paste. Whether the subject is in a container decides what has to be started anew for some of them.
func (a *app) printVerdict(v *access.Verdict, explain, container bool) error {
	out := bufio.NewWriter(a.out)
	line := func(format string, args ...any) {
		fmt.Fprintln(out, render.Escape(fmt.Sprintf(format, args...)))
	}
	line("%s", v.Explanation)
	if v.Errno != "" && v.Rule != "" {
		line("errno %s, by the check %s on %s", v.Errno, v.Rule, v.Component)
	}
	if explain && len(v.Steps) > 0 {
		fmt.Fprintln(out)
		if err := stepTable(v.Steps).Render(out, a.tableOptions()); err != nil {
			return err
		}
	}
	for _, text := range v.Assumptions {
		line("assuming: %s", text)
	}
	for i := range v.Fixes {
		f := &v.Fixes[i]
		fmt.Fprintln(out)
		fmt.Fprintf(out, "fix: %s%s\n", render.Quoted(f.Title), fixNote(f, container))
		for _, command := range f.Commands {
			fmt.Fprintln(out, "  "+render.Quoted(command))
		}
		if f.How != "" {
			fmt.Fprintln(out, "  "+render.Quoted(f.How))
		}
		if f.Opens != "" {
			fmt.Fprintln(out, "  opens: "+render.Quoted(f.Opens))
		}
	}
	return out.Flush()
}

// rootHint says that commands are for root where the observer is not: most change what only root may. Those of podman
// unshare are the observer's own. It reports whether it said so.
func (a *app) rootHint(o *nsinspect.Observer, fixes ...access.Fix) bool {
	roots := func(command string) bool { return !strings.HasPrefix(command, "podman unshare ") }
	said := o.UID != 0 && slices.ContainsFunc(fixes, func(f access.Fix) bool { return slices.ContainsFunc(f.Commands, roots) })
	if said {
		fmt.Fprintln(a.err, "hint: a command that your user may not run is for root: with sudo, for instance")
	}
	return said
}

// unseenHint says of a denial for which no fix could be tried what nsview could not see, and who sees it.
func (a *app) unseenHint(k *asker, q *question, v *access.Verdict) {
	if v.Verdict != access.Deny || v.Missing == "" {
		return
	}
	a.warn("no fix could be tried without knowing %s", v.Missing)
	if k.s.Observer.UID == 0 || a.from != "" {
		return
	}
	words := []string{"nsview", "access"}
	user := q.User
	if k.targets[q.Target].pid == os.Getpid() && user == "" { // whom root would be asking about is root
		user = k.s.Observer.UID.String()
	}
	if user != "" {
		words = append(words, "--user", user)
	}
	words = append(append(words, "--", q.Target, q.Path, q.Op), q.Args...)
	fmt.Fprintf(a.err, "hint: root can see it: %s\n", render.Quoted(shell.Command("sudo", words...)))
}

// fixNote is what to know before a fix is tried.
func fixNote(f *access.Fix, container bool) string {
	var notes []string
	switch {
	case f.Restart && container:
		notes = append(notes, "the container has to be made anew")
	case f.Restart:
		notes = append(notes, "the process has to be started anew")
	}
	if !f.Proven {
		notes = append(notes, "not proven")
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, ", ") + ")"
}

// stepTable has a line for every check.
func stepTable(steps []access.Step) *render.Table {
	t := &render.Table{Header: []string{"STEP", "RESULT", "CHECK", "COMPONENT", "DETAIL"}}
	for i := range steps {
		s := &steps[i]
		result := string(s.Result)
		if s.Errno != "" {
			result += " " + string(s.Errno)
		}
		t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), result, string(s.Rule), s.Component, s.Detail})
	}
	return t
}

// accessColumns are those that -O chooses from.
func accessColumns() []string { return accessTable(nil, true).Columns() }

// accessTable has a line for every operation that was asked; wide has the path on the host and the sentence besides.
func accessTable(verdicts []access.Verdict, wide bool) *render.Table {
	t := &render.Table{Header: []string{"OPERATION", "VERDICT", "ERRNO", "CHECK", "COMPONENT"}}
	t.KeepEnd = []int{len(t.Header) - 1}
	if wide {
		t.Header = append(t.Header, "HOST-PATH", "WHY")
	}
	for i := range verdicts {
		v := &verdicts[i]
		words := append([]string{v.Op}, v.Args...)
		row := []string{strings.Join(words, " "), string(v.Verdict), string(v.Errno), string(v.Rule), v.Component}
		if wide {
			row = append(row, v.HostPath, v.Explanation)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// accessAssumptions says once what several answers rest on, and which fact the unknown ones lack.
func (a *app) accessAssumptions(verdicts []access.Verdict) {
	var said []string
	say := func(text string) {
		if !slices.Contains(said, text) {
			said = append(said, text)
			a.warn("%s", text)
		}
	}
	for i := range verdicts {
		if missing := verdicts[i].Missing; missing != "" && verdicts[i].Verdict == access.Unknown {
			say("unknown: " + missing)
		}
		for _, text := range verdicts[i].Assumptions {
			say("assuming: " + text)
		}
	}
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/proctest"
)

// scripts are names to be shown: each alone, long ones of one script, and all that is hostile. None begins or ends with
// a blank, where a test looks for the columns, or is empty.
func scripts() []string {
	var names []string
	for _, s := range slices.Concat(proctest.Scripts(), proctest.Hostile()) {
		if s = strings.Trim(s, " "); s != "" {
			names = append(names, s, strings.Repeat(s, max(1, min(12, 350/len(render.Escape(s))))))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A terminal shows every name as wide as it is taken for.
func TestScreenWidths(t *testing.T) {
	s := newScreen(t, 1500, 4)
	for _, name := range scripts() {
		shown := render.Escape(name)
		if got, want := render.Width(shown), s.width(t, shown); got != want {
			t.Errorf("%+q, shown as %s, is %d columns wide, taken for %d", name, shown, want, got)
		}
	}
}

// Columns begin below each other, and no line is wider than the terminal, whatever the names.
func TestScreenTables(t *testing.T) {
	s := newScreen(t, 1500, 4)
	rendered := func(table *render.Table, o render.TableOptions) string {
		var b bytes.Buffer
		if err := table.Render(&b, o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	tables := map[string]func() *render.Table{
		"names": func() *render.Table {
			table := &render.Table{Header: []string{"PID", "NAME", "MODE", "PATH"}, KeepEnd: []int{3}}
			for i, name := range scripts() {
				table.Rows = append(table.Rows, []string{fmt.Sprint(i), name, "-rw-r--r--", "/srv/" + name + "/" + name})
			}
			return table
		},
		"tree": func() *render.Table {
			root := &render.Node{Cells: []string{"1", "root"}, Text: "init"}
			for i, name := range scripts() {
				root.Children = append(root.Children, &render.Node{
					Cells: []string{fmt.Sprint(i), name}, Text: name,
					Children: []*render.Node{{Cells: []string{"0", "x" + name}, Text: name}},
				})
			}
			root.Children = append(root.Children, &render.Node{Cells: []string{"2", "root"}, Text: "last"}) // what is below it begins with blanks
			return render.TreeTable([]string{"PID", "USER", "COMMAND"}, []*render.Node{root}, false)
		},
	}
	for what, table := range tables {
		for _, width := range []int{0, 20, 40, 80} {
			t.Run(fmt.Sprintf("%s/%d", what, width), func(t *testing.T) {
				s.aligned(t, rendered(table(), render.TableOptions{Width: width}), width)
			})
		}
	}
}

// namedBox starts a container in which commands, mount points and users have names of every script, and returns its TARGET
// and the directory that all of it is in.
func namedBox(t *testing.T) (target, dir string) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, name := range []string{"bin", "mnt", "data", "run"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range scripts() {
		if len(name) > 60 {
			continue
		}
		// The kernel keeps 15 bytes of a command's name, whatever character they end in.
		if err := os.Symlink(sleep, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "mnt", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{"passwd": "漢字e\u0301😀ｶﾞ:x:0:0::/:/bin/sh\n", "group": "한글กำ\u202e:x:0:\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const box = `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group || exit
for f in "$1"/mnt/*; do mount --bind "$1/data" "$f" || exit; done
for f in "$1"/bin/*; do "$f" 3600 </dev/null & done
echo ready; exec cat`
	name := fmt.Sprint("scripts-", os.Getpid())
	cmd := exec.Command("nsview", "run", "--map-root", "--all", "--name", name, "--", "sh", "-c", box, "sh", dir)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Join(dir, "run"))
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
	cmd.Stderr = os.Stderr
	_, out := proctest.Start(t, cmd)
	t.Cleanup(func() { terminate(cmd) })
	if line, err := out.ReadString('\n'); err != nil {
		t.Fatalf("the container says %q: %v", line, err)
	}
	target = "nsview:" + name
	named := func() bool {
		return !slices.Contains(strings.Split(printed(t, "ps", "--no-headers", "-O", "comm", target), "\n"), "sh")
	}
	if !proctest.Within(20*time.Second, named) {
		t.Fatal("the commands of the container did not begin")
	}
	return target, dir
}

// printed is what nsview prints where no terminal cuts it.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("nsview", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitNegative) {
		t.Fatalf("nsview %v: %v\n%s", args, err, exit.Stderr)
	}
	return string(out)
}

// Every command has its columns below each other, in a file and on terminals of any width, where names of any script are
// in them.
func TestScreenCommands(t *testing.T) {
	measure := newScreen(t, 1500, 4)
	target, dir := namedBox(t)
	files, err := filepath.Glob(filepath.Join(dir, "mnt", "*"))
	if err != nil {
		t.Fatal(err)
	}
	measure.aligned(t, printed(t, "containers", target), 0) // its first lines are text
	commands := [][]string{
		{"ps", target},
		{"ps", "-o", "wide", target},
		{"ps", "--tree", target},
		{"ps", "-O", "comm,pid,args,cuser,cgroup", target},
		append([]string{"owner"}, files...), append([]string{"owner", "-o", "wide", "--in", target}, files...),
		{"owner", "-R", dir},
		{"ns", target},
		{"ns", "--tree", target},
		{"map", target},
		{"diff", "-o", "wide", "host", target},
		{"access", target, files[0]},
		{"caps", target},
		{"ps", "--format", "table {{.comm}}\t{{.pid}}\t{{truncate .comm 3}}\t{{.inside.user}}", target},
	}
	for _, args := range commands {
		what := strings.Join(args[:min(len(args), 3)], " ")
		text := printed(t, args...)
		t.Run(what, func(t *testing.T) { measure.aligned(t, text, 0) })
	}
	for _, width := range []int{20, 40, 80} {
		s := newScreen(t, width, 50)
		for _, args := range commands {
			t.Run(fmt.Sprintf("%s on %d columns", strings.Join(args[:min(len(args), 3)], " "), width), func(t *testing.T) {
				measure.aligned(t, s.shows(t, args...), width)
			})
		}
	}
}

// The timeline of trace has its columns below each other although none of its lines waits for the next: on a terminal
// whatever a command is called, in a file as long as the name is not longer for its escapes.
func TestScreenTimeline(t *testing.T) {
	measure := newScreen(t, 1500, 4)
	for _, width := range []int{0, 80, 120} {
		a := &app{out: new(bytes.Buffer)}
		if width > 0 {
			a.out = newScreen(t, width, 4).open(t)
		}
		t.Setenv("LC_ALL", "C.UTF-8")
		var b bytes.Buffer
		timeline := &tracing{app: a, out: bufio.NewWriter(&b)}
		if err := timeline.line(traceLine("TIME", "PID", "CPID", "COMMAND", "EVENT")); err != nil {
			t.Fatal(err)
		}
		var list []events.Line
		for _, name := range scripts() {
			comm := name[:min(len(name), commWidth)]
			if width > 0 || render.Width(render.Escape(comm)) <= commWidth {
				list = append(list, events.Line{Event: &events.Event{PID: 4711, InsidePID: 1, Comm: comm, Type: events.Exec, Name: "exec", Args: events.Args{Path: name, Argv: []string{name}}}})
			}
		}
		if err := errors.Join(timeline.lines(list), timeline.flush()); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 1+len(list) || len(list) < 50 {
			t.Errorf("%d lines of %d events", len(lines), len(list))
		}
		titles := measure.starts(t, lines[0]) // the numbers end where theirs do
		for _, line := range lines[1:] {
			starts := measure.starts(t, line)
			if !slices.Contains(starts, titles[3]) || !slices.Contains(starts, titles[4]) || width > 0 && starts[len(starts)-1] > width {
				t.Errorf("on %d columns, %q is not as\n%s", width, line, lines[0])
			}
		}
	}
}

package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect/events"
)

// execOf makes an event of an exec: of a path that is not there, or with argv of one that is.
func execOf(tid int, path, errno string, argv ...string) *events.Event {
	e := &events.Event{PID: tid, TID: tid, Type: events.Exec, Name: "exec", Errno: errno, Time: time.Unix(int64(tid), 0)}
	e.Args.Path, e.Args.Argv = path, argv
	if errno != "" {
		e.Name = "execve"
	}
	return e
}

func textsOf(lines []events.Line) []string {
	var list []string
	for i := range lines {
		list = append(list, fmt.Sprintf("%d %s", lines[i].Event.TID, lines[i].Text()))
	}
	return list
}

func TestFoldSearches(t *testing.T) {
	exit := func(tid int) *events.Event {
		return &events.Event{PID: tid, TID: tid, Type: events.Exit, Name: "exit"}
	}
	f := events.NewFold()
	var got []string
	add := func(e *events.Event, shown bool) { got = append(got, textsOf(f.Add(e, shown))...) }
	// Two threads at once, one of which finds its program.
	add(execOf(1, "/a/sh", "ENOENT"), true)
	add(execOf(2, "/a/nosuch", "ENOENT"), true)
	add(execOf(1, "/b/sh", "ENOTDIR"), true)
	add(execOf(2, "/b/nosuch", "ENOENT"), true)
	add(execOf(1, "/c/sh", "", "sh"), true)
	add(exit(2), false)
	// Another program, another error, and a path that is no search, fold nothing.
	add(execOf(3, "/a/one", "ENOENT"), true)
	add(execOf(3, "/a/two", "", "two"), true)
	add(execOf(4, "/a/one", "ENOENT"), true)
	add(execOf(4, "/b/one", "EACCES"), true)
	add(execOf(5, "./one", "ENOENT"), true)
	// Only failures are shown.
	add(execOf(6, "/a/sh", "ENOENT"), true)
	add(execOf(6, "/b/sh", "ENOENT"), true)
	add(execOf(6, "/c/sh", "", "sh"), false)
	add(execOf(7, "/a/sh", "ENOENT"), true)
	add(execOf(9, "/a/sh", "ENOENT"), true)
	got = append(got, textsOf(f.Late(time.Unix(8, 0)))...)
	if !f.Holds() {
		t.Error("nothing waits")
	}
	got = append(got, textsOf(f.End())...)
	if f.Holds() {
		t.Error("something waits")
	}
	want := []string{
		`1 exec "/c/sh" ["sh"]  (after 2 names in PATH)`,
		`2 execve("/a/nosuch") = ENOENT  (and 1 more name in PATH)`,
		`3 execve("/a/one") = ENOENT`, `3 exec "/a/two" ["two"]`,
		`4 execve("/a/one") = ENOENT`, `4 execve("/b/one") = EACCES`,
		`5 execve("./one") = ENOENT`,
		`6 execve("/a/sh") = ENOENT  (and 1 more name in PATH)`,
		`7 execve("/a/sh") = ENOENT`, `9 execve("/a/sh") = ENOENT`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestFoldDenials(t *testing.T) {
	f := events.NewFold()
	var got []string
	for i := range 105 {
		e := &events.Event{PID: i, TID: i, Comm: "cat", Type: events.Denied, Name: "openat", Errno: "EACCES", Denial: &events.Denial{Explanation: "denied: why"}}
		e.Args.Path = "/a"
		if i%50 == 1 {
			e.Args.Path = "/b"
		}
		got = append(got, textsOf(f.Add(e, true))...)
	}
	got = append(got, textsOf(f.End())...)
	want := []string{
		`0 openat("/a") = EACCES  denied: why`,
		`1 openat("/b") = EACCES  denied: why`,
		`10 openat("/a") = EACCES  (again, 10 times by now)`,
		`102 openat("/a") = EACCES  (again, 100 times by now)`,
		`104 openat("/a") = EACCES  (102 times in all)`,
		`101 openat("/b") = EACCES  (3 times in all)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// A thread that searches is gone when another one of its process executes, or the process ends: nothing is told after that.
func TestFoldSearchesOfThreads(t *testing.T) {
	for _, end := range []*events.Event{execOf(1, "/b/other", "", "other"), {PID: 1, TID: 1, Type: events.Exit, Name: "exit"}} {
		f := events.NewFold()
		thread := execOf(2, "/a/sh", "ENOENT")
		thread.PID = 1
		f.Add(thread, true)
		f.Add(execOf(3, "/a/sh", "ENOENT"), true)
		got := textsOf(f.Add(end, true))
		if len(got) != 2 || got[0] != `2 execve("/a/sh") = ENOENT` {
			t.Errorf("at %s: %q", end.Text(), got)
		}
	}
}

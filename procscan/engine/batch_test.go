package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
)

// A place that does not answer costs one deadline for each that asks, or one for all of a user; what else is asked for is
// read as ever, and each answer is that of its request.
func TestFetchBesideAHangingMount(t *testing.T) {
	proctest.NeedRoot(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	proctest.Need(t, "fuse", err == nil, fmt.Sprint("/dev/fuse: ", err))
	daemon := os.NewFile(uintptr(fd), "fuse")
	defer daemon.Close() // who waits is answered then
	root := tree(t, map[string]string{"state/a/record": "a", "state/b/record": "b", "hung/x": ""})
	must(t, unix.Mount("none", root+"/hung", "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fd)))
	defer func() { must(t, unix.Unmount(root+"/hung", unix.MNT_DETACH)) }()

	const user = 1000
	list := []request{
		{nil, Pattern{Glob: "/state/a/record"}},
		{nil, Pattern{Glob: "/hung/record", Owner: user}},
		{nil, Pattern{Glob: "/hung/*/record", Owner: user}},
		{nil, Pattern{Glob: "/state/*/record"}},
		{nil, Pattern{Glob: "/hung/*/record"}},
		{nil, Pattern{Glob: "/none"}},
		{nil, Pattern{Glob: "/state/b/record"}},
	}
	begin := time.Now()
	answers := newReader(t.Context(), Options{HostRoot: root}, nil).fetch(t.Context(), list)
	if took := time.Since(begin); took < 2*readDeadline || took > 3*readDeadline {
		t.Errorf("took %v, want two deadlines", took)
	}
	for i, want := range []struct {
		files string
		err   error
	}{{"a", nil}, {"", procscan.ErrNoAnswer}, {"", errLate}, {"ab", nil}, {"", procscan.ErrNoAnswer}, {"", fs.ErrNotExist}, {"b", nil}} {
		got := ""
		for _, f := range answers[i].files {
			got += string(f.Data)
		}
		if got != want.files || !errors.Is(answers[i].err, want.err) {
			t.Errorf("%s: read %q, %v; want %q, %v", list[i].Glob, got, answers[i].err, want.files, want.err)
		}
	}

	// Nobody waits when the time of all is over.
	ctx, cancel := context.WithTimeout(t.Context(), readDeadline/4)
	defer cancel()
	begin = time.Now()
	answers = newReader(ctx, Options{HostRoot: root}, nil).fetch(ctx, []request{list[0], list[4], list[6]})
	if took := time.Since(begin); took >= readDeadline {
		t.Errorf("took %v", took)
	}
	for i, want := range []error{nil, context.DeadlineExceeded, context.DeadlineExceeded} {
		if !errors.Is(answers[i].err, want) {
			t.Errorf("answer %d: %v, want %v", i, answers[i].err, want)
		}
	}
}

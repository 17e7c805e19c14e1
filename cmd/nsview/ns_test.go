package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// A namespace in which a thread is alone, as whatever calls unshare(2) on one thread has them, is found with --pins.
func TestNSOfAThread(t *testing.T) {
	proctest.NeedRoot(t)
	ready, done := make(chan string), make(chan struct{})
	defer close(done)
	var start func()
	start = func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			go start() // the first thread is the process's own: keep it busy, so that this runs on another
			<-done
			return
		}
		defer close(ready)
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			t.Error(err)
			return
		}
		link, err := os.Readlink("/proc/thread-self/ns/uts")
		if err != nil {
			t.Error(err)
			return
		}
		ready <- fmt.Sprintf("%s thread:%d/%d", strings.Trim(link, "uts:[]"), os.Getpid(), unix.Gettid())
		<-done
	}
	go start()
	made, ok := <-ready
	if !ok {
		return
	}
	inode, pin, _ := strings.Cut(made, " ")
	for _, tt := range []struct {
		args []string
		want bool
	}{{[]string{"ns", "-t", "uts"}, false}, {[]string{"ns", "-t", "uts", "--pins"}, true}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"nsview"}, tt.args...), nil, &out, &errs); code != exitOK {
			t.Fatalf("%v: exit status %d: %s", tt.args, code, errs.String())
		}
		found := false
		for line := range strings.Lines(out.String()) {
			found = found || strings.Contains(line, inode) && strings.Contains(line, pin)
		}
		if found != tt.want {
			t.Errorf("%v: namespace %s by %s is listed: %v\n%s", tt.args, inode, pin, found, out.String())
		}
	}
}

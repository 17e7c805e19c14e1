package pathwalk

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// TestStuckFileSystem: a file system that does not answer costs one deadline for many questions, not one each, by whichever
// mount; others are asked as before, and it is asked again later.
func TestStuckFileSystem(t *testing.T) {
	proctest.NeedRoot(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	proctest.Need(t, "fuse", err == nil, fmt.Sprint("/dev/fuse: ", err))
	dir := tempDir(t)
	hung, again, fine := mkdir(t, dir+"/hung"), mkdir(t, dir+"/again"), file(t, dir+"/fine", 0, 0)
	mountAt(t, "hung", hung, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions", fd))
	mountAt(t, hung, again, "", unix.MS_BIND, "")
	p := proberNow(t)
	a := startAgent(t, "root", nil, agentProgram(t))
	ask := func(path string) (access.Verdict, error) {
		t.Helper()
		s, err := p.Process(t.Context(), a.cmd.Process.Pid, "it")
		if err != nil {
			t.Fatal(err)
		}
		op := access.Operation{Op: access.OpRead}
		w, err := p.Walk(t.Context(), s, op, path)
		if err != nil {
			return access.Verdict{}, err
		}
		return access.Decide(s, w, op), nil
	}
	if _, err := ask(hung + "/f"); !errors.Is(err, procscan.ErrNoAnswer) {
		t.Fatalf("it does not hang: %v", err)
	}
	begin := time.Now()
	for _, path := range []string{hung + "/f", hung, filepath.Join(again, "f"), hung + "/f", fine} {
		v, err := ask(path)
		want := access.Answer(access.Unknown)
		if path == fine {
			want = access.Allow
		}
		if err != nil || v.Verdict != want {
			t.Errorf("%s: %s %s, %v", path, v.Verdict, v.Missing, err)
		}
	}
	if took := time.Since(begin); took >= deadline {
		t.Errorf("5 questions took %v", took)
	}
	p.stuck.again = 0
	if _, err := ask(hung + "/f"); !errors.Is(err, procscan.ErrNoAnswer) {
		t.Errorf("it is not asked again: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerFUSE(fd)
	}()
	t.Cleanup(func() {
		_ = unix.Unmount(again, unix.MNT_DETACH)
		_ = unix.Unmount(hung, unix.MNT_DETACH)
		<-done
	})
	if v, err := ask(hung + "/f"); err != nil || v.Verdict != access.Allow {
		t.Errorf("it answers now: %s %s, %v", v.Verdict, v.Missing, err)
	}
}

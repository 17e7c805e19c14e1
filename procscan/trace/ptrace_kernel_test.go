package trace_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/trace"
)

// Two sources that share no way of looking see the same: BPF programs, and the tracer of the very same processes.
func TestPtraceSeesWhatBPFSees(t *testing.T) {
	for _, argv := range [][]string{
		{"/usr/bin/unshare", "-Urpf", "--mount-proc", "unshare", "-n", "sh", "-c", "true; exit 3"},
		{"/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs x /mnt; umount /mnt; umount /nowhere; chroot / true"},
		{"/usr/bin/setpriv", "--reuid=12345", "--regid=12345", "--groups=1,2", "unshare", "-U", "sh", "-c", "echo nonsense >/proc/self/uid_map; unshare -n true"},
		{"/bin/sh", "-c", "NSVIEW_TRACE_HELPER=vectored-maps /proc/" + strconv.Itoa(os.Getpid()) + "/exe; /bin/true"},
		{"/bin/sh", "-c", "sh -c 'kill -KILL $$'; nsenter --net=/proc/self/ns/net true; (sleep 0.01; true) & wait"},
	} {
		tr := start(t)
		p := trace.OpenPtrace(argv[0], argv)
		var traced []*events.Event
		done := make(chan error, 1)
		go func() {
			done <- p.Run(context.Background(), func(e *events.Event) error {
				traced = append(traced, e)
				return nil
			})
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		list := tr.stop(p.Root())
		if len(list) < 8 {
			t.Errorf("%q: only %d events:\n%s", argv, len(list), texts(list))
		}
		if diff := cmp.Diff(perProcess(list), perProcess(traced)); diff != "" {
			t.Errorf("%q (-BPF +ptrace):\n%s", argv, diff)
		}
	}
}

// perProcess are the lines of each process: which of two is first depends on who looks.
func perProcess(list []*events.Event) map[int][]string {
	// Before the first fork /proc does not tell the PID namespace for children. Why a map was refused only the kernel's own
	// structures tell.
	unknown := regexp.MustCompile(`pid:([0-9]+|\?) for children|  \(.*\)$`)
	lines := map[int][]string{}
	for _, e := range list {
		lines[e.PID] = append(lines[e.PID], fmt.Sprintf("%d %q %s %d %+v", e.InsidePID, e.Comm, unknown.ReplaceAllString(e.Text(), ""), e.Result, e.UID))
	}
	return lines
}

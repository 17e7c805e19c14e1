package procscan

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

// A scan that is brief about who is beside the observer leaves out credentials and cgroup of those only: not of programs
// that are asked for, nor of who sees ids, PIDs or files in another way, nor of the observer. All else is what a scan says
// that reads everything.
func TestBeside(t *testing.T) {
	proctest.NeedRoot(t)
	here := park(t, nil, "")
	const name = "nsview-program" // which nothing else has
	park(t, nil, "exec 8<&0; (printf "+name+" >/proc/self/comm; read x) <&8 & exec 8<&-")
	apart := map[int]string{
		park(t, []string{"unshare", "-U"}, ""): "user", park(t, []string{"unshare", "-m"}, ""): "mount",
		park(t, []string{"setpriv", "--reuid", "1000", "--clear-groups"}, ""): "",
	}
	const facts = Mounts | UserNames | GroupNames | FileNames | Relations | Brief | NoKthreads
	scan := func(facts Fact) *nsinspect.Snapshot {
		s, err := Scan(t.Context(), Options{Facts: facts, Source: SourceProc, Programs: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	program := 0
	if !proctest.Within(10*time.Second, func() bool {
		for _, p := range scan(facts).Processes {
			if p.Comm == name {
				program = p.PID
			}
		}
		return program != 0
	}) {
		t.Fatal("no process took its name")
	}
	full, brief, again := scan(facts), scan(facts|Beside), scan(facts)
	o := full.Observer
	if !o.InitialNS || o.PIDNS != o.ProcPIDNS {
		proctest.Need(t, "initial-namespaces", false, "the ids of an observer in a user namespace may be in doubt")
	}
	left := map[int]bool{}
	for i := range full.Processes {
		want := plain(full, &full.Processes[i])
		p, q := brief.Process(want.PID), again.Process(want.PID)
		if q == nil || !cmp.Equal(want, plain(again, q)) {
			continue // it changed meanwhile
		}
		if p == nil {
			t.Errorf("process %d (%s) is not there", want.PID, want.Comm)
			continue
		}
		n := want.Namespaces
		if !p.Cred.UID.Real.Mapped() && want.Cred.UID.Real.Mapped() {
			left[p.PID] = true
			if n.User != o.UserNS || n.PID != o.PIDNS || n.Mnt != o.MntNS {
				t.Errorf("process %d in %+v was left out of", p.PID, n)
			}
			want.Cred, want.Cgroup = noCred(), ""
		}
		if diff := cmp.Diff(want, plain(brief, p), cmp.AllowUnexported(idmap.Extent{})); diff != "" {
			t.Errorf("process %d (-all +brief):\n%s", want.PID, diff)
		}
	}
	if !left[here] || left[program] || left[os.Getpid()] {
		t.Errorf("left out: %v, want %d, not the program %d nor the observer %d", left, here, program, os.Getpid())
	}
	for pid, kind := range apart {
		if left[pid] != (kind == "") {
			t.Errorf("process %d, apart by its %q namespace: left out %v", pid, kind, left[pid])
		}
	}
	if diff := cmp.Diff(full.Namespaces, brief.Namespaces); diff != "" {
		t.Logf("namespaces (-all +brief), if nothing started meanwhile:\n%s", diff)
	}
}

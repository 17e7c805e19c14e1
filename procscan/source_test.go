package procscan

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

// Both sources say the same of every process that is there for both, wherever procfs has no gap: on a host with user
// namespaces in user namespaces, PID namespaces in PID namespaces, many extents and groups, a chroot, a zombie.
func TestSourcesAgree(t *testing.T) {
	proctest.NeedRoot(t)
	var want []int
	want = append(want, park(t, []string{"unshare", "-Ur", "unshare", "-Ur", "unshare", "-Ur"}, parkAnother))
	want = append(want, park(t, []string{"unshare", "-UrmniuC"}, ""))
	want = append(want, park(t, []string{"unshare", "-Ur", "--pid"}, "")) // pid_for_children of its own
	want = append(want, park(t, []string{"setpriv", "--reuid=1234", "--regid=1235", "--groups=1,2,3,70000", "--no-new-privs"}, "umask 027"))
	want = append(want, park(t, []string{"setpriv", "--groups=" + numbers(40)}, ""))
	want = append(want, park(t, []string{"setpriv", "--bounding-set=-sys_admin", "--inh-caps=+chown", "--ambient-caps=+chown"}, ""))
	want = append(want, park(t, []string{"unshare", "-m", "chroot", "/"}, ""))
	want = append(want, park(t, []string{"unshare", "--time", "--fork", "--kill-child"}, ""))
	want = append(want, park(t, []string{"setpriv", "--ruid=4001", "--euid=4002", "--rgid=4003", "--egid=4004", "--clear-groups"}, ""))
	for _, deep := range []int{1, 3, 10} { // a record holds 8 levels
		want = append(want, park(t, nested(deep), ""))
	}

	var chosen Choice
	scan := func(source Source) *nsinspect.Snapshot {
		s, err := Scan(t.Context(), Options{Facts: Names, Source: source, Chosen: &chosen})
		proctest.Need(t, "bpf", err == nil || source == SourceProc, errorText(err))
		if err != nil {
			t.Fatal(err)
		}
		if chosen.Source != source {
			t.Fatalf("processes were read by %s (%s), not %s", chosen.Source, chosen.Why, source)
		}
		return s
	}
	before, byBPF, after := scan(SourceProc), scan(SourceBPF), scan(SourceProc)
	gap := map[int]bool{}
	for _, g := range slices.Concat(before.Gaps, after.Gaps) {
		gap[g.PID] = true
	}
	compared := map[int]bool{}
	for i := range before.Processes {
		p := &before.Processes[i]
		q, again := byBPF.Process(p.PID), after.Process(p.PID)
		if q == nil && again != nil {
			t.Errorf("process %d (%s) is not there by BPF", p.PID, p.Comm)
			continue
		}
		if again == nil || gap[p.PID] || !cmp.Equal(plain(before, p), plain(after, again)) {
			continue // it changed meanwhile
		}
		compared[p.PID] = true
		if diff := cmp.Diff(plain(before, p), plain(byBPF, q)); diff != "" {
			t.Errorf("process %d (-procfs +BPF):\n%s", p.PID, diff)
		}
	}
	for _, pid := range want {
		if !compared[pid] {
			t.Errorf("process %d was not compared", pid)
		}
	}
	if len(compared) < len(before.Processes)/2 {
		t.Errorf("only %d of %d processes were compared", len(compared), len(before.Processes))
	}
	for i := range byBPF.Processes {
		pid := byBPF.Processes[i].PID
		if before.Process(pid) == nil && after.Process(pid) != nil && exists(pid) && byBPF.Processes[i].StartTime < before.Processes[0].StartTime {
			t.Errorf("process %d is there by BPF only", pid)
		}
	}
}

// What procfs adds to what the iterator found comes where its PID belongs, whatever is on either side.
func TestMergeByPID(t *testing.T) {
	rows := func(pids []int) []nsinspect.Process {
		var out []nsinspect.Process
		for _, pid := range pids {
			out = append(out, nsinspect.Process{PID: pid})
		}
		return out
	}
	for _, test := range [][2][]int{{{}, {}}, {{}, {3}}, {{3}, {}}, {{2, 3}, {1}}, {{1, 2}, {3}}, {{2, 4, 6, 8}, {1, 5, 9}}, {{5}, {1, 2, 3, 7}}} {
		want := slices.Sorted(slices.Values(slices.Concat(test[0], test[1])))
		var got []int
		for _, p := range mergeByPID(rows(test[0]), rows(test[1])) {
			got = append(got, p.PID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v and %v make %v", test[0], test[1], got)
		}
	}
}

// plainProcess is a process with what its indices stand for.
type plainProcess struct {
	nsinspect.Process
	Maps  nsinspect.IDMaps
	Names map[idmap.Inside]string
}

func plain(s *nsinspect.Snapshot, p *nsinspect.Process) plainProcess {
	out := plainProcess{Process: *p}
	out.IDMaps, out.MountTable, out.Process.Names = 0, 0, 0
	if out.Kthread {
		out.Comm, _, _ = strings.Cut(out.Comm, "-") // what it works on at the moment
	}
	if strings.Contains("RDSI", out.State) {
		out.State = "S" // of one moment
	}
	if m := s.Maps(p.IDMaps); m != nil {
		out.Maps = *m
	}
	if n := s.NamesAt(p.Names); n != nil {
		out.Names = n.Users
	}
	return out
}

func numbers(n int) string {
	var b []byte
	for i := range n {
		b = strconv.AppendInt(append(b, ','), int64(1000+i), 10)
	}
	return string(b[1:])
}

// nested is a command in n PID namespaces, each in the one before.
func nested(n int) []string {
	var command []string
	for range n {
		command = append(command, "unshare", "-Ur", "--pid", "--fork", "--kill-child", "--mount-proc")
	}
	return command
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func exists(pid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}

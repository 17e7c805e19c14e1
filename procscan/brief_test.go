package procscan

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
)

// What a brief scan says is what any other says, and what it leaves out is unknown, not wrong.
func TestBriefIsPartOfAll(t *testing.T) {
	pid := park(t, []string{"unshare", "-Urm"}, parkAnother)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	pids := []int{pid}
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, n)
	}
	scan := func(facts Fact) *nsinspect.Snapshot {
		s, err := Scan(t.Context(), Options{Facts: facts, PIDs: pids})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all, brief := scan(UserNames), scan(UserNames|Brief)
	if len(brief.Processes) < 2 {
		t.Fatalf("%d processes, want the container's", len(brief.Processes))
	}
	for i := range all.Processes {
		for _, p := range []*nsinspect.Process{&all.Processes[i], &brief.Processes[i]} {
			p.State, p.Comm = "", "" // one may be about to execute cat
		}
		n := all.Processes[i].Namespaces
		all.Processes[i].Namespaces = nsinspect.NamespaceSet{User: n.User, PID: n.PID, Mnt: n.Mnt}
		if n.Mnt == 0 || n.Net == 0 {
			t.Errorf("process %d: namespaces %+v", all.Processes[i].PID, n)
		}
	}
	if diff := cmp.Diff(all.Processes, brief.Processes); diff != "" {
		t.Errorf("processes (-all +brief):\n%s", diff)
	}
	if diff := cmp.Diff(all.IDMaps, brief.IDMaps); diff != "" {
		t.Errorf("id maps (-all +brief):\n%s", diff)
	}
	for i := range brief.Names {
		if len(brief.Names[i].Groups) > 0 {
			t.Errorf("group names were read: %v", brief.Names[i].Groups)
		}
	}
}

package pathwalk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
)

// agentProgram is a copy of the test binary where every user may execute it: the test's own program is where only its user
// may go.
func agentProgram(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	agent := filepath.Join(tempDir(t), "agent")
	if err := os.WriteFile(agent, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return agent
}

// scriptedAgent is an agent in a mount namespace of its own, in which a shell script ran first.
func scriptedAgent(t *testing.T, name string, attr *syscall.SysProcAttr, script string, wrap ...string) *agent {
	t.Helper()
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Cloneflags |= syscall.CLONE_NEWNS
	words := append([]string{"/bin/sh", "-ec", "mount --make-rprivate /\n" + script + "\nexec \"$@\"", "sh"}, wrap...)
	return startAgent(t, name, attr, append(words, agentProgram(t))...)
}

// proberNow is a Prober with a picture of the host as it is now.
func proberNow(t *testing.T) *Prober {
	t.Helper()
	snap, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	p := probeAt(t, snap, "/proc")
	p.UseStandIns()
	return p
}

// probeAt is a Prober with that picture of what the procfs at proc shows.
func probeAt(t *testing.T, snap *nsinspect.Snapshot, proc string) *Prober {
	t.Helper()
	p, err := NewProber(snap, proc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// decideFor is the verdict on a question, written as on the command line: OP PATH ARG...
func decideFor(t *testing.T, p *Prober, a *agent, question string) (access.Verdict, request) {
	t.Helper()
	words := strings.Fields(question)
	op, err := access.ParseOperation(words[0], words[2:])
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Process(t.Context(), a.cmd.Process.Pid, a.name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := p.Walk(t.Context(), s, op, words[1])
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return access.Decide(s, w, op), request{Op: op, Path: words[1]}
}

// agree compares verdicts with what the kernel does when the agent asks. No verdict may be unknown. It counts which rules
// decided.
func agree(t *testing.T, p *Prober, a *agent, questions ...string) map[access.Rule]int {
	t.Helper()
	rules := map[access.Rule]int{}
	for _, question := range questions {
		v, q := decideFor(t, p, a, question)
		said := a.do(t, q)
		rules[v.Rule]++
		if v.Verdict == access.Unknown || string(v.Errno) != said {
			text, _ := json.Marshal(v.Steps)
			t.Errorf("%s: %s: the kernel says %q, the verdict is %s %q by %s: %s\n%s", a.name, question, said, v.Verdict, v.Errno, v.Rule, v.Explanation, text)
		}
	}
	return rules
}

// user is an agent of an ordinary user on the host.
func user(t *testing.T, id string) *agent {
	t.Helper()
	setpriv, err := findTool("setpriv")
	proctest.Need(t, "setpriv", err == nil, "setpriv (util-linux) makes the subjects")
	return startAgent(t, "user "+id, nil, setpriv, "--reuid", id, "--regid", id, "--clear-groups", agentProgram(t))
}

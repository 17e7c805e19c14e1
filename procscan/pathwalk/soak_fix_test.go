package pathwalk

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/proctest"
)

// TestFixesAgainstKernel carries out what is offered: in random scenes, one proven fix of every denial that has one, and
// then asks the kernel again, which has to allow it. NSVIEW_SOAK_SEED, NSVIEW_SOAK_FIXES and NSVIEW_SOAK_SCENE are as for
// TestDecideAgainstKernel. A fix that needs the container started anew, changes the host, or says in words
// what no command does is not carried out.
func TestFixesAgainstKernel(t *testing.T) {
	for _, tool := range []string{"setfacl", "chattr", "mount"} {
		_, err := findTool(tool)
		proctest.Need(t, tool, err == nil, "fixes use it")
	}
	st := newStage(t)
	seed, n := setting(t, "NSVIEW_SOAK_SEED", 1), int(setting(t, "NSVIEW_SOAK_FIXES", 150))
	f := fixSoak{stage: st, seed: seed, tried: map[string]int{}}
	for i := int(setting(t, "NSVIEW_SOAK_SCENE", 0)); f.carried < n; i++ {
		f.scene(i)
		if t.Failed() && f.failed >= maxReported {
			break
		}
	}
	t.Logf("seed %d: %d of %d denials had a fix to carry out, %v", seed, f.carried, f.denied, f.tried)
	if f.failed > 0 {
		t.Errorf("%d of %d fixes do not do what they say", f.failed, f.carried)
	}
}

// fixSoak is a run of fixes.
type fixSoak struct {
	stage                   *stage
	seed                    uint64
	denied, carried, failed int
	tried                   map[string]int // by the programs that they run
}

func (f *fixSoak) scene(i int) {
	t := f.stage.t
	t.Helper()
	writer := randomScene(rand.New(rand.NewPCG(f.seed, uint64(i))))
	w, err := f.stage.build(writer.scene)
	if err != nil {
		t.Fatalf("seed %d scene %d: %v\n%s", f.seed, i, err, writer.scene)
	}
	defer w.close()
	for k := range sceneQuestions {
		subject := writer.r.IntN(len(writer.Subjects))
		q := writer.question(&writer.Subjects[subject])
		a, err := w.ask(subject, q)
		if err != nil {
			t.Fatalf("seed %d scene %d, subject %d, %s: %v", f.seed, i, subject, q, err)
		}
		if a.verdict.Verdict != access.Deny || a.wrong() { // what is wrong is for TestDecideAgainstKernel
			continue
		}
		f.denied++
		fixes := slices.DeleteFunc(access.Fixes(a.subject, a.walk, q.Op, a.verdict), func(fix access.Fix) bool {
			return !fix.Proven || fix.Restart || fix.How != "" || strings.HasPrefix(fix.Commands[0], "sysctl ")
		})
		if len(fixes) == 0 {
			continue
		}
		fix := pick(writer.r, fixes...)
		f.carried++
		if problem := f.carry(w, subject, q, &fix); problem != "" {
			f.failed++
			t.Errorf("seed %d scene %d question %d, subject %d (%s): %s\n  %s\n  fix: %s\n    %s\n  %s",
				f.seed, i, k, subject, &writer.Subjects[subject], q, a.verdict.Explanation, fix.Title, strings.Join(fix.Commands, "\n    "), problem)
		}
	}
}

// carry carries out a fix and asks the kernel again. "" when it allows then what it denied.
func (f *fixSoak) carry(w *world, subject int, q request, fix *access.Fix) string {
	var programs []string
	for _, command := range fix.Commands {
		program, _, _ := strings.Cut(command, " ")
		programs = append(programs, program)
		if !f.keepsTo(w, command) {
			return "changes something outside the scene: " + command
		}
		if out, err := exec.CommandContext(f.stage.t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			return fmt.Sprintf("%s: %v: %s", command, err, out)
		}
	}
	f.tried[strings.Join(slices.Compact(programs), "+")]++
	said, err := w.subjects[subject].ask(q)
	switch {
	case err != nil:
		return err.Error()
	case said != "":
		return fmt.Sprintf("the kernel still says %s", said)
	}
	return ""
}

// keepsTo reports whether a command changes only what is in a scene.
func (f *fixSoak) keepsTo(w *world, command string) bool {
	words := strings.Fields(command)
	end := slices.Index(words, "--")
	if end < 0 || end == len(words)-1 || !slices.Contains([]string{"setfacl", "chmod", "chown", "chgrp", "chattr", "mount"}, words[0]) {
		return false
	}
	operands := words[end+1:]
	if words[0] == "chown" || words[0] == "chgrp" {
		operands = operands[1:]
	}
	ours := func(pid string) bool {
		return slices.ContainsFunc(w.subjects, func(a *actor) bool { return strconv.Itoa(a.pid) == pid })
	}
	return !slices.ContainsFunc(operands, func(p string) bool {
		inside := p == w.root || strings.HasPrefix(p, w.root+"/") // a subject may have renamed top
		if pid, rest, ok := strings.Cut(strings.TrimPrefix(p, "/proc/"), "/root"); ok && ours(pid) {
			inside = strings.HasPrefix(rest, top)
		}
		if words[0] == "mount" && words[1] == "-N" && ours(words[2]) {
			inside = strings.HasPrefix(p, top)
		}
		return !inside || filepath.Clean(p) != p || strings.ContainsAny(p, "$'\"\\`;&|")
	})
}

package pathwalk

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
)

// setting is a number of the environment, for a longer run or the repetition of one.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: not a number", name, text)
	}
	return n
}

// sceneQuestions is how many questions one scene gets. What they change stays changed for those that follow.
const sceneQuestions = 200

// maxReported is how many kinds of wrong answers are looked into.
const maxReported = 5

// soak is a run of random questions.
type soak struct {
	stage          *stage
	seed           uint64
	asked, wrong   int
	unknown, kinds map[string]int      // of unknown and of wrong answers
	decided, noted map[access.Rule]int // by which rule; where the answer would have been wrong without it
}

// asked is one question of a scene.
type asked struct {
	Subject int
	request
}

// TestDecideAgainstKernel asks the kernel what Decide says it answers: random operations of random processes in random
// scenes of user namespaces, files and mounts. NSVIEW_SOAK_SEED repeats a run, NSVIEW_SOAK_N makes it longer,
// NSVIEW_SOAK_SCENE begins it at a later scene. A wrong answer is reduced to what it takes.
func TestDecideAgainstKernel(t *testing.T) {
	n := int(setting(t, "NSVIEW_SOAK_N", 4000))
	s := &soak{
		stage: newStage(t), seed: setting(t, "NSVIEW_SOAK_SEED", 1),
		unknown: map[string]int{}, kinds: map[string]int{}, decided: map[access.Rule]int{}, noted: map[access.Rule]int{},
	}
	for i := int(setting(t, "NSVIEW_SOAK_SCENE", 0)); s.asked < n; i++ {
		s.scene(i, min(sceneQuestions, n-s.asked))
	}
	unknown := 0
	for _, k := range s.unknown {
		unknown += k
	}
	t.Logf("seed %d: %d questions, %d wrong, %d unknown %v; decided by %v; rules without which an answer was wrong: %v", s.seed, s.asked, s.wrong, unknown, s.unknown, s.decided, s.noted)
	if len(s.stage.lacks) > 0 {
		t.Logf("left out because this kernel or file system has no such thing: %v", s.stage.lacks)
	}
	if s.wrong > 0 {
		t.Errorf("%d of %d answers are wrong: %v", s.wrong, s.asked, s.kinds)
	}
	if unknown*100 > s.asked {
		t.Errorf("%d of %d answers are unknown: %v", unknown, s.asked, s.unknown)
	}
}

// scene builds one scene and asks about it.
func (s *soak) scene(i, questions int) {
	t := s.stage.t
	t.Helper()
	writer := randomScene(rand.New(rand.NewPCG(s.seed, uint64(i))))
	w, err := s.stage.build(writer.scene)
	if err != nil {
		t.Fatalf("seed %d scene %d: %v\n%s", s.seed, i, err, writer.scene)
	}
	defer w.close()
	var history []asked
	for range questions {
		q := asked{Subject: writer.r.IntN(len(writer.Subjects))}
		q.request = writer.question(&writer.Subjects[q.Subject])
		history = append(history, q)
		a, err := w.ask(q.Subject, q.request)
		if err != nil {
			t.Fatalf("seed %d scene %d, subject %d, %s: %v\n%s", s.seed, i, q.Subject, q, err, writer.scene)
		}
		s.count(a, &q)
		if a.wrong() {
			s.wrong++
			// One of a kind is enough to read.
			kind := fmt.Sprintf("%s: %s %q by %s, not %q", q.Op.Op, a.verdict.Verdict, a.verdict.Errno, a.verdict.Rule, a.said)
			if s.kinds[kind]++; s.kinds[kind] == 1 && len(s.kinds) <= maxReported {
				t.Errorf("seed %d scene %d question %d:\n%s", s.seed, i, len(history)-1, s.stage.reduce(writer.scene, history, a))
			}
		}
	}
}

func (s *soak) count(a *answer, q *asked) {
	s.asked++
	v := &a.verdict
	switch {
	case a.open():
		s.unknown["the error of "+string(v.Rule)]++
	case v.Verdict == access.Unknown:
		what, _, _ := strings.Cut(v.Missing, " /")
		s.unknown[string(v.Rule)+": "+what]++
	case v.Verdict == access.Deny:
		s.decided[v.Rule]++
		if !a.wrong() && a.lacking(v.Rule, q.Op) {
			s.noted[v.Rule]++
		}
	default:
		s.decided[access.Rule(v.Verdict)]++
	}
}

// report is a wrong answer in words.
func (a *answer) report(q request) string {
	steps, _ := json.Marshal(a.verdict.Steps)
	return fmt.Sprintf("  %s\n  the kernel says %q, the verdict is %s %q by %s: %s\n  %s",
		q, a.said, a.verdict.Verdict, a.verdict.Errno, a.verdict.Rule, a.verdict.Explanation, steps)
}

package pathwalk

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reduceTime bounds how long a wrong answer is reduced.
const reduceTime = 20 * time.Second

// reduce makes a scenario with a wrong answer to its last question smaller for as long as the answer stays wrong, and
// says what is left: the scene, what was done before, and the question.
func (st *stage) reduce(s *scene, history []asked, a *answer) string {
	c := &reduction{stage: st, until: time.Now().Add(reduceTime), scene: s, history: history, answer: a}
	last := history[len(history)-1]
	if c.try(s, []asked{last}) {
		// What was asked before does not matter, so nor do the others who asked.
		one := *s
		one.Subjects = []subject{s.Subjects[last.Subject]}
		last.Subject = 0
		c.try(&one, []asked{last})
	} else if !c.try(s, history) {
		return a.report(last.request) + "\n  (it was right when asked again in the same scene; not reduced)"
	}
	for changed := true; changed; {
		changed = c.fewerQuestions()
		changed = c.fewerActs() || changed
		changed = c.plainer() || changed
	}
	var b strings.Builder
	b.WriteString(c.scene.String())
	for _, q := range c.history[:len(c.history)-1] {
		fmt.Fprintf(&b, "  before, by subject %d: %s\n", q.Subject, q)
	}
	final := c.history[len(c.history)-1]
	fmt.Fprintf(&b, "  asked by subject %d:\n%s", final.Subject, c.answer.report(final.request))
	return b.String()
}

// reduction is the smallest scenario so far.
type reduction struct {
	stage   *stage
	until   time.Time
	scene   *scene
	history []asked
	answer  *answer
}

// try keeps a scenario if its last answer is wrong.
func (c *reduction) try(s *scene, history []asked) bool {
	if time.Now().After(c.until) {
		return false
	}
	w, err := c.stage.build(s)
	if err != nil {
		return false // not a scenario any more
	}
	defer w.close()
	for i, q := range history {
		a, err := w.ask(q.Subject, q.request)
		switch {
		case err != nil:
			return false
		case i == len(history)-1 && a.wrong():
			c.scene, c.history, c.answer = s, history, a
			return true
		}
	}
	return false
}

// fewer leaves out of n things as many as can be left out: halves first, then smaller parts.
func fewer(n int, without func(from, to int) bool) bool {
	changed := false
	for size := max(n/2, 1); size > 0 && n > 0; size /= 2 {
		for from := 0; from < n; {
			to := min(from+size, n)
			if without(from, to) {
				changed = true
				n -= to - from
			} else {
				from = to
			}
		}
	}
	return changed
}

func (c *reduction) fewerQuestions() bool {
	return fewer(len(c.history)-1, func(from, to int) bool {
		return c.try(c.scene, slices.Delete(slices.Clone(c.history), from, to))
	})
}

func (c *reduction) fewerActs() bool {
	return fewer(len(c.scene.Acts), func(from, to int) bool {
		s := *c.scene
		s.Acts = slices.Delete(slices.Clone(s.Acts), from, to)
		return c.try(&s, c.history)
	})
}

// plain is another mode, unless mode is a plain one already.
func plain(mode, to uint32) uint32 {
	if mode == 0o777 || mode == 0o755 {
		return mode
	}
	return to
}

// plainer takes single features away.
func (c *reduction) plainer() bool {
	changed := simpler(c, 0, func(s *scene) *[]act { return &s.Acts },
		func(a *act) { a.ACL = "" },
		func(a *act) { a.Default = "" },
		func(a *act) { a.Caps = nil },
		func(a *act) { a.Attr = nil },
		func(a *act) { a.Idmap = 0 },
		func(a *act) { a.UID = 0 },
		func(a *act) { a.GID = 0 },
		func(a *act) { a.Mode &= 0o777 },
		func(a *act) { a.Mode = plain(a.Mode, 0o777) },
		func(a *act) { a.Mode = plain(a.Mode, 0o755) },
	)
	changed = simpler(c, 0, func(s *scene) *[]subject { return &s.Subjects },
		func(p *subject) { p.In = where{} },
		func(p *subject) { p.Prm, p.Eff, p.Inh = 0, 0, 0 },
		func(p *subject) { p.Inh = 0 },
		func(p *subject) { p.Bnd = allCaps },
		func(p *subject) { p.NoNewPrivs = false },
		func(p *subject) { p.UID, p.GID = p.EUID, p.EGID },
		func(p *subject) { p.UID, p.EUID = 1000, 1000 },
		func(p *subject) { p.GID, p.EGID = 1000, 1000 },
		func(p *subject) {
			if len(p.Groups) > 0 {
				p.Groups = []int{}
			}
		},
	) || changed
	return simpler(c, 1, func(s *scene) *[]space { return &s.Spaces },
		func(p *space) { p.DenySetgroups, p.Groups = false, nil },
		func(p *space) { p.GID = p.UID },
		func(p *space) { p.UID = p.GID },
	) || changed
}

// simpler makes single edits to the parts of a scene that are in a list, those before first left as they are.
func simpler[T fmt.Stringer](c *reduction, first int, list func(*scene) *[]T, edits ...func(*T)) bool {
	changed := false
	for i := first; i < len(*list(c.scene)); i++ {
		for _, edit := range edits {
			was := (*list(c.scene))[i]
			now := was
			edit(&now)
			if now.String() == was.String() {
				continue
			}
			s := *c.scene
			parts := slices.Clone(*list(&s))
			parts[i] = now
			*list(&s) = parts
			changed = c.try(&s, c.history) || changed
		}
	}
	return changed
}

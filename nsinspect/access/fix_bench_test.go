package access

import "testing"

// The fixes of a denial are searched for in copies of the facts, which a batch of questions pays for.
func BenchmarkFixes(b *testing.B) {
	s, w := plainSubject(), fixWalk()
	op := Operation{Op: OpWrite}
	v := Decide(s, w, op)
	for b.Loop() {
		if len(Fixes(s, w, op, v)) == 0 {
			b.Fatal("no fixes")
		}
	}
}

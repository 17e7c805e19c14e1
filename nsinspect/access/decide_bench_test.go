package access

import "testing"

func BenchmarkDecide(b *testing.B) {
	s, w := explainSubject(), explainWalk()
	op, err := ParseOperation("read", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if v := Decide(s, w, op); v.Verdict == "" {
			b.Fatal("no verdict")
		}
	}
}

package access

import "testing"

// An engine that lacks the rule which refuses the very first directory goes on.
func TestDecideWithoutFirst(t *testing.T) {
	s, w := explainSubject(), explainWalk()
	w.Start.Mode = 0
	v := Decide(s, w, mustParse(t, "read"))
	if v.Verdict != Deny || v.Rule != RuleModeOther || v.Component != "/" {
		t.Errorf("the root is %s by %s at %s", v.Verdict, v.Rule, v.Component)
	}
	if v := DecideWithout(RuleModeOther, s, w, mustParse(t, "read")); v.Verdict != Allow {
		t.Errorf("without %s it is %s by %s", RuleModeOther, v.Verdict, v.Rule)
	}
}

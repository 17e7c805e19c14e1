package access

// Decide says whether the kernel lets the subject do an operation on the path of a walk. It does no I/O and changes none
// of its arguments: decide again on changed facts to see what a change would do.
func Decide(s *Subject, w *Walk, op Operation) Verdict {
	return Verdict{
		Target: s.Target, Op: string(op.Op), Args: op.Args, Path: w.Path, Verdict: Unknown, Steps: []Step{}, Fixes: []Fix{}, Assumptions: []string{},
		Missing: "the rules",
	}
}

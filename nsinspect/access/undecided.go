package access

// Undecided is the answer to a question that could not be looked into at all: missing says why.
func Undecided(target, path string, op Operation, missing string) Verdict {
	return Verdict{
		Target: target, Op: string(op.Op), Args: op.Args, Path: path, Verdict: Unknown, Component: path, Missing: missing,
		Explanation: "unknown: " + missing,
		Steps:       []Step{}, Fixes: []Fix{}, Assumptions: []string{},
	}
}

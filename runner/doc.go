// Package runner starts a command in new or joined namespaces.
//
// It goes in three steps. A [Spec] is what is wanted. [NewPlan] is pure: from a Spec and the facts about the [Caller] it
// makes a [Plan], the ordered steps with their text, or refuses with the reason and with what would be accepted, so that
// nothing is started which the kernel would refuse halfway. [Plan.Start] carries the plan out.
//
// A Go process is multi-threaded and so can neither unshare nor join a user namespace. The work inside is done by a
// stage: the program executes itself (/proc/self/exe) in the new namespaces, prepares them, and then becomes the
// command. A program that uses this package therefore calls [Stage] first thing in main when [IsStage] says so.
package runner

import "fmt"

// Error is why a plan was refused or could not be carried out.
type Error struct {
	What string // the flag or the step
	Err  error
	Hint string // what would be accepted, or what to try; "" when there is nothing to say

	// Status is the exit status that a shell would give: 126 when the command could not be executed, 127 when it was not
	// found, else 125.
	Status int
}

// Error is the step and the reason.
func (e *Error) Error() string {
	if e.What == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.What, e.Err)
}

// Unwrap is the reason.
func (e *Error) Unwrap() error { return e.Err }

// The exit statuses of nsview run for its own failures, as env(1), nice(1) and docker-run(1) have them.
const (
	StatusFailure       = 125
	StatusNotExecutable = 126
	StatusNotFound      = 127
)

func refuse(what, hint, format string, args ...any) error {
	return &Error{What: what, Err: fmt.Errorf(format, args...), Hint: hint, Status: StatusFailure}
}

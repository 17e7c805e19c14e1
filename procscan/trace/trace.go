// Package trace reads, live, what processes do to namespaces, as events of nsinspect/events.
package trace

import (
	"context"

	"github.com/nsview/nsview/nsinspect/events"
)

//go:generate ./bpf/generate.sh

// Source is where events come from, from the moment that it was opened.
type Source interface {
	// Name says in a few words what is read.
	Name() string

	// Run calls see for every event, in the order of time, until ctx ends and all that happened before has been seen, or
	// until see returns an error, which Run returns.
	Run(ctx context.Context, see func(*events.Event) error) error

	// Lost is what happened and was not seen, so far.
	Lost() (Lost, error)

	Close() error
}

// Lost counts what a source has not seen.
type Lost struct {
	Events uint64 // that found no place in a buffer, or a tracing program busy
	Short  bool   // what lasted less than a look, which cannot be counted
	Compat uint64 // system calls of 32-bit programs, which have other numbers and are not read
}

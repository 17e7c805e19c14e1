package main

import (
	"context"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// prober reads who asks and what is on the way to a path, as it is when it is asked.
type prober interface {
	// Process is the subject of a running process, with the credentials that it has now.
	Process(ctx context.Context, pid int, target string) (*access.Subject, error)
	// Stopped is the subject of a container that is not running, as its engine would start it.
	Stopped(ctx context.Context, c *nsinspect.Container, target string) (*access.Subject, error)
	// As is another user (U[:G]) in the same place.
	As(ctx context.Context, s *access.Subject, user string) (*access.Subject, error)
	// Walk reads what is on the way to a path, and to the second one that an operation has.
	Walk(ctx context.Context, s *access.Subject, op access.Operation, path string) (*access.Walk, error)
	Close()
}

func newProber(s *nsinspect.Snapshot, proc string) (prober, error) {
	p, err := pathwalk.NewProber(s, proc)
	if err != nil {
		return nil, err
	}
	p.UseStandIns()
	return p, nil
}

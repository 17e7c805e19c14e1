package procscan

import (
	"context"
	"slices"

	"github.com/nsview/nsview/nsinspect"
)

// Details reads command lines and names (o.Facts) of the processes o.PIDs of a snapshot that was taken without, and adds
// them to it. Who shows a few processes of many need not ask for those facts of all. gone are the processes that ended
// since.
func Details(ctx context.Context, s *nsinspect.Snapshot, o Options) (gone []int, err error) {
	o.Source, o.Chosen = SourceProc, nil
	o.Facts |= Brief
	now, err := Scan(ctx, o)
	if err != nil {
		return nil, err
	}
	s.Names, s.Observer.Names = now.Names, now.Observer.Names
	for i := range s.Processes {
		s.Processes[i].Names = -1 // an index in what s had before
	}
	for _, pid := range o.PIDs {
		p, is := s.Process(pid), now.Process(pid)
		switch {
		case p == nil:
		case is == nil || is.StartTime != p.StartTime && p.StartTime != 0:
			gone = append(gone, pid)
		default:
			p.Args, p.Root, p.Names = is.Args, is.Root, is.Names
		}
	}
	for _, g := range now.Gaps {
		if !slices.Contains(s.Gaps, g) {
			s.Gaps = append(s.Gaps, g)
		}
	}
	return gone, nil
}

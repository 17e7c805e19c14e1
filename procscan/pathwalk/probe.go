package pathwalk

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
)

// Prober reads the facts of access questions as they are when they are asked. It is for one goroutine. The snapshot gives
// names, containers and the maps of namespaces above a target's; the target itself need not be in it.
type Prober struct {
	snap *nsinspect.Snapshot
	proc string

	now   *probe
	stuck *stuck
	timer *time.Timer // of inTime
}

// NewProber is a Prober for this host.
func NewProber(snap *nsinspect.Snapshot, proc string) (*Prober, error) {
	s := &stuck{since: map[string]time.Time{}, again: askStuckAgain}
	p := &Prober{snap: snap, proc: proc, now: newProbe(snap, proc, s), stuck: s, timer: time.NewTimer(deadline)}
	p.timer.Stop()
	return p, nil
}

// UseStandIns lets the Prober run this program again with the ids of a target, to look where nobody else may (a FUSE file
// system without allow_other, a directory of an idmapped mount that is nobody's there). main has to begin with [IsStandIn]. Without it what is there stays unknown.
func (p *Prober) UseStandIns() { p.now.standIns = true }

// Close gives back what the Prober holds.
func (p *Prober) Close() { close(p.now.work) }

// inTime runs look, which may come to a file system that does not answer. One that is late keeps the probe, and the
// Prober starts anew with another.
func inTime[T any](ctx context.Context, p *Prober, look func(*probe) (T, error)) (T, error) {
	var (
		v      T
		failed error
	)
	probe, done := p.now, make(chan struct{})
	probe.work <- func() {
		v, failed = look(probe)
		close(done)
	}
	p.timer.Reset(deadline)
	defer p.timer.Stop()
	var err error
	select {
	case <-done:
		return v, failed
	case <-p.timer.C:
		err = fmt.Errorf("%w (%v)", procscan.ErrNoAnswer, deadline)
		if dev := probe.asking.where(); dev != "" {
			p.stuck.note(dev)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	close(probe.work)
	standIns := p.now.standIns
	p.now = newProbe(p.snap, p.proc, p.stuck)
	p.now.standIns = standIns
	var none T
	return none, err
}

// Process is the subject of a running process, with the credentials that it has now.
func (p *Prober) Process(_ context.Context, pid int, target string) (*access.Subject, error) {
	s := &access.Subject{Target: target, PID: pid}
	err := p.now.subject(s)
	if err != nil {
		return nil, err
	}
	if q := p.snap.Process(pid); q != nil {
		s.Names, s.Container = p.snap.NamesAt(q.Names), p.snap.ContainerOf(q)
	}
	return s, nil
}

// Walk reads what is on the way to a path, and to the second one that an operation has, as the subject resolves them.
func (p *Prober) Walk(ctx context.Context, s *access.Subject, op access.Operation, name string) (*access.Walk, error) {
	return inTime(ctx, p, func(q *probe) (*access.Walk, error) {
		host := *q.host
		host.ProtectedSymlinks, host.ProtectedHardlinks = q.sysctl("protected_symlinks"), q.sysctl("protected_hardlinks")
		host.ProtectedRegular, host.ProtectedFifos = q.sysctl("protected_regular"), q.sysctl("protected_fifos")
		if s.PID == 0 {
			return q.stoppedWalk(&host, s, op, name)
		}
		t, err := q.task(strconv.Itoa(s.PID), s)
		if err != nil {
			return nil, err
		}
		return q.walkIn(&host, t, op, name)
	})
}

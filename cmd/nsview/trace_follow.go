package main

import (
	"context"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan"
)

// follow finds what the TARGETs are.
func (t *tracing) follow(ctx context.Context) (*events.Follower, error) {
	if len(t.flags.targets) == 0 {
		if err := t.know(ctx); err != nil {
			return nil, err
		}
		if t.flags.command != nil {
			return events.Follow(), nil
		}
		return events.Everybody(), nil
	}
	t.owners.at = time.Now()
	s, err := t.app.snapshot(ctx, 0)
	if err != nil {
		return nil, err
	}
	t.processes(s)
	t.owners.learn(s)
	targets, failed := t.app.targets(s, t.flags.targets, t.app.running)
	if failed {
		return nil, &statusError{code: exitFailure}
	}
	follower := events.Follow()
	for _, target := range targets {
		if target.Host {
			return events.Everybody(), nil
		}
		followTarget(follower, s, target)
	}
	return follower, nil
}

func followTarget(f *events.Follower, s *nsinspect.Snapshot, t nsinspect.Target) {
	host := s.Process(s.Observer.PID)
	for i := range s.Processes {
		p := &s.Processes[i]
		switch {
		case t.Container != nil && s.ContainerOf(p) == t.Container,
			t.Namespace != 0 && p.Namespaces.Of(t.Type) == t.Namespace,
			t.Container == nil && t.Namespace == 0 && comesFrom(s, p, t.Process.PID):
			f.AddProcess(p.PID)
		}
	}
	f.AddNamespace(t.Namespace)
	if t.Container == nil || t.Process == nil {
		return
	}
	for _, kind := range nsinspect.Types() {
		if inode := t.Process.Namespaces.Of(kind); host == nil || inode != host.Namespaces.Of(kind) {
			f.AddNamespace(inode)
		}
	}
}

// comesFrom reports whether p is that process or one of its descendants, other than nsview itself.
func comesFrom(s *nsinspect.Snapshot, p *nsinspect.Process, pid int) bool {
	if p.PID != pid && p.PID == s.Observer.PID {
		return false
	}
	for depth := 0; p != nil && depth < 1000; depth++ {
		if p.PID == pid {
			return true
		}
		p = s.Process(p.PPID)
	}
	return false
}

// know tells the history which processes are there.
func (t *tracing) know(ctx context.Context) error {
	s, err := procscan.Scan(ctx, procscan.Options{Proc: t.app.proc, HostRoot: t.app.hostRoot})
	if err == nil {
		t.processes(s)
	}
	return err
}

// processes tells the history of those of s, parents first. A thread of the kernel starts no container.
func (t *tracing) processes(s *nsinspect.Snapshot) {
	report := s.Report("")
	t.observer, t.looked = report.Observer, report.Time
	var tell func(p *nsinspect.Process, depth int)
	told := map[int]bool{}
	tell = func(p *nsinspect.Process, depth int) {
		if p == nil || told[p.PID] || p.Kthread || depth > 1000 {
			return
		}
		told[p.PID] = true
		tell(s.Process(p.PPID), depth+1)
		t.history.Know(p.PID, p.PPID, p.Comm)
	}
	for i := range s.Processes {
		tell(&s.Processes[i], 0)
	}
}

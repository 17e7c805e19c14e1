package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
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
	timer *time.Timer // of inTime
}

// NewProber is a Prober for this host.
func NewProber(snap *nsinspect.Snapshot, proc string) (*Prober, error) {
	p := &Prober{snap: snap, proc: proc, now: newProbe(snap, proc), timer: time.NewTimer(deadline)}
	p.timer.Stop()
	return p, nil
}

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
	case <-ctx.Done():
		err = ctx.Err()
	}
	close(probe.work)
	p.now = newProbe(p.snap, p.proc)
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
		who := strconv.Itoa(s.PID)
		t, err := q.task(who, s)
		if err != nil {
			return nil, err
		}
		return q.walkIn(&host, who, t, op, name)
	})
}

// errNotRunning: where a container that is not running keeps its files is the engine's to say.
var errNotRunning = errors.New("the container is not running and its user cannot be told")

// Stopped is the subject of a container that is not running, as its engine would start it.
func (p *Prober) Stopped(_ context.Context, c *nsinspect.Container, target string) (*access.Subject, error) {
	uid, gid, _ := strings.Cut(c.User, ":")
	u, err := idNumber(uid)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, errNotRunning)
	}
	g, err := idNumber(gid)
	if err != nil {
		g = 0
	}
	s := &access.Subject{Target: target, Container: c, UserNS: p.snap.Observer.UserNS, Assumptions: []string{"not running"}}
	ku, kg := idmap.Kernel(u), idmap.Kernel(g)
	if len(c.UIDMap) > 0 {
		ku, kg = c.UIDMap.ToOutside(idmap.Inside(u)), c.GIDMap.ToOutside(idmap.Inside(g))
		s.UserNS = nsinspect.Inode(1) // a namespace that is to be: no inode has this number
		p.now.host.UserNS[s.UserNS] = &access.UserNS{Inode: s.UserNS, Parent: p.snap.Observer.UserNS, UID: c.UIDMap, GID: c.GIDMap}
	}
	setIDs(s, ku, kg)
	if u == 0 {
		const dockerDefault = 0xa80425fb
		s.Cred.CapPrm, s.Cred.CapEff, s.Cred.CapBnd = dockerDefault, dockerDefault, dockerDefault
		s.Assumptions = append(s.Assumptions, "it gets the capabilities that docker gives by default")
	}
	return s, nil
}

func idNumber(s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

func setIDs(s *access.Subject, uid, gid idmap.Kernel) {
	s.Cred.UID = nsinspect.IDs{Real: uid, Effective: uid, Saved: uid, FS: uid}
	s.Cred.GID = nsinspect.IDs{Real: gid, Effective: gid, Saved: gid, FS: gid}
}

// As is another user (U[:G], names of its own passwd or numbers inside) in the same place: without capabilities unless it
// is root there.
func (p *Prober) As(ctx context.Context, s *access.Subject, user string) (*access.Subject, error) {
	ns := p.now.host.UserNS[s.UserNS]
	if ns == nil {
		return nil, fmt.Errorf("the user namespace of %s is not known", s.Target)
	}
	name, group, named := strings.Cut(user, ":")
	db, err := inTime(ctx, p, func(q *probe) (accounts, error) { return q.accountsOf(s) })
	if err != nil {
		return nil, fmt.Errorf("the users of %s: %w", s.Target, err)
	}
	uid, gid, groups, err := db.find(name, group, named)
	if err != nil {
		return nil, err
	}
	to := *s
	ku, kg := ns.UID.ToOutside(uid), ns.GID.ToOutside(gid)
	if !ku.Mapped() || !kg.Mapped() {
		return nil, fmt.Errorf("user %s (%s:%s inside) is not mapped in the user namespace of %s", user, uid, gid, s.Target)
	}
	to.Cred.Groups = nil
	for _, g := range groups {
		if k := ns.GID.ToOutside(g); k.Mapped() {
			to.Cred.Groups = append(to.Cred.Groups, k)
		}
	}
	setIDs(&to, ku, kg)
	to.Cred.CapEff, to.Cred.CapPrm, to.Cred.CapAmb = 0, 0, 0
	if uid == 0 {
		to.Cred.CapEff, to.Cred.CapPrm = s.Cred.CapBnd, s.Cred.CapBnd
	}
	to.Assumptions = append(append([]string{}, s.Assumptions...), "user "+user+" is started as an engine would: its groups from /etc/group, capabilities only for uid 0")
	return &to, nil
}

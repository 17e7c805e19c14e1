package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// UntoldError says which fact about a subject is not known, so that every answer about it is unknown.
type UntoldError struct{ Missing string }

func (e *UntoldError) Error() string { return e.Missing + " is not known" }

// futureNS stands for the user namespace of a container that is not running: no inode has this number.
const futureNS nsinspect.Inode = 1

// userNS is the user namespace of a subject, nil when it is not known.
func (p *probe) userNS(s *access.Subject) *access.UserNS {
	if s.UserNS == futureNS && s.Container != nil {
		return &access.UserNS{Inode: futureNS, Parent: p.snap.Observer.UserNS, UID: s.Container.UIDMap, GID: s.Container.GIDMap}
	}
	return p.host.UserNS[s.UserNS]
}

// questionIn is a question about the tree of a container that is not running. The host's files are opened as nsview
// itself reaches them.
func (p *probe) questionIn(host *access.Host, s *access.Subject, op access.Operation) (*question, error) {
	if s.UserNS == futureNS {
		host.UserNS = maps.Clone(host.UserNS)
		host.UserNS[futureNS] = p.userNS(s)
	}
	t, err := p.task("self", &access.Subject{UserNS: p.snap.Observer.UserNS})
	if err != nil {
		return nil, err
	}
	q := newQuestion(p, host, t, op)
	return q, q.futureOf(s.Container)
}

// stoppedWalk resolves a path of a container that is not running, as it would once it is started.
func (p *probe) stoppedWalk(host *access.Host, s *access.Subject, op access.Operation, name string) (*access.Walk, error) {
	q, err := p.questionIn(host, s, op)
	if q != nil {
		defer q.close()
	}
	var missing *unmade
	switch {
	case errors.As(err, &missing):
		w := &access.Walk{Host: host, Path: name, Missing: missing.what}
		if op.New != "" {
			w.New = &access.Walk{Host: host, Path: op.New, Missing: missing.what}
		}
		return w, nil
	case err != nil:
		return nil, err
	}
	return q.walks(name)
}

// Stopped is the subject of a container that is not running, as its engine would start it. The users are those that its
// own files name. The error is an [UntoldError] when the engine's state does not tell who it would be.
func (p *Prober) Stopped(ctx context.Context, c *nsinspect.Container, target string) (*access.Subject, error) {
	o := &p.snap.Observer
	s := &access.Subject{Target: target, Container: c, UserNS: futureNS, MntNS: 0, Assumptions: []string{"not running"}}
	own := p.snap.Maps(o.IDMaps)
	switch {
	case len(c.UIDMap) == 0 || len(c.GIDMap) == 0:
		return nil, &UntoldError{"the id maps that " + target + " is started with"}
	case own != nil && c.UIDMap.Equal(own.UID) && c.GIDMap.Equal(own.GID):
		s.UserNS = o.UserNS
	}
	if c.Start != nil {
		s.Cred.CapBnd = access.CapSet(c.Start.Caps)
		s.Cred.CapAmb = access.CapSet(c.Start.Ambient)
	} else {
		s.Cred.CapBnd = access.CapSet(strings.Fields("CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_SETFCAP"))
		s.Assumptions = append(s.Assumptions, "as root it gets the capabilities that engines give by default")
	}
	user := c.User
	if user == "" {
		user = "0"
	}
	return p.become(ctx, s, user, s.Cred.CapAmb)
}

// As is another user (U[:G], names of its own passwd or numbers inside) in the same place: without capabilities unless it
// is root there.
func (p *Prober) As(ctx context.Context, s *access.Subject, user string) (*access.Subject, error) {
	to, err := p.become(ctx, s, user, 0)
	if err != nil {
		return nil, err
	}
	to.Assumptions = append(to.Assumptions, "user "+user+" is started as an engine would: its groups from /etc/group, capabilities only for uid 0")
	return to, nil
}

// become is the subject as another user of its own. ambient are the capabilities that one who is not root has.
func (p *Prober) become(ctx context.Context, s *access.Subject, user string, ambient uint64) (*access.Subject, error) {
	ns := p.now.userNS(s)
	if ns == nil {
		return nil, &UntoldError{"the user namespace of " + s.Target}
	}
	name, group, named := strings.Cut(user, ":")
	db, err := p.accounts(ctx, s, name, group)
	if err != nil {
		return nil, err
	}
	uid, gid, groups, err := db.find(name, group, named)
	if err != nil {
		return nil, err
	}
	if s.PID == 0 && s.Container.Start != nil {
		for _, added := range s.Container.Start.Groups {
			g, err := db.gidOf(added)
			if err != nil {
				return nil, &UntoldError{"the group " + added + " that it is to be in"}
			}
			groups = append(groups, g)
		}
	}
	to := *s
	ku, kg := ns.UID.ToOutside(uid), ns.GID.ToOutside(gid)
	if !ku.Mapped() || !kg.Mapped() {
		return nil, fmt.Errorf("user %s (%s:%s inside) is not mapped in the user namespace of %s", user, uid, gid, s.Target)
	}
	to.Cred.Groups = []idmap.Kernel{}
	for _, g := range groups {
		if k := ns.GID.ToOutside(g); k.Mapped() {
			to.Cred.Groups = append(to.Cred.Groups, k)
		}
	}
	to.Cred.UID = nsinspect.IDs{Real: ku, Effective: ku, Saved: ku, FS: ku}
	to.Cred.GID = nsinspect.IDs{Real: kg, Effective: kg, Saved: kg, FS: kg}
	to.Cred.CapEff, to.Cred.CapPrm, to.Cred.CapAmb = ambient, ambient, ambient
	if uid == 0 {
		to.Cred.CapEff, to.Cred.CapPrm = s.Cred.CapBnd, s.Cred.CapBnd
	}
	to.Assumptions = append([]string{}, s.Assumptions...)
	if s.PID == 0 {
		to.Names = db.names() // the snapshot has no table of a container that is not running
	}
	return &to, nil
}

// accounts are the users and groups that a subject's own files name. Of a container that is not running and whose files
// are not known, numbers alone are who they are.
func (p *Prober) accounts(ctx context.Context, s *access.Subject, user, group string) (accounts, error) {
	db, err := inTime(ctx, p, func(q *probe) (accounts, error) {
		if s.PID != 0 {
			return q.accountsOf(s)
		}
		host := *q.host
		in, err := q.questionIn(&host, s, access.Operation{Op: access.OpRead})
		if in != nil {
			defer in.close()
		}
		if err != nil {
			return accounts{}, err
		}
		return readAccounts(in.futureFile)
	})
	var missing *unmade
	switch {
	case err == nil:
		return db, nil
	case !errors.As(err, &missing):
		return accounts{}, fmt.Errorf("the users of %s: %w", s.Target, err)
	case isNumber(user) && isNumber(group):
		return accounts{}, nil // both are given: the files would say no more
	case user == "0" && group == "":
		return accounts{passwd: "root:x:0:0::/:\n"}, nil // every image has it so
	}
	return accounts{}, &UntoldError{"who " + user + " is in " + s.Target + " (" + missing.what + ")"}
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

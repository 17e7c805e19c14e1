package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

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
	host *access.Host

	owner map[ownerKey]superOwner
	atlas *nsinspect.Atlas
}

type ownerKey struct {
	mnt nsinspect.Inode
	dev string
}

type superOwner struct {
	ns      nsinspect.Inode
	assumed bool
}

// NewProber is a Prober for this host.
func NewProber(snap *nsinspect.Snapshot, proc string) (*Prober, error) {
	major, minor := procscan.KernelVersion()
	p := &Prober{snap: snap, proc: proc, owner: map[ownerKey]superOwner{}, atlas: nsinspect.NewAtlas(snap)}
	p.host = &access.Host{
		Kernel: access.Kernel{Major: major, Minor: minor}, InitialNS: snap.Observer.InitialNS, LSMs: snap.Observer.LSMs,
		UserNS: access.UserNamespaces(snap), Names: namesOf(snap, snap.Observer.Names),
	}
	return p, nil
}

// Close gives back what the Prober holds.
func (p *Prober) Close() {}

func namesOf(s *nsinspect.Snapshot, i int) *nsinspect.NameTable {
	if i < 0 || i >= len(s.Names) {
		return nil
	}
	return &s.Names[i]
}

// Process is the subject of a running process, with the credentials that it has now.
func (p *Prober) Process(ctx context.Context, pid int, target string) (*access.Subject, error) {
	t, err := procscan.ReadTask(p.proc, pid)
	if err != nil {
		return nil, err
	}
	if err := p.learn(pid, &t); err != nil {
		return nil, err
	}
	s := &access.Subject{Target: target, PID: pid, Cred: t.Cred, UserNS: t.UserNS, MntNS: t.MntNS}
	for i := range p.snap.Processes {
		if q := &p.snap.Processes[i]; q.PID == pid {
			s.Names = namesOf(p.snap, q.Names)
			if q.Container >= 0 && q.Container < len(p.snap.Containers) {
				s.Container = &p.snap.Containers[q.Container]
			}
		}
	}
	return s, nil
}

// learn enters the user namespaces of a process and of its mount namespace, with those above them.
func (p *Prober) learn(pid int, t *procscan.Task) error {
	for kind, ns := range map[nsinspect.Type]nsinspect.Inode{nsinspect.User: t.UserNS, nsinspect.Mnt: t.Owner} {
		if known := p.host.UserNS[ns]; ns == 0 || known != nil && (known.Initial || kind == nsinspect.Mnt || len(known.UID) > 0 && len(known.GID) > 0) {
			continue
		}
		chain, err := procscan.ReadUserNSChain(p.proc, pid, kind)
		if err != nil {
			return err
		}
		for i, u := range chain {
			ns := p.host.UserNS[u.Inode]
			if ns == nil {
				ns = &access.UserNS{Inode: u.Inode, Parent: u.Parent, Owner: u.Owner}
				p.host.UserNS[u.Inode] = ns
			}
			if u.Parent == 0 && p.snap.Observer.InitialNS {
				ns.Initial, ns.UID, ns.GID = true, idmap.Identity(), idmap.Identity()
			}
			if i == 0 && kind == nsinspect.User && !ns.Initial {
				if ns.UID, ns.GID, err = procscan.ReadIDMaps(p.proc, pid); err != nil {
					return err
				}
			}
		}
	}
	return nil
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
		p.host.UserNS[s.UserNS] = &access.UserNS{Inode: s.UserNS, Parent: p.snap.Observer.UserNS, UID: c.UIDMap, GID: c.GIDMap}
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
func (p *Prober) As(_ context.Context, s *access.Subject, user string) (*access.Subject, error) {
	ns := p.host.UserNS[s.UserNS]
	if ns == nil {
		return nil, fmt.Errorf("the user namespace of %s is not known", s.Target)
	}
	name, group, named := strings.Cut(user, ":")
	db, err := readAccounts(p.proc, s.PID)
	if err != nil && s.PID != 0 {
		db = accounts{}
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

// sysctl is a number below /proc/sys/fs, -1 when it cannot be read.
func (p *Prober) sysctl(name string) int {
	b, err := os.ReadFile(p.proc + "/sys/fs/" + name)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}

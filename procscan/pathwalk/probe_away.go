package pathwalk

import (
	"errors"
	"path"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// standIn looks at an open directory that only the target may look at. false when the target may not either.
func (r *trail) standIn(fd int, mount uint64, m *access.Mount, where string, last bool) (sighted, bool) {
	cred := r.task.cred
	if !r.p.standIns || cred == nil || !r.host.InitialNS || r.stand != nil {
		return sighted{}, false
	}
	ids, err := sameIDs(cred)
	var s *standIn
	if err == nil {
		s, err = startStandIn(ids, fd)
	}
	if err != nil {
		r.assume("nothing in the FUSE file system at " + m.Point + " could be looked at: " + err.Error())
		return sighted{}, false
	}
	a, err := s.ask(awayRequest{Bit: r.p.mountBit(), Last: last})
	if err != nil {
		s.close()
		return sighted{}, false
	}
	r.stand = s
	seen, err := r.fromAway(&a, where, m, mount, last)
	return seen, err == nil
}

// nobodys reports whether a file may have an owner or a group who is not mapped where it is: in an idmapped mount, or in an
// overlay of one.
func nobodys(n *access.Node) bool {
	return !n.UID.Known || !n.GID.Known || !n.UID.Seen.Mapped() || !n.GID.Seen.Mapped()
}

// openAsTarget opens a name where the walk is, in a directory that refuses the observer and not who walks: capabilities count
// for nothing over an owner whom an idmapped mount does not map, and so those that the target has need not be borrowed.
func (r *trail) openAsTarget(name string) (int, error) {
	cred := r.task.cred
	if !r.p.standIns || cred == nil || !r.host.InitialNS || r.stand != nil {
		return -1, unix.EACCES
	}
	uid, gid := cred.UID.FS, cred.GID.FS
	if r.op.Op == access.OpAccess {
		uid, gid = cred.UID.Real, cred.GID.Real
	}
	ids, err := idsOf(uid, gid, cred.Groups)
	if err != nil {
		return -1, err
	}
	s, err := startStandIn(ids, r.at)
	if err != nil {
		return -1, err
	}
	defer s.close()
	return s.open(name)
}

// lookupAway is lookup in a directory that only a stand-in has open.
func (r *trail) lookupAway(name, where string, last bool) (int, sighted, error) {
	a, err := r.stand.ask(awayRequest{Dir: r.awayAt - 1, Name: name, Bit: r.p.mountBit(), Last: last})
	if err != nil {
		return -1, sighted{}, err
	}
	if a.Stat.Mnt_id != r.atID.mount {
		return -1, sighted{}, errors.New("it is on another mount, and the way there leads through a file system that the observer may not use")
	}
	s, err := r.fromAway(&a, where, r.mounts[r.atID.mount], r.atID.mount, last)
	if err != nil || !last || !deletes(r.op.Op) {
		return -1, s, err
	}
	at, ok := placeIn(r.mounts[r.atID.mount], path.Join(r.base, where))
	if !ok {
		return -1, s, errors.New("what is mounted on it is not known")
	}
	busy, err := r.isMountPoint(r.mounts[r.atID.mount], at)
	if err != nil {
		return -1, s, errors.New("what is mounted on it is not known")
	}
	s.node.Busy = access.FactOf(busy)
	return -1, s, nil
}

// fromAway is what a stand-in saw.
func (r *trail) fromAway(a *away, where string, m *access.Mount, mount uint64, last bool) (sighted, error) {
	n := r.nodeOf(where, m, &a.Stat)
	n.Link = a.Link
	var err error
	if n.ACL, err = a.ACL.parse(); err == nil && last {
		n.DefaultACL, err = a.ACL2.parse()
	}
	noteACL(n, err)
	if last {
		n.Xattrs, n.Empty = a.Xattrs, a.Empty
		if r.op.Op == access.OpExec {
			n.CapsMissing = "only the target may read it"
			n.Exec = &access.Exec{Missing: "only the target may read it"}
		}
	}
	return sighted{node: n, away: a.Dir + 1, place: place{mount: mount, inode: n.Inode, dev: n.Dev}}, nil
}

func (x awayXattr) parse() (*access.ACL, error) {
	switch {
	case x.Errno == unix.ENODATA || x.Errno == 0 && len(x.Value) == 0:
		return nil, nil
	case x.Errno != 0:
		return nil, x.Errno
	}
	return parseACL(x.Value)
}

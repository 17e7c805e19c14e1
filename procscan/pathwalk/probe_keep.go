package pathwalk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// probe is what a Prober keeps from one question to the next: open files, which are read again for every question, and
// what cannot change of a namespace that an open file keeps alive. It has a goroutine of its own, which does one piece of
// work after the other: until work is closed, when it gives back what is kept. Only that uses it, or who waits for it.
type probe struct {
	work   chan func()
	closed chan struct{} // when all is given back

	snap  *nsinspect.Snapshot
	proc  string
	host  *access.Host
	atlas *nsinspect.Atlas
	judge func(*nsinspect.Credentials) bool // of ids that are not mapped for the observer

	held        map[string]*procscan.Held
	pins        map[nsinspect.Inode]*pinned
	superOwners map[uint64]superOwner                       // by unique mount id, which is never given twice
	mntOwners   map[uint64]nsinspect.Inode                  // of mount namespaces by their ids, which are never given twice; all in pins
	above       map[nsinspect.Inode][]*nsinspect.MountTable // by user namespace: see tablesAbove
	ready       *taskNow                                    // of the process whose credentials were read last, for one walk
	sysctls     map[string]int                              // open files, -1 when there is none
	watch       *procscan.MountWatch                        // of the observer's mounts, nil where they cannot be read
	devs        map[string]int                              // how many of those each superblock has, by Dev; nil: not yet
	buf         []byte                                      // scratch space

	stuck  *stuck
	asking asking

	fdDir     int  // /proc/self/fd, opened O_PATH
	noXattrAt bool // the kernel has no getxattrat(2)

	standIns  bool // see UseStandIns
	mountinfo bool // mounts are told by mountinfo only: see tellsMounts

	layers map[uint64]*layerNames // of overlays, by unique mount id
}

// pinned is a user namespace that is kept alive, which keeps nothing else that anybody could miss.
type pinned struct {
	*procscan.Pin
	written bool // both its maps are, so they never change again
}

// maxKept bounds the processes and namespaces that are kept: a batch may ask about any number of them.
const maxKept = 256

// taskNow is what a walk asks about the process whose walk it is.
type taskNow struct {
	held  *procscan.Held
	MntNS nsinspect.Inode
	MntID uint64          // of its mount namespace, for statmount(2); 0 when the kernel gives none
	Owner nsinspect.Inode // the user namespace that owns its mount namespace

	cred *nsinspect.Credentials // the subject's
}

func newProbe(snap *nsinspect.Snapshot, proc string, s *stuck) *probe {
	p := &probe{
		stuck: s, asking: asking{fd: -1},
		layers: map[uint64]*layerNames{},
		work:   make(chan func()), closed: make(chan struct{}),
		snap: snap, proc: proc, atlas: nsinspect.NewAtlas(snap), judge: procscan.UnmappedIDs(snap), superOwners: map[uint64]superOwner{}, mntOwners: map[uint64]nsinspect.Inode{}, above: map[nsinspect.Inode][]*nsinspect.MountTable{},
		held: map[string]*procscan.Held{}, pins: map[nsinspect.Inode]*pinned{}, sysctls: map[string]int{}, fdDir: -1, buf: make([]byte, 16<<10),
	}
	p.host = &access.Host{
		Kernel: access.ParseKernel(snap.Observer.Kernel), InitialNS: snap.Observer.InitialNS, LSMs: snap.Observer.LSMs,
		UserNS: access.UserNamespaces(snap), Names: snap.NamesAt(snap.Observer.Names), UID: idmap.Kernel(snap.Observer.UID),
	}
	p.mountinfo = !tellsMounts(proc)
	if watch, err := procscan.WatchMounts(proc); err == nil {
		p.watch = watch
	}
	go func() {
		defer p.close()
		for do := range p.work {
			do()
		}
	}()
	return p
}

func (p *probe) close() {
	p.release()
	for _, fd := range p.sysctls {
		closeFD(fd)
	}
	closeFD(p.fdDir)
	if p.watch != nil {
		p.watch.Close()
	}
	close(p.closed)
}

// release lets go of processes and namespaces.
func (p *probe) release() {
	for _, h := range p.held {
		h.Close()
	}
	clear(p.held)
	p.unpin()
}

func (p *probe) unpin() {
	for _, pin := range p.pins {
		pin.Close()
	}
	clear(p.pins)
	clear(p.superOwners)
	clear(p.mntOwners)
	clear(p.layers)
	clear(p.above)
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// hold calls ask with the process that procfs calls who and that started then, 0 for whichever it is: the PID may be
// another's by now.
func (p *probe) hold(who string, started uint64, ask func(*procscan.Held) error) error {
	if h := p.held[who]; h != nil {
		if started == 0 || h.StartTime() == started {
			err := ask(h)
			if started != 0 || !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
		h.Close()
		delete(p.held, who)
	}
	if len(p.held) >= maxKept {
		p.release()
	}
	h, err := procscan.Hold(p.proc, who)
	if err != nil {
		return err
	}
	if started != 0 && h.StartTime() != started {
		h.Close()
		return fmt.Errorf("process %s ended, and its PID is another's: %w", who, unix.ESRCH)
	}
	p.held[who] = h
	return ask(h)
}

// subject fills in the credentials that a process has now, and enters the user namespaces that its checks are made in.
func (p *probe) subject(s *access.Subject) error {
	var started uint64
	if known := p.snap.Process(s.PID); known != nil {
		started = known.StartTime
	}
	return p.hold(strconv.Itoa(s.PID), started, func(h *procscan.Held) error {
		s.StartTime = h.StartTime()
		var err error
		if s.Cred, err = h.Credentials(); err != nil {
			return err
		}
		p.judge(&s.Cred)
		if s.UserNS, err = h.NS(nsinspect.User); err != nil {
			return err
		}
		if err := p.learnMaps(h, s.UserNS); err != nil {
			return err
		}
		t, err := p.taskOf(h)
		if err != nil {
			return err
		}
		s.MntNS, p.ready = t.MntNS, t
		return nil
	})
}

// task is what a walk of the process that procfs calls who, a subject, has to know. The first walk after its credentials
// were read is about that moment.
func (p *probe) task(who string, s *access.Subject) (t *taskNow, err error) {
	t, p.ready = p.ready, nil
	if t != nil && t.held == p.held[who] && t.MntNS == s.MntNS {
		t.cred = &s.Cred
		return t, nil
	}
	err = p.hold(who, s.StartTime, func(h *procscan.Held) error {
		if p.host.UserNS[s.UserNS] == nil { // the probe that knew it was left behind
			if err := p.learnMaps(h, s.UserNS); err != nil {
				return err
			}
		}
		if t, err = p.taskOf(h); err == nil {
			t.cred = &s.Cred
		}
		return err
	})
	return t, err
}

func (p *probe) taskOf(h *procscan.Held) (*taskNow, error) {
	mnt, err := p.nsOf(h, nsinspect.Mnt)
	if err != nil {
		return nil, err
	}
	return &taskNow{held: h, MntNS: mnt.inode, MntID: mnt.id, Owner: mnt.owner}, nil
}

// nsNow is the namespace of a process, of another type than user.
type nsNow struct {
	inode nsinspect.Inode
	id    uint64          // of a mount namespace, for statmount(2): no other one ever gets it. 0 when the kernel gives none
	owner nsinspect.Inode // the user namespace that owns it, 0 when that cannot be told
}

// nsOf looks at a namespace of a process. It is not kept open: that would keep its mounts, and what is mounted by them, in
// use after the container ended.
func (p *probe) nsOf(h *procscan.Held, kind nsinspect.Type) (nsNow, error) {
	file, err := h.Pin(kind)
	if err != nil {
		return nsNow{}, err
	}
	defer file.Close()
	now := nsNow{inode: file.Inode()}
	if kind == nsinspect.Mnt {
		now.id = file.MntID()
		if owner, ok := p.mntOwners[now.id]; ok {
			now.owner = owner
			return now, nil
		}
	}
	owner, err := file.Owner()
	if err != nil {
		return now, nil
	}
	now.owner = owner.Inode()
	p.keep(owner)
	if now.id != 0 {
		p.mntOwners[now.id] = now.owner
	}
	return now, nil
}

// pin keeps the user namespace of a process that was just seen to be inode.
func (p *probe) pin(h *procscan.Held, inode nsinspect.Inode) (*pinned, error) {
	if pin := p.pins[inode]; pin != nil {
		return pin, nil
	}
	file, err := h.Pin(nsinspect.User)
	if err != nil {
		return nil, err
	}
	if file.Inode() != inode {
		file.Close()
		return nil, fmt.Errorf("%s: it changed its user namespace meanwhile", h.Name())
	}
	return p.keep(file), nil
}

// keep keeps a user namespace open, and so those above it, and enters them.
func (p *probe) keep(file *procscan.Pin) *pinned {
	if pin := p.pins[file.Inode()]; pin != nil {
		file.Close()
		return pin
	}
	if len(p.pins) >= maxKept {
		p.unpin()
	}
	p.enter(file.UserNS())
	pin := &pinned{Pin: file}
	p.pins[file.Inode()] = pin
	return pin
}

// enter enters user namespaces as they are seen now. Their maps stay as the snapshot has them, unless another namespace
// had the inode number then.
func (p *probe) enter(chain []procscan.UserNSOf) {
	for _, u := range chain {
		ns := p.host.UserNS[u.Inode]
		if ns == nil || !ns.Initial && (ns.Parent != u.Parent || ns.Owner != u.Owner) {
			ns = &access.UserNS{Inode: u.Inode, Parent: u.Parent, Owner: u.Owner}
			p.host.UserNS[u.Inode] = ns
		}
		if u.Parent == 0 && p.snap.Observer.InitialNS {
			ns.Initial, ns.UID, ns.GID = true, idmap.Identity(), idmap.Identity()
		}
	}
}

// learnMaps enters the maps of a process's user namespace. A map is written once: until both are, it is read again for
// every question.
func (p *probe) learnMaps(h *procscan.Held, inode nsinspect.Inode) error {
	pin, err := p.pin(h, inode)
	if err != nil {
		return err
	}
	ns := p.host.UserNS[inode]
	if pin.written || ns.Initial || inode == p.snap.Observer.UserNS {
		return nil
	}
	m, err := h.IDMaps()
	if err != nil {
		return err
	}
	if own := p.snap.Maps(p.snap.Observer.IDMaps); own != nil && !p.snap.Observer.InitialNS {
		m.UID, m.GID = m.UID.AsReadBy(own.UID), m.GID.AsReadBy(own.GID)
	}
	ns.UID, ns.GID = m.UID, m.GID
	pin.written = len(m.UID) > 0 && len(m.GID) > 0
	return nil
}

// sysctl is a number below /proc/sys/fs, -1 when it cannot be read.
func (p *probe) sysctl(name string) int {
	fd, open := p.sysctls[name]
	if !open {
		var err error
		if fd, err = unix.Open(p.proc+"/sys/fs/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			fd = -1
		}
		p.sysctls[name] = fd
	}
	var text [32]byte
	k, err := unix.Pread(fd, text[:], 0)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text[:k])))
	if err != nil {
		return -1
	}
	return n
}

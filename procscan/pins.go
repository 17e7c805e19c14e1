package procscan

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// bindDeadline is how long a path in a container may take to open: it can lead through a file system whose server does
// not answer.
const bindDeadline = 2 * time.Second

// maxStuck is how many processes' roots may cost that time: a hostile container could hang up any number of mounts.
const maxStuck = 3

// pinMounts adds the namespaces that bind-mounted namespace files hold. Where the kernel lets the observer walk all
// mount namespaces, it finds those of mount namespaces without a process too, and those that no process's root shows;
// else each that it can open is asked, and mountinfo has to do for the rest.
func (g *grapher) pinMounts(ctx context.Context) {
	g.walkMountNS(ctx)
	g.visitKnown(ctx)
	missing := slices.ContainsFunc(g.s.snap.Processes, func(p nsinspect.Process) bool {
		return !g.visited[p.Namespaces.Mnt] && p.State != "Z"
	})
	if !missing || ctx.Err() != nil {
		return
	}
	var tables *mountTables
	if len(g.visited) == 0 || g.s.opts.Facts&Mounts != 0 {
		tables = g.s.mountTables(ctx)
	} else {
		tables = newTableReader(g.s, g.visited).read(ctx)
	}
	for _, t := range tables.tables {
		if t.MntNS != 0 && g.visited[t.MntNS] {
			continue
		}
		for _, m := range t.Mounts {
			if m.FSType == "nsfs" {
				g.pinMount(m.Root, path.Join("/", t.Root, m.Point), t.MntNS, t.PID)
			}
		}
	}
}

// visitKnown asks all namespaces that have not been asked, and looks into the mount namespaces among them.
func (g *grapher) visitKnown(ctx context.Context) {
	g.ask(ctx)
	if ctx.Err() != nil {
		return
	}
	for _, n := range g.sorted() {
		if n.ns.Type != nsinspect.Mnt || n.ns.MntID == 0 || g.visited[n.ns.Inode] || ctx.Err() != nil {
			continue
		}
		if err := g.visitMountNS(n.ns.Inode, n.ns.MntID); err != nil {
			continue // mountinfo has to do; walkGap says what neither tells
		}
	}
}

// walkMountNS visits every mount namespace of the host, from the observer's own up and down. That takes CAP_SYS_ADMIN in
// the initial user namespace.
func (g *grapher) walkMountNS(ctx context.Context) {
	err := error(unix.ENOTTY)
	if g.s.lacks&(featMntWalk|featStatmount) == 0 {
		err = g.walkBothWays(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if o := &g.s.snap.Observer; err == nil && (!o.InitialNS || o.Caps&(1<<unix.CAP_SYS_ADMIN) == 0) {
		err = unix.EPERM // before Linux 6.18 the walk just passes over what the observer may not see
	}
	if err != nil {
		g.walkGap(err)
	}
}

func (g *grapher) walkBothWays(ctx context.Context) error {
	own, err := openNS("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	defer own.close()
	id, err := own.mntID()
	if err == nil {
		err = g.visitMountNS(own.inode, id)
	}
	for _, step := range []func(*nsFile) (*nsFile, uint64, error){(*nsFile).nextMnt, (*nsFile).prevMnt} {
		if err == nil {
			err = g.walkFrom(ctx, own, step)
		}
	}
	return err
}

// mountReaders is how many mount namespaces are read at a time. More fight for the kernel's lock of all mounts.
const mountReaders = 2

// mountVisit is a mount namespace whose namespace files are looked for.
type mountVisit struct {
	ns     *nsFile // keeps it until it was read
	id     uint64  // for statmount(2)
	mounts []mountStat
	err    error
}

// walkFrom visits the mount namespaces on one side of from.
func (g *grapher) walkFrom(ctx context.Context, from *nsFile, step func(*nsFile) (*nsFile, uint64, error)) error {
	var (
		visits  []*mountVisit
		readers sync.WaitGroup
		todo    = make(chan *mountVisit, mountReaders)
	)
	for range mountReaders {
		readers.Go(func() {
			var buf []byte
			for v := range todo {
				v.mounts, v.err = g.s.nsfsMounts(v.id, &buf)
				v.ns.close()
			}
		})
	}
	walked := g.walkSide(ctx, from, step, func(v *mountVisit) {
		visits = append(visits, v)
		if g.withoutFiles(v.ns.inode, v.id) {
			v.ns.close()
			return
		}
		todo <- v
	})
	close(todo)
	readers.Wait()
	for _, v := range visits {
		if err := g.visitedMounts(v.ns.inode, v.mounts, v.err); err != nil {
			return err
		}
	}
	return walked
}

// walkSide hands over every mount namespace on one side of from as soon as the walk no longer needs it.
func (g *grapher) walkSide(ctx context.Context, from *nsFile, step func(*nsFile) (*nsFile, uint64, error), visit func(*mountVisit)) error {
	at := &mountVisit{ns: from}
	for ctx.Err() == nil {
		next, id, err := step(at.ns)
		if at.ns != from {
			visit(at)
		}
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		if n := g.node(nsinspect.Mnt, next.inode); !n.asked {
			g.questions(n, next)
		}
		at = &mountVisit{ns: next, id: id}
	}
	if at.ns != from {
		at.ns.close()
	}
	return nil
}

// visitMountNS looks for namespace files among the mounts of the mount namespace with that id for statmount(2).
func (g *grapher) visitMountNS(inode nsinspect.Inode, id uint64) error {
	if g.withoutFiles(inode, id) {
		return g.visitedMounts(inode, nil, nil)
	}
	var buf []byte
	mounts, err := g.s.nsfsMounts(id, &buf)
	return g.visitedMounts(inode, mounts, err)
}

// visitedMounts takes the mounts of namespace files that a mount namespace has, or why they could not be read.
func (g *grapher) visitedMounts(inode nsinspect.Inode, mounts []mountStat, err error) error {
	if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: it has no mounts, or no longer
		return err
	}
	g.visited[inode] = true
	for _, m := range mounts {
		g.pinMount(m.root, m.point, inode, 0)
	}
	return nil
}

// walkGap says that mount namespaces without a process were not searched.
func (g *grapher) walkGap(err error) {
	gap := nsinspect.Gap{Subject: "mount namespaces without a process", Fact: "pins", Error: err.Error()}
	switch {
	case errors.Is(err, unix.EPERM):
		gap.Hint = hintRoot
		if !g.s.snap.Observer.InitialNS {
			gap.Hint = hintInitialNS
		}
	case errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.E2BIG) || errors.Is(err, unix.EINVAL):
		gap.Error = "this kernel does not list them"
		gap.Hint = "Linux 6.12 or later lists them (NS_MNT_GET_NEXT)"
	}
	g.s.gap(gap)
}

// pinMount adds a namespace that is bind-mounted at point. root is the root of the mount, TYPE:[INODE]; pid is a process
// that has it in its root, 0 when that is not known.
func (g *grapher) pinMount(root, point string, mnt nsinspect.Inode, pid int) {
	t, inode, ok := parseNSLink(root)
	if !ok {
		return
	}
	n := g.node(t, inode)
	n.pin(nsinspect.Pin{Kind: nsinspect.PinBindMount, Path: point, MntNS: mnt})
	if n.asked || point == "" {
		return
	}
	if pid == 0 {
		pid = g.rootProcess(mnt)
	}
	if pid != 0 {
		n.place(nsPlace{pid: pid, path: point})
	}
}

// rootProcess is a process through whose root the files of a mount namespace can be opened, 0 when there is none.
func (g *grapher) rootProcess(mnt nsinspect.Inode) int {
	if n := g.nodes[nodeKey{nsinspect.Mnt, mnt}]; n != nil && n.leader != nil {
		return n.leader.PID
	}
	return 0
}

// openPath opens a namespace file at a path that a container made.
func (g *grapher) openPath(ctx context.Context, p nsPlace) (*nsFile, error) {
	if g.stuck[p.pid] || len(g.stuck) >= maxStuck {
		return nil, fmt.Errorf("open %s in the root of pid %d: not tried, other paths gave no answer", p.path, p.pid)
	}
	type result struct {
		f   *nsFile
		err error
	}
	done := make(chan result, 1)
	go func() {
		f, err := g.openBelowRoot(p)
		done <- result{f, err}
	}()
	timer := time.NewTimer(bindDeadline)
	defer timer.Stop()
	var err error
	select {
	case r := <-done:
		return r.f, r.err
	case <-timer.C:
		g.stuck[p.pid] = true
		err = fmt.Errorf("open %s in the root of pid %d: no answer in %v", p.path, p.pid, bindDeadline)
	case <-ctx.Done():
		err = ctx.Err()
	}
	go func() { // whenever it comes back
		if r := <-done; r.f != nil {
			r.f.close()
		}
	}()
	return nil, err
}

func (g *grapher) openBelowRoot(p nsPlace) (*nsFile, error) {
	root, err := g.s.openProc(p.pid, "root", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fd, err := unix.Openat2(int(root.Fd()), p.path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s in the root of pid %d: %w", p.path, p.pid, err)
	}
	return reopenNS(fd)
}

// openFree opens a namespace at a place where the process may meanwhile have put something else.
func (g *grapher) openFree(name string) (*nsFile, error) {
	fd, err := retry(func() (int, error) { return unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return reopenNS(fd)
}

// reopenNS makes of an O_PATH descriptor, which no ioctl takes, one for ioctls, when it is a namespace: to open
// something else could have consequences (devices, FIFOs). It takes over fd.
func reopenNS(fd int) (*nsFile, error) {
	defer unix.Close(fd)
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return nil, fmt.Errorf("statfs: %w", err)
	}
	if st.Type != unix.NSFS_MAGIC {
		return nil, errMoved
	}
	return openNS(fmt.Sprintf("/proc/self/fd/%d", fd))
}

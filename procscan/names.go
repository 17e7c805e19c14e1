package procscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

const (
	// maxNames bounds a passwd or group file. 4 MiB hold some 60,000 users; who has more keeps them in LDAP.
	maxNames = 4 << 20

	// nameDeadline is how long one root, or the name service, may take.
	nameDeadline = time.Second

	// nameReaders is how many roots are read at a time, so that several dead ones cost little more than one.
	nameReaders = 8
)

// readNames fills Snapshot.Names: the host's users and groups, and those of every root that a process has.
func (s *scanner) readNames(ctx context.Context) {
	roots, of, refused := s.nameRoots()
	tables := make([]*nsinspect.NameTable, len(roots))

	var (
		wg   sync.WaitGroup
		next atomic.Int64
	)
	for range min(nameReaders, len(roots)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(roots); i = int(next.Add(1)) - 1 {
				tables[i] = s.readRootNames(ctx, &roots[i], of)
			}
		})
	}
	host := s.hostNameTable() // meanwhile: the name service takes its time
	wg.Wait()
	s.snap.Names = []nsinspect.NameTable{host}
	s.snap.Observer.Names = 0
	for i, t := range tables {
		if roots[i].table = -1; t != nil {
			roots[i].table = len(s.snap.Names)
			s.snap.Names = append(s.snap.Names, *t)
		}
	}
	for i, n := range of {
		if n >= 0 {
			s.snap.Processes[i].Names = roots[n].table
		}
	}
	s.gapRefusedNames(refused)
}

// nameRoot is the processes that share a root directory.
type nameRoot struct {
	mnt   nsinspect.Inode
	root  string
	first int // index in Snapshot.Processes
	table int // index in Snapshot.Names, -1 when its names are unknown
}

// nameRoots sorts the processes by root directory: of has an index in roots for each, -1 for those with the host's, which
// have its names, and for those that are refused: the observer may not know their root.
func (s *scanner) nameRoots() (roots []nameRoot, of []int32, refused []int) {
	of = make([]int32, len(s.snap.Processes))
	type key struct {
		mnt  nsinspect.Inode
		root string
	}
	o := &s.snap.Observer
	at := map[key]int{}
	for i := range s.snap.Processes {
		p := &s.snap.Processes[i]
		p.Names, of[i] = -1, -1
		k := key{p.Namespaces.Mnt, p.Root}
		if k.mnt == 0 || k.root == "" {
			if p.MountTable < 0 || p.MountTable >= len(s.snap.MountTables) {
				refused = append(refused, i)
				continue
			}
			// The mounts that it sees tell as much, where they are known.
			t := &s.snap.MountTables[p.MountTable]
			k = key{t.MntNS, t.Root}
			if k.mnt == 0 || k.root == "" {
				refused = append(refused, i)
				continue
			}
		}
		if s.opts.HostRoot == "/" && k.mnt == o.MntNS && k.root == o.Root {
			p.Names = 0
			continue
		}
		n, ok := at[k]
		if !ok {
			n = len(roots)
			at[k] = n
			roots = append(roots, nameRoot{mnt: k.mnt, root: k.root, first: i})
		}
		of[i] = int32(n)
	}
	return roots, of, refused
}

// readRootNames reads the names of one root through the first of its processes that still has it. It is nil, with a gap
// unless all the processes are gone, when the root cannot be read.
func (s *scanner) readRootNames(ctx context.Context, r *nameRoot, of []int32) *nsinspect.NameTable {
	for i := r.first; i < len(of); i++ {
		if of[i] != of[r.first] {
			continue
		}
		p := &s.snap.Processes[i]
		path := s.procPath(p.PID, "root")
		names, err := InTime(ctx, nameDeadline, func() (rootNames, error) { return s.names.below(path) })
		if ctx.Err() != nil {
			return nil
		}
		if rootGone(err) {
			continue
		}
		if err != nil {
			names.errs = append(names.errs, nameError{"names", err})
		}
		for _, e := range names.errs {
			s.gap(nsinspect.Gap{
				Subject: fmt.Sprintf("pid %d", p.PID), PID: p.PID, Fact: e.fact, Error: errText(e.err), Hint: hintFor(e.err),
			})
		}
		if err != nil {
			return nil
		}
		return &nsinspect.NameTable{MntNS: r.mnt, Root: r.root, Users: names.users, Groups: names.groups}
	}
	return nil
}

// rootNames is what the passwd and group files below one directory say. A file that does not exist names nobody, which
// is no error: an image may have none.
type rootNames struct {
	users, groups map[idmap.Inside]string
	errs          []nameError
}

type nameError struct {
	fact string
	err  error
}

// nameFiles reads passwd and group files, each once: containers of one image often share theirs.
type nameFiles struct {
	facts Fact // which files

	mu     sync.Mutex
	byFile map[fileVersion]map[idmap.Inside]string
}

// fileVersion is a file as it was at one time: what has the same has the same content.
type fileVersion struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

func newNameFiles(facts Fact) *nameFiles {
	return &nameFiles{facts: facts, byFile: map[fileVersion]map[idmap.Inside]string{}}
}

// below reads what the files below one directory say.
func (n *nameFiles) below(dir string) (rootNames, error) {
	names := rootNames{users: map[idmap.Inside]string{}, groups: map[idmap.Inside]string{}}
	root, err := OpenRoot(dir)
	if err != nil {
		return names, err
	}
	defer root.Close()
	for _, file := range []struct {
		name string
		fact Fact
		into *map[idmap.Inside]string
	}{{"passwd", UserNames | CreatorNames, &names.users}, {"group", GroupNames, &names.groups}} {
		if n.facts&file.fact == 0 {
			continue
		}
		found, err := n.file(root, "/etc/"+file.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			names.errs = append(names.errs, nameError{file.name, err})
		default:
			*file.into = found
		}
	}
	return names, nil
}

// file is what one file says. The map may be another root's too: it is read, never changed.
func (n *nameFiles) file(root *Root, path string) (map[idmap.Inside]string, error) {
	fd, err := root.OpenPath(path, 0, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: root.name + path, Err: err}
	}
	version := fileVersion{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
	n.mu.Lock()
	known, ok := n.byFile[version]
	n.mu.Unlock()
	if ok {
		return known, nil
	}
	content, err := root.ReadFileAt(fd, path, maxNames)
	if err != nil {
		return nil, err
	}
	names := ParseNames(content)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byFile[version] = names
	return names, nil
}

// rootGone reports whether an error of opening /proc/PID/root means that the process ended (ENOENT also stands for a kernel
// thread and a zombie, which have no root).
func rootGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// gapRefusedNames is one gap for all the processes whose root is out of reach: there may be thousands.
func (s *scanner) gapRefusedNames(refused []int) {
	count, first := 0, 0
	var failed error
	for _, i := range refused {
		p := &s.snap.Processes[i]
		if p.Kthread || p.State == "Z" || p.State == "X" {
			continue // no root, so no names of its own
		}
		if failed == nil {
			_, err := s.readlinkProc(p.PID, "root")
			if err == nil || rootGone(err) {
				continue
			}
			failed, first = err, p.PID
		}
		count++
	}
	if failed == nil {
		return
	}
	subject := fmt.Sprintf("pid %d", first)
	if count > 1 {
		subject = fmt.Sprintf("pid %d and %d more", first, count-1)
	}
	s.gap(nsinspect.Gap{Subject: subject, PID: first, Fact: "names", Error: errText(failed), Hint: hintFor(failed)})
}

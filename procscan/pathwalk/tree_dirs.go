package pathwalk

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxOpenDirs is how many directories of a tree are open at once, of the 1024 or fewer that a process may have. Those
// farthest from where the walk is are closed first, and opened again when the walk comes back.
const maxOpenDirs = 64

// reopenedDirs is how many of the directories above are opened too when one is opened again: the walk comes to them next.
const reopenedDirs = 16

// treeDir is a directory of the tree on the way to where the walk is. The fields from fd on belong to tree.mu.
type treeDir struct {
	parent *treeDir // nil for the top
	name   string
	region *Region
	bounds *boundary // nil: nothing is mounted below
	id     fileID
	depth  int

	fd     int   // -1: not open
	pins   int   // workers that use fd
	refs   int   // tasks and workers that need it yet
	again  bool  // fd does not stand where the last read ended
	offset int64 // where that was; the reader's, of whom there is one at a time
}

// appendRel appends the path from the top, "" for the top itself.
func (d *treeDir) appendRel(dst []byte) []byte {
	if d.parent == nil {
		return dst
	}
	length := 0
	for a := d; a.parent != nil; a = a.parent {
		length += 1 + len(a.name)
	}
	start := len(dst)
	dst = append(dst, make([]byte, length)...)
	at := start + length
	for a := d; a.parent != nil; a = a.parent {
		at -= len(a.name)
		copy(dst[at:], a.name)
		at--
		dst[at] = '/'
	}
	return dst
}

func (d *treeDir) rel() string { return string(d.appendRel(nil)) }

// boundary is a trie of the paths at which the view of somebody changes.
type boundary struct {
	here     bool
	except   bool // nobody asks for what is here and below
	children map[string]*boundary
}

func (b *boundary) add(rel string) *boundary {
	for name := range strings.SplitSeq(strings.Trim(rel, "/"), "/") {
		next := b.children[name]
		if next == nil {
			next = &boundary{}
			if b.children == nil {
				b.children = map[string]*boundary{}
			}
			b.children[name] = next
		}
		b = next
	}
	b.here = true
	return b
}

func (b *boundary) child(name string) *boundary {
	if b == nil {
		return nil
	}
	return b.children[name]
}

// isTop reports whether a region begins at that name.
func (b *boundary) isTop(name []byte) bool {
	if b == nil {
		return false
	}
	next := b.children[string(name)]
	return next != nil && next.here
}

// openDir opens a directory to be listed. A final symbolic link is an error (ENOTDIR).
func openDir(dir int, name string) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// publish gives a directory its descriptor, and closes others when there are too many.
func (t *tree) publish(d *treeDir, fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.fd >= 0 {
		_ = unix.Close(fd) // the other worker was faster
		return
	}
	d.fd = fd
	t.open = append(t.open, d)
	for i := 1; len(t.open) > maxOpenDirs && i < len(t.open); {
		o := t.open[i]
		if o.pins > 0 || o == d || t.silent[o.region.mount] {
			i++
			continue
		}
		t.forget(i)
		o.again = true
	}
}

// forget closes the directory with that index in open. mu is held.
func (t *tree) forget(i int) {
	d := t.open[i]
	_ = unix.Close(d.fd)
	d.fd = -1
	t.open = append(t.open[:i], t.open[i+1:]...)
}

// pin has a directory open until it is released.
func (t *tree) pin(d *treeDir) error {
	t.mu.Lock()
	d.pins++
	is := d.fd >= 0
	t.mu.Unlock()
	if is {
		return nil
	}
	err := t.reopen(d)
	if err != nil {
		t.mu.Lock()
		d.pins--
		t.mu.Unlock()
	}
	return err
}

// unpin is the end of one use, and with drop of one task.
func (t *tree) unpin(d *treeDir, drop bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.pins--
	if drop {
		t.drop(d)
	}
}

// drop is the end of one task of a directory. mu is held.
func (t *tree) drop(d *treeDir) {
	if d.refs--; d.refs > 0 || d.fd < 0 || d.pins > 0 {
		return
	}
	for i := len(t.open) - 1; i >= 0; i-- {
		if t.open[i] == d {
			t.forget(i)
			return
		}
	}
}

// errMoved says that a directory was renamed while it was walked.
var errMoved = errors.New("moved while it was read")

// reopen opens a directory again, from the nearest one above that is open: names in one go as far as a path may be long,
// then one by one, and these stay open. Each must be the directory that it was.
func (t *tree) reopen(d *treeDir) error {
	t.mu.Lock()
	above := d
	for above.fd < 0 {
		above = above.parent // the top stays open
	}
	above.pins++
	t.mu.Unlock()
	defer t.unpin(above, false)

	way := make([]*treeDir, 0, d.depth-above.depth)
	for a := d; a != above; a = a.parent {
		way = append(way, a)
	}
	at, far := above.fd, -1
	defer func() {
		if far >= 0 {
			_ = unix.Close(far)
		}
	}()
	for len(way) > reopenedDirs {
		var names strings.Builder
		for len(way) > reopenedDirs && (names.Len() == 0 || names.Len()+1+len(way[len(way)-1].name) < unix.PathMax) {
			if names.Len() > 0 {
				names.WriteByte('/')
			}
			names.WriteString(way[len(way)-1].name)
			way = way[:len(way)-1]
		}
		fd, err := unix.Openat2(at, names.String(), &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
		})
		if err != nil {
			return err
		}
		if far >= 0 {
			_ = unix.Close(far)
		}
		at, far = fd, fd
	}
	for i := len(way) - 1; i >= 0; i-- {
		a := way[i]
		fd, err := openDir(at, a.name)
		if err != nil {
			return err
		}
		if id, err := idOfFD(fd); err != nil || id != a.id {
			_ = unix.Close(fd)
			return errMoved
		}
		// The next is opened from here, whoever closes what was published.
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		if far >= 0 {
			_ = unix.Close(far)
		}
		at, far = own, own
		t.publish(a, fd)
	}
	return nil
}

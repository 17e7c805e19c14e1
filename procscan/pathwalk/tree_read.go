package pathwalk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

const (
	// direntBuffer is how much of a directory is read at once, as libc does.
	direntBuffer = 32 << 10

	// maxWaiting is how many entries of a directory wait to be walked before it is read on.
	maxWaiting = 256
)

// treeWorker walks one directory at a time.
//
// beat is odd while the worker is in system calls on the tree, and grows with each of them. Whoever watches it may take
// a worker that hangs out of the walk by setting it to abandoned: when the system call comes back after all, the worker
// sees that and ends without touching anything.
type treeWorker struct {
	t      *tree
	number int
	beat   atomic.Uint64
	at     uint64 // beat as the worker left it

	task     task // tree.mu's
	lastBeat uint64
	lastSeen time.Time

	buf     []byte
	entries []Entry
	waiting []task // of the directory that is read
	stx     unix.Statx_t
}

const abandoned = ^uint64(0) - 1

// enter begins a run of system calls, step is between them and leave ends it. False: the worker was abandoned.
func (k *treeWorker) enter() bool { return k.move(1) }
func (k *treeWorker) step() bool  { return k.move(2) }
func (k *treeWorker) leave() bool { return k.move(1) }

func (k *treeWorker) move(n uint64) bool {
	if !k.beat.CompareAndSwap(k.at, k.at+n) {
		return false
	}
	k.at += n
	return true
}

func (k *treeWorker) run() {
	for k.t.next(k) {
		procscan.Rest()
		if !k.do(k.task) {
			return
		}
		k.t.done()
	}
}

// do is one task. False: the worker was abandoned, and its task is no longer its own.
func (k *treeWorker) do(t task) bool {
	k.enter()
	err := k.t.pin(t.dir)
	if !k.leave() {
		return false
	}
	switch {
	case err != nil:
		k.failed(t.dir, t.name, err)
		k.t.mu.Lock()
		k.t.drop(t.dir)
		k.t.mu.Unlock()
		return true
	case t.name == "":
		return k.read(t.dir)
	case t.top:
		return k.top(t)
	}
	k.enter()
	fd, err := openDir(t.dir.fd, t.name)
	if !k.leave() {
		return false
	}
	k.t.unpin(t.dir, true)
	if err != nil {
		k.failed(t.dir, t.name, err)
		return true
	}
	return k.readNew(&treeDir{
		parent: t.dir, name: t.name, region: t.dir.region, bounds: t.dir.bounds.child(t.name), id: t.id, depth: t.dir.depth + 1, fd: -1,
	}, fd)
}

// failed notes what could not be read. What is not there any more, or is another file by now, vanished.
func (k *treeWorker) failed(dir *treeDir, name string, err error) {
	if absent(err) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ESTALE) {
		return
	}
	rel := dir.rel()
	if name != "" {
		rel += "/" + name
	}
	k.t.gap(rel, "entries", err)
}

// top looks at an entry with which a region begins, and reads it when it is a directory.
func (k *treeWorker) top(t task) bool {
	bounds := t.dir.bounds.child(t.name)
	if bounds == nil {
		bounds = &boundary{}
	}
	if bounds.except || k.t.ask.OneFS && k.t.elsewhere(t.dir, t.name) {
		k.t.unpin(t.dir, true)
		return true
	}
	k.enter()
	fd, st, err := lookUp(t.dir.fd, t.name)
	if !k.leave() {
		return false
	}
	defer func() { k.t.unpin(t.dir, true) }()
	if err != nil {
		k.failed(t.dir, t.name, err)
		return true
	}
	defer func() { _ = unix.Close(fd) }()
	if k.t.ask.OneFS && (st.major != k.t.major || st.minor != k.t.minor) {
		return true
	}
	region := k.t.region(st, t.dir.rel()+"/"+t.name, bounds)
	k.entries = append(k.entries[:0], entryOf(t.name, st))
	k.t.ask.Each(k.number, &Batch{Region: region, Entries: k.entries, dir: t.dir})
	if !st.isDir() {
		return true
	}
	k.enter()
	list, err := openDir(fd, ".")
	if !k.leave() {
		return false
	}
	if err != nil {
		k.failed(t.dir, t.name, err)
		return true
	}
	d := &treeDir{
		parent: t.dir, name: t.name, region: region, bounds: bounds, id: fileID{st.major, st.minor, st.inode}, depth: t.dir.depth + 1, fd: -1,
	}
	k.t.publish(d, list)
	k.t.push(d, nil, true)
	return true
}

// elsewhere reports whether the mounts say that an entry is on another file system, which then need not be asked.
func (t *tree) elsewhere(dir *treeDir, name string) bool {
	resolved := dir.region.Facts.Resolved
	if resolved == "" || t.dev == "" {
		return false
	}
	rel := (dir.rel() + "/" + name)[len(dir.region.Rel):]
	on := t.w.atlas.At(t.table, below(resolved, rel))
	return on != nil && on.Dev != t.dev
}

// readNew reads a directory that was just opened.
func (k *treeWorker) readNew(d *treeDir, fd int) bool {
	d.refs, d.pins = 1, 1
	k.t.publish(d, fd)
	return k.read(d)
}

// read reads a directory that the worker has pinned. When there is more to read than fits, that is a task for whoever
// comes first, so that two workers can share a large directory.
func (k *treeWorker) read(d *treeDir) bool {
	k.waiting = k.waiting[:0]
	passed := false
	for !passed && !k.t.stopped.Load() {
		k.enter()
		var err error
		if d.again {
			d.again = false
			_, err = unix.Seek(d.fd, d.offset, unix.SEEK_SET)
		}
		n := 0
		if err == nil {
			n, err = unix.Getdents(d.fd, k.buf)
		}
		if err != nil || n == 0 {
			if !k.leave() {
				return false
			}
			if err != nil {
				k.failed(d, "", err)
			}
			break
		}
		d.region.answered.Store(true)
		d.offset = lastOffset(k.buf[:n])
		if n > len(k.buf)/2 {
			passed = true
			k.t.push(d, nil, true)
		}
		if !k.stat(d, k.buf[:n]) || !k.leave() {
			return false
		}
		if len(k.entries) > 0 {
			k.t.ask.Each(k.number, &Batch{Region: d.region, Entries: k.entries, dir: d})
		}
		if !passed && len(k.waiting) > maxWaiting {
			passed = true
			k.t.push(d, nil, true)
		}
	}
	if len(k.waiting) > 0 {
		k.t.push(d, k.waiting, false)
	}
	k.t.unpin(d, true)
	return true
}

// The record of getdents64(2): u64 inode, s64 offset of the next, u16 length, u8 type, the name and a NUL.
const (
	direntOffset = 8
	direntLength = 16
	direntName   = 19
)

func lastOffset(records []byte) int64 {
	var offset uint64
	for len(records) > direntName {
		offset = binary.NativeEndian.Uint64(records[direntOffset:])
		records = records[binary.NativeEndian.Uint16(records[direntLength:]):]
	}
	return int64(offset)
}

// statxMask is what is asked of every file.
const statxMask = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_UID | unix.STATX_GID | unix.STATX_INO | unix.STATX_NLINK | unix.STATX_SIZE |
	unix.STATX_MTIME | unix.STATX_MNT_ID

// stat looks at every entry: into entries goes what the region has, into waiting what is to be walked.
func (k *treeWorker) stat(d *treeDir, records []byte) bool {
	k.entries = k.entries[:0]
	for len(records) > direntName {
		length := binary.NativeEndian.Uint16(records[direntLength:])
		record := records[direntName:length]
		records = records[length:]
		name := record[:bytes.IndexByte(record, 0)]
		if name[0] == '.' && (len(name) == 1 || len(name) == 2 && name[1] == '.') {
			continue
		}
		if k.t.stopped.Load() {
			return true
		}
		if d.bounds.isTop(name) {
			k.waiting = append(k.waiting, task{dir: d, name: string(name), top: true})
			continue
		}
		// The name is NUL-terminated where it stands.
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(d.fd), uintptr(unsafe.Pointer(&record[0])),
			unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, statxMask, uintptr(unsafe.Pointer(&k.stx)), 0)
		if !k.step() {
			return false
		}
		if errno != 0 {
			k.failed(d, string(name), errno)
			continue
		}
		x := &k.stx
		if x.Mask&unix.STATX_MNT_ID != 0 && int(x.Mnt_id) != d.region.mount {
			k.waiting = append(k.waiting, task{dir: d, name: string(name), top: true}) // mounted since
			continue
		}
		mode := uint32(x.Mode)
		if mode&unix.S_IFMT == unix.S_IFDIR {
			if k.t.ask.OneFS && (x.Dev_major != k.t.major || x.Dev_minor != k.t.minor) {
				continue
			}
			k.waiting = append(k.waiting, task{dir: d, name: string(name), id: fileID{x.Dev_major, x.Dev_minor, x.Ino}})
		}
		k.entries = append(k.entries, Entry{
			Name: name, Mode: mode, UID: x.Uid, GID: x.Gid, Major: x.Dev_major, Minor: x.Dev_minor, Inode: x.Ino, Nlink: x.Nlink,
			Size: x.Size, Modified: x.Mtime,
		})
	}
	return true
}

func entryOf(name string, st *stat) Entry {
	return Entry{
		Name: []byte(name), Mode: st.mode, UID: st.uid, GID: st.gid, Major: st.major, Minor: st.minor, Inode: st.inode, Nlink: uint32(st.nlink),
		Size: st.size, Modified: st.mtime,
	}
}

func idOf(e *Entry) fileID { return fileID{e.Major, e.Minor, e.Inode} }

func idOfFD(fd int) (fileID, error) {
	st, err := statFD(fd, "")
	if err != nil {
		return fileID{}, err
	}
	return fileID{st.major, st.minor, st.inode}, nil
}

// lookUp opens an entry for looking at only.
func lookUp(dir int, name string) (int, *stat, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	st, err := statFD(fd, name)
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, err
	}
	return fd, st, nil
}

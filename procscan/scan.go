package procscan

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/taskiter"
	"golang.org/x/sys/unix"
)

// Scan takes a snapshot of the host. It fails only when procfs itself cannot be read; everything else is a Gap. When ctx
// ends, its error comes with what was read until then, and with a gap that says so.
func Scan(ctx context.Context, o Options) (*nsinspect.Snapshot, error) {
	s, err := newScanner(o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.host = s.beginHostNames(ctx)
	defer s.host.close()
	if err := s.readProcesses(ctx); err != nil {
		return s.interrupted(ctx), err
	}
	switch {
	case o.Facts&(Graph|FDPins) != 0:
		s.readGraph(ctx)
	case o.Facts&Relations != 0:
		s.readRelations(ctx)
	}
	if o.Facts&Mounts != 0 && ctx.Err() == nil {
		s.readMounts(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case o.Facts&Names != 0:
		s.readNames(ctx)
	case o.Facts&CreatorNames != 0:
		s.snap.Names = []nsinspect.NameTable{s.hostNameTable()}
		s.snap.Observer.Names = 0
	}
	if err := ctx.Err(); err != nil {
		return s.interrupted(ctx), err
	}
	return s.snap, nil
}

// interrupted is what there is when ctx has ended, nil when it has not.
func (s *scanner) interrupted(ctx context.Context) *nsinspect.Snapshot {
	if ctx.Err() == nil {
		return nil
	}
	s.snap.Partial = true
	if s.snap.Namespaces == nil && s.opts.Facts&(Graph|FDPins|Relations) != 0 {
		s.snap.Namespaces = newGrapher(s).list() // those that processes are in
	}
	s.gap(nsinspect.Gap{Subject: "the host", Fact: "processes", Error: fmt.Sprintf("interrupted: %d were read, and not everything about them", len(s.snap.Processes))})
	return s.snap
}

// scanner is one run of Scan.
type scanner struct {
	opts Options // with the defaults filled in

	// procFD is the directory opts.Proc. Every path below it goes through openProc, readlinkProc or procPath.
	procFD int

	snap *nsinspect.Snapshot

	tables *mountTables // what mountTables read
	lacks  features     // what a test says this kernel does not have

	// samePIDs says that the procfs numbers processes as system calls of the observer do (kill, pidfd_open).
	samePIDs bool

	maps      *mapTable
	relations relations       // of namespaces, that were told with processes
	mounted   taskiter.Mounts // where namespace files are mounted, told with them
	followers *followers
	names     *nameFiles
	host      *hostNames
	ids       idJudge

	mu sync.Mutex // guards snap.Gaps
}

func newScanner(o Options) (*scanner, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.HostRoot == "" {
		o.HostRoot = "/"
	}
	fd, err := unix.Open(o.Proc, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Proc, err)
	}
	return &scanner{
		opts:   o,
		procFD: fd,
		snap: &nsinspect.Snapshot{
			Schema: nsinspect.Schema, Kind: "Snapshot", Time: time.Now(),
			Observer: nsinspect.Observer{IDMaps: -1, MountTable: -1, Names: -1},
			Gaps:     []nsinspect.Gap{},
		},
		maps: newMapTable(), relations: relations{}, followers: newFollowers(), names: newNameFiles(o.Facts), host: &hostNames{},
	}, nil
}

func (s *scanner) close() { _ = unix.Close(s.procFD) }

// readProcesses fills in Snapshot.Observer, Processes and IDMaps.
func (s *scanner) readProcesses(ctx context.Context) error {
	w := s.newWorker()
	s.readObserver(w)
	rows, err := s.readRows(ctx, w)
	if err != nil {
		return err
	}
	s.snap.Processes = rows
	s.findProcPIDNS(w)
	s.snap.IDMaps, s.snap.Observer.IDMaps = s.maps.inOrder(rows)
	s.hiddenGap()
	slices.SortStableFunc(s.snap.Gaps, func(a, b nsinspect.Gap) int { return cmp.Compare(a.PID, b.PID) })
	return ctx.Err()
}

func (s *scanner) isProcfs() bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(s.procFD, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC
}

// procPath is the path of a file of a process (pid > 0) or of procfs itself (pid 0), for messages and for system calls
// that take no directory.
func (s *scanner) procPath(pid int, name string) string {
	return s.opts.Proc + "/" + procName(pid, name)
}

// procName is the same path relative to procFD.
func procName(pid int, name string) string {
	if pid == 0 {
		return name
	}
	return strconv.Itoa(pid) + "/" + name
}

// openProc opens a file of a process (pid > 0) or of procfs itself (pid 0). A magic link (ns/user, root) is followed
// unless flags have O_NOFOLLOW. Errors are *os.PathError with the whole path.
func (s *scanner) openProc(pid int, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(s.procFD, procName(pid, name), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: s.procPath(pid, name), Err: err}
	}
	return os.NewFile(uintptr(fd), s.procPath(pid, name)), nil
}

// readlinkProc reads a symbolic link of a process (pid > 0) or of procfs itself (pid 0).
func (s *scanner) readlinkProc(pid int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(s.procFD, procName(pid, name), buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: s.procPath(pid, name), Err: err}
	}
	return string(buf[:n]), nil
}

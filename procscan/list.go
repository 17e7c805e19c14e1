package procscan

import (
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// pids is what is to be read, in order.
func (s *scanner) pids() ([]int, error) {
	if s.opts.PIDs != nil {
		pids := slices.Clone(s.opts.PIDs)
		slices.Sort(pids)
		return slices.Compact(pids), nil
	}
	// Not procFD: it has one position for all.
	fd, err := unix.Openat(s.procFD, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: s.opts.Proc, Err: err}
	}
	defer unix.Close(fd)
	pids, err := numericNames(fd, s.roomForAll())
	if err != nil {
		return nil, &os.PathError{Op: "readdirent", Path: s.opts.Proc, Err: err}
	}
	return pids, nil
}

// links are those of the directory of procfs. The kernel counts each process of the host as one, whatever PID namespace the
// procfs shows (proc_root_getattr() in fs/proc/root.c).
func (s *scanner) links() int {
	var st unix.Stat_t
	if unix.Fstat(s.procFD, &st) != nil {
		return 0
	}
	return int(st.Nlink)
}

// roomForAll is room for all processes that there are and soon may be.
func (s *scanner) roomForAll() int {
	const more = 64 // what may start meanwhile
	return s.links() + more
}

// count is how many processes there are on the host, without those that start later than at, in nanoseconds after boot. It
// is -1 when that cannot be told.
func (s *scanner) count() (n int, at uint64) {
	f, err := s.openProc(0, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return -1, 0
	}
	defer f.Close()
	others, ok := directoriesBeforeProcesses(f)
	var now unix.Timespec // before they are counted: one that starts meanwhile makes it one too many, never too few
	if !ok || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return -1, 0
	}
	const own = 2 // links that every directory has
	return s.links() - own - others, uint64(now.Nano())
}

// directoriesBeforeProcesses is how many directories procfs lists before the first process. Each has a link as well.
func directoriesBeforeProcesses(proc *os.File) (n int, ok bool) {
	const few = 64
	for {
		entries, err := proc.ReadDir(few)
		if err != nil {
			return 0, false
		}
		for _, e := range entries {
			if _, err := strconv.ParseUint(e.Name(), 10, 31); err == nil {
				return n, true
			}
			if e.IsDir() {
				n++
			}
		}
	}
}

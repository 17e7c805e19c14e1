package procscan

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// listing is which processes are to be read. It is made while the caller does something else, see list.
type listing struct {
	pids []int
	err  error

	many chan struct{} // closed when there are iterFrom of them
	done chan struct{} // closed when pids and err are set
}

// list begins to list the processes. It is over before the scanner is closed only for who waits. Few are listed at once:
// a thread takes longer to start.
func (s *scanner) list() *listing {
	l := &listing{many: make(chan struct{}), done: make(chan struct{})}
	list := func() {
		defer close(l.done)
		l.pids, l.err = s.pids(l.many)
	}
	// All tasks of the PID namespace's host (sysinfo(2)), modulo 65536: where that says too little it takes a little longer.
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil && info.Procs < iterFrom {
		list()
	} else {
		go list()
	}
	return l
}

// wait is all of them, in order.
func (l *listing) wait() ([]int, error) {
	<-l.done
	return l.pids, l.err
}

// isMany reports whether there are iterFrom processes, as soon as that is known.
func (l *listing) isMany() bool {
	select {
	case <-l.many:
		return true
	case <-l.done:
		return len(l.pids) >= iterFrom
	}
}

// pids is what is to be read, in order. It closes many when it knows of iterFrom.
func (s *scanner) pids(many chan<- struct{}) ([]int, error) {
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
	pids, err := numericNames(fd, s.countProcesses(), func(n int) {
		if n >= iterFrom && many != nil {
			close(many)
			many = nil
		}
	})
	if err != nil {
		return nil, &os.PathError{Op: "readdirent", Path: s.opts.Proc, Err: err}
	}
	return pids, nil
}

// countProcesses is about how many processes there are and soon may be: procfs counts them as links of its directory
// (proc_root_getattr() in fs/proc/root.c).
func (s *scanner) countProcesses() int {
	const more = 64 // what may start meanwhile
	var st unix.Stat_t
	if unix.Fstat(s.procFD, &st) != nil {
		return more
	}
	return int(st.Nlink) + more
}

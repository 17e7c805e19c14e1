package procscan

import (
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strconv"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// threads reads the tasks of a process (/proc/PID/task, proc_pid_task(5)) and keeps those whose credentials or
// namespaces differ from the leader's. A thread that ends meanwhile is not there. Where the leader's namespaces are
// refused, so are the threads': they are compared by their credentials then, and the leader's gap stands for all.
func (w *worker) threads(dir, pid int, p *nsinspect.Process) error {
	var refused error
	leader := w.status.cred
	tids, err := w.tasks(dir)
	if err != nil {
		return err
	}
	for _, tid := range tids {
		if tid == pid {
			continue
		}
		task, err := unix.Openat(dir, "task/"+strconv.Itoa(tid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // it ended
		}
		t, ended, err := w.thread(task, tid, p.Namespaces.User != 0)
		_ = unix.Close(task)
		if err != nil {
			refused = err
		}
		if !ended && (t.Namespaces != p.Namespaces || !reflect.DeepEqual(t.Cred, leader)) {
			p.Threads = append(p.Threads, t)
		}
	}
	return refused
}

// thread reads one task. What it could not read of a living one is an error and left 0.
func (w *worker) thread(task, tid int, withNamespaces bool) (t nsinspect.Thread, ended bool, err error) {
	var (
		st stat
		ss status
	)
	b, err := w.read(task, w.files.stat)
	if err == nil {
		err = parseStat(b, &st)
	}
	if err == nil {
		if b, err = w.read(task, w.files.status); err == nil {
			err = parseStatus(b, &ss)
		}
	}
	if err != nil {
		ss.cred = noCred()
	}
	t = nsinspect.Thread{TID: tid, PIDs: ss.pids, Comm: st.comm, Cred: ss.cred}
	missing := false
	if err == nil && withNamespaces {
		missing, err = w.namespaces(task, w.links, &t.Namespaces)
	}
	if err == nil && !missing {
		return t, false, nil
	}
	if endedErr(err) || st.state == 'Z' || st.state == 'X' || w.lookAgain(task, st) != complete {
		return t, true, nil
	}
	if missing && t.Namespaces.PIDForChildren == 0 && w.s.samePIDs {
		if ns, nsErr := childPIDNS(tid, unix.PIDFD_THREAD); nsErr == nil {
			t.Namespaces.PIDForChildren = ns.inode
			ns.close()
		}
	}
	return t, false, err
}

// tasks lists the threads of the process whose directory is dir, in order.
func (w *worker) tasks(dir int) ([]int, error) {
	fd, err := unix.Openat(dir, "task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "task", Err: err}
	}
	defer unix.Close(fd)
	return numericNames(fd, 0)
}

// numericNames lists the entries of a directory of procfs that are numbers, about that many, sorted.
func numericNames(fd, about int) ([]int, error) {
	const perEntry = 32 // bytes of a linux_dirent64 with so short a name
	var (
		numbers = make([]int, 0, about)
		names   []string
		buf     = make([]byte, min(4<<10+about*perEntry, 32<<10)) // no array: it would be zeroed, on a stack that has to grow for it
	)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			slices.Sort(numbers)
			return slices.Compact(numbers), nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if v, err := strconv.ParseUint(name, 10, 31); err == nil && v > 0 {
				numbers = append(numbers, int(v))
			}
		}
	}
}

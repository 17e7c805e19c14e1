package procscan

import (
	"bytes"
	"errors"
	"fmt"
)

// kthreadFlag is PF_KTHREAD (include/linux/sched.h): the task is a kernel thread. Threads that the kernel runs inside a
// process for io_uring or vhost do not have it: they are tasks of that process.
const kthreadFlag = 0x00200000

// stat is what nsview reads of /proc/PID/stat.
type stat struct {
	comm      string
	state     byte
	ppid      int
	kthread   bool
	startTime uint64 // clock ticks after boot
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5), do_task_stat() in fs/proc/array.c), fields separated by one space:
//
//	5336 (comm) S 5329 5336 5329 34816 -1 4194560 ... 81733 ...
//	(1)  (2)   (3)(4)                     (9)         (22)
//
//	(1) PID  (2) comm in parentheses  (3) state  (4) parent  (9) flags  (22) start time
//
// comm is the process's choice, up to 15 bytes (63 for a kernel worker) of anything but NUL, newlines and parentheses
// included, and nothing in it is escaped. No later field has a parenthesis: comm ends at the last one.
func parseStat(b []byte, st *stat) error {
	open := bytes.IndexByte(b, '(')
	end := bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return errors.New("no comm in parentheses")
	}
	*st = stat{comm: string(b[open+1 : end])}
	rest := bytes.TrimRight(b[end+1:], "\n")
	n := 3
	for ; n <= 22; n++ {
		var field []byte
		if field, rest = nextField(rest); field == nil {
			return fmt.Errorf("%d fields, want 22 or more", n-1)
		}
		var (
			err error
			v   uint64
		)
		switch n {
		case 3:
			st.state = field[0]
		case 4:
			st.ppid, err = oneNumber(field)
		case 9:
			v, err = parseUint(field, 10, 32)
			st.kthread = v&kthreadFlag != 0
		case 22:
			st.startTime, err = parseUint(field, 10, 64)
		}
		if err != nil {
			return fmt.Errorf("field %d: %w", n, err)
		}
	}
	return nil
}

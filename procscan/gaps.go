package procscan

import (
	"errors"
	"os"
	"strconv"

	"github.com/nsview/nsview/nsinspect"
	"golang.org/x/sys/unix"
)

// gap records a fact that could not be read. It may be called from several goroutines.
func (s *scanner) gap(g nsinspect.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snap.Gaps = append(s.snap.Gaps, g)
}

func (s *scanner) addGaps(gaps []nsinspect.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snap.Gaps = append(s.snap.Gaps, gaps...)
}

// pidGap records that fact of process pid could not be read.
func (w *worker) pidGap(pid int, fact string, err error) {
	w.gaps = append(w.gaps, nsinspect.Gap{
		Subject: "pid " + strconv.Itoa(pid), PID: pid, Fact: fact, Error: errText(err), Hint: hintFor(err),
	})
}

// errText is why: the kernel's words for a refusal, of which a Gap's subject and fact are the operand, and everything
// for a text that is not what it should be.
func errText(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// hintFor says what would lift a refusal, "" when nothing that is known.
func hintFor(err error) string {
	if !refusedErr(err) {
		return ""
	}
	if os.Geteuid() != 0 {
		return "run as root"
	}
	return "run with CAP_SYS_PTRACE and all the capabilities of that process"
}

// overflowGap says that an id of a process may be the overflow id itself or an id without a mapping.
func overflowGap(pid int, subject string) nsinspect.Gap {
	return nsinspect.Gap{
		Subject: subject, PID: pid, Fact: "ids",
		Error: "an id reads as the overflow id, which the observer's user namespace maps too: it is shown as unmapped",
		Hint:  "run in the initial user namespace",
	}
}

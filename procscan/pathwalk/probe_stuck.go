package pathwalk

import (
	"fmt"
	"sync"
	"time"

	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// askStuckAgain is after how long a file system that did not answer is asked again. Each time costs a deadline and, until it
// answers, a thread.
const askStuckAgain = 5 * time.Second

// stuck are the file systems that did not answer, by number (as stat(2) has it). A probe that was left behind may come to
// itself while the next one asks.
type stuck struct {
	mu    sync.Mutex
	since map[string]time.Time
	again time.Duration
}

// ask is an error when the file system did not answer a short while ago.
func (s *stuck) ask(dev string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.since[dev]
	if !ok {
		return nil
	}
	if ago := time.Since(at); ago < s.again {
		return fmt.Errorf("%w (it gave none %v ago)", procscan.ErrNoAnswer, ago.Round(100*time.Millisecond))
	}
	delete(s.since, dev)
	return nil
}

func (s *stuck) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.since) > 0
}

func (s *stuck) note(dev string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since[dev] = time.Now()
}

// asking is what a probe asks a file system about: an open file of it. It is noted before and taken back before the file is
// closed, so that who reads the same twice read of an open file in between.
type asking struct {
	mu sync.Mutex
	fd int // -1: nothing
	n  uint64
}

func (a *asking) set(fd int) {
	a.mu.Lock()
	a.fd = fd
	a.n++
	a.mu.Unlock()
}

func (a *asking) get() (int, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fd, a.n
}

// where is the number of the file system that the probe waits for, "" when that cannot be told.
func (a *asking) where() string {
	fd, n := a.get()
	if fd < 0 {
		return ""
	}
	dev := devOf(fd)
	if _, still := a.get(); still != n {
		return "" // it goes on
	}
	return dev
}

// devOf is the number of the file system of an open file, which is not asked for it. "" when it cannot be told.
func devOf(fd int) string {
	x, err := statNothing(fd)
	if err != nil {
		return ""
	}
	return devString(x.Dev_major, x.Dev_minor)
}

// askOf notes what is asked next. An error when its file system did not answer a short while ago.
func (p *probe) askOf(fd int) error {
	p.asking.set(fd)
	if !p.stuck.any() {
		return nil
	}
	return p.stuck.ask(devOf(fd))
}

// closeAsked closes a file that was asked about.
func (p *probe) closeAsked(fd int) {
	p.asking.set(-1)
	_ = unix.Close(fd)
}

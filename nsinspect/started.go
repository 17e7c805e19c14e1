package nsinspect

import "time"

// userHZ is in what parts of a second /proc says when a process started: USER_HZ, 100 on every architecture that nsview
// is built for (proc_pid_stat(5)).
const userHZ = 100

// Started is when a process started by the observer's clock, to a hundredth of a second; nil when the snapshot does not
// say when the host was booted. It moves with the clock when that is set.
func (s *Snapshot) Started(p *Process) *time.Time {
	if s.Observer.Boot == nil {
		return nil
	}
	// Seconds apart: a forged start must not overflow into another.
	const maxSeconds = 1 << 33 // 272 years: a time.Duration holds 292
	seconds := p.StartTime / userHZ
	if seconds > maxSeconds {
		return nil
	}
	at := s.Observer.Boot.Add(time.Duration(seconds) * time.Second).Add(time.Duration(p.StartTime%userHZ) * (time.Second / userHZ))
	return &at
}

// age is how long before the snapshot something was, 0 when it is not known.
func (s *Snapshot) age(at *time.Time) time.Duration {
	if at == nil {
		return 0
	}
	return max(s.Time.Sub(*at), 0)
}

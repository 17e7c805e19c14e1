package nsinspect

import (
	"time"

	"github.com/nsview/nsview/idmap"
)

// Report is what every JSON object that nsview prints begins with. A report type embeds it and adds its list.
type Report struct {
	Schema   string         `json:"schema"`
	Kind     string         `json:"kind"`
	Observer ReportObserver `json:"observer"`
	Time     *time.Time     `json:"time"` // of the snapshot that it answers from; nil when that does not say
	Gaps     []Gap          `json:"gaps"`

	// Partial: it was interrupted, and what is here is what was known until then. What is not here may be there.
	Partial bool `json:"partial,omitempty"`
}

// ReportObserver is who looked, in short.
type ReportObserver struct {
	PID    int          `json:"pid"`
	UID    idmap.Inside `json:"uid"`
	UserNS Inode        `json:"user_ns"`
	PIDNS  Inode        `json:"pid_ns"`
	MntNS  Inode        `json:"mnt_ns"`
	Kernel string       `json:"kernel"`
}

// Report begins a report of that kind on s.
func (s *Snapshot) Report(kind string) Report {
	o := &s.Observer
	gaps := s.Gaps
	if gaps == nil {
		gaps = []Gap{}
	}
	var at *time.Time
	if !s.Time.IsZero() {
		at = &s.Time
	}
	return Report{
		Schema: Schema, Kind: kind, Time: at, Gaps: gaps, Partial: s.Partial,
		Observer: ReportObserver{PID: o.PID, UID: o.UID, UserNS: o.UserNS, PIDNS: o.PIDNS, MntNS: o.MntNS, Kernel: o.Kernel},
	}
}

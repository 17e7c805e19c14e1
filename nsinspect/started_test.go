package nsinspect

import (
	"math"
	"testing"
	"time"
)

func TestStarted(t *testing.T) {
	boot := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &Snapshot{Time: boot.Add(time.Hour), Observer: Observer{Boot: &boot}}
	if got, want := s.Started(&Process{StartTime: 12345}), boot.Add(123450*time.Millisecond); got == nil || !got.Equal(want) {
		t.Errorf("started %v, want %v", got, want)
	}
	if got := s.age(s.Started(&Process{StartTime: 360000 - 150})); got != 1500*time.Millisecond {
		t.Errorf("age %v", got)
	}
	if got := s.age(s.Started(&Process{StartTime: 370000})); got != 0 {
		t.Errorf("age of what starts after the snapshot: %v", got)
	}
	if got := s.Started(&Process{StartTime: math.MaxUint64}); got != nil {
		t.Errorf("a forged start is %v", got)
	}
	if got := (&Snapshot{}).Started(&Process{StartTime: 1}); got != nil {
		t.Errorf("started %v without the time of boot", got)
	}
}

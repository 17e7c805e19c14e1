package main

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	secondsADay = 24 * 60 * 60
	dateLayout  = "2006-01-02T"
)

// stampWriter writes times as time.RFC3339Nano does in UTC. The files of a tree are mostly of the same few days, so that it
// works a date out when it is another than the one before.
type stampWriter struct {
	day  int64  // since the epoch
	date []byte // of day; none yet
}

// append adds a time of the years 0 to 9999.
func (s *stampWriter) append(t []byte, at unix.StatxTimestamp) []byte {
	day, second := at.Sec/secondsADay, at.Sec%secondsADay
	if second < 0 {
		day, second = day-1, second+secondsADay
	}
	if day != s.day || s.date == nil {
		s.day, s.date = day, time.Unix(day*secondsADay, 0).UTC().AppendFormat(s.date[:0], dateLayout)
	}
	t = append(t, s.date...)
	t = append(appendTwo(t, second/3600), ':')
	t = append(appendTwo(t, second/60%60), ':')
	t = appendTwo(t, second%60)
	if at.Nsec > 0 {
		t = append(t, '.')
		for rest, digit := at.Nsec, uint32(100_000_000); rest > 0; digit /= 10 {
			t = append(t, '0'+byte(rest/digit))
			rest %= digit
		}
	}
	return append(t, 'Z')
}

func appendTwo(t []byte, n int64) []byte { return append(t, '0'+byte(n/10), '0'+byte(n%10)) }

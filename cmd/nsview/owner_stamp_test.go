package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/pathwalk"
)

func TestStampWriter(t *testing.T) {
	first, last := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	random := rand.New(rand.NewPCG(1, 2))
	times := []unix.StatxTimestamp{
		{},
		{Nsec: 1},
		{Nsec: 999_999_999},
		{Nsec: 120_000_000},
		{Sec: -1},
		{Sec: -1, Nsec: 5},
		{Sec: secondsADay - 1},
		{Sec: secondsADay},
		{Sec: -secondsADay},
		{Sec: -secondsADay - 1},
		{Sec: first},
		{Sec: last, Nsec: 999_999_999},
	}
	for range 10_000 {
		// Mostly of the day of the one before.
		before := times[len(times)-1].Sec
		at := unix.StatxTimestamp{Sec: min(max(before+random.Int64N(2*secondsADay)-secondsADay, first), last), Nsec: uint32(random.IntN(1_000_000_000))}
		if random.IntN(10) == 0 {
			at = unix.StatxTimestamp{Sec: first + random.Int64N(last-first), Nsec: uint32(random.IntN(1000)) * 1_000_000}
		}
		times = append(times, at)
	}
	var w stampWriter
	for _, at := range times {
		stamp, ok := pathwalk.Time(at)
		if !ok {
			t.Fatalf("%+v is no time that JSON has", at)
		}
		if got, want := string(w.append(nil, at)), stamp.Format(time.RFC3339Nano); got != want {
			t.Fatalf("%+v: %s, want %s", at, got, want)
		}
	}
}

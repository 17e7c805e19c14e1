package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/procscan/proctest"
)

func TestRatioIsOfTheMedians(t *testing.T) {
	runs := func(ms ...int) []run {
		var out []run
		for _, n := range ms {
			out = append(out, run{Wall: time.Duration(n) * time.Millisecond})
		}
		return out
	}
	r := result{measured: measured{OurRuns: runs(1, 2, 90, 2, 1), PeerRuns: runs(4, 4, 4, 5, 50)}}
	mid, low, high := r.ratio(wallOf)
	if mid != 0.5 || low != 0.25 || high != 0.5 {
		t.Errorf("ratio %v (%v-%v), want 0.5 (0.25-0.5)", mid, low, high)
	}
}

func TestRateIsOfTheMedian(t *testing.T) {
	r := report{results: []result{
		{row: row{name: "none"}},
		{row: row{name: "slow", size: 10_000, unit: "steps", rate: 5000}, measured: measured{OurRuns: []run{{Wall: 1}, {Wall: 4 * time.Second}, {Wall: time.Hour}}}},
		{row: row{name: "fast", size: 10_000, unit: "steps", rate: 5000}, measured: measured{OurRuns: []run{{Wall: 2 * time.Second}}}},
	}}
	want := "`nsview slow` answers 2,500 steps a second with one processor (to reach: 5,000 **missed**).\n" +
		"`nsview fast` answers 5,000 steps a second with one processor (to reach: 5,000)."
	if got := r.rates(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestLimitIsThatOfTheSize(t *testing.T) {
	at := map[int]float64{2000: 0.5, 20_000: 0.4}
	for n, want := range map[int]float64{1000: 0, 2000: 0.5, 19_999: 0.5, 20_000: 0.4, 30_000: 0.4} {
		if got := limit(n, at); got != want {
			t.Errorf("limit(%d) = %v, want %v", n, got, want)
		}
	}
}

func TestReplaceTables(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("before\n"+tablesBegin+"old\n"+tablesEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replaceTables(page, "new\n"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if want := "before\n" + tablesBegin + "\nnew\n\n" + tablesEnd + "after\n"; err != nil || string(b) != want {
		t.Errorf("page is %q, %v, want %q", b, err, want)
	}
	if err := replaceTables(os.DevNull, "new\n"); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a page without a place: %v", err)
	}
}

// A population is what it says, and nothing of it is left.
func TestPopulation(t *testing.T) {
	proctest.NeedRoot(t)
	p, err := newPopulation()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.grow(t.Context(), 6, 3); err != nil {
		p.end()
		t.Fatal(err)
	}
	pid := p.initPID()
	ours, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Error(err)
	}
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
	if err != nil || theirs == ours {
		t.Errorf("the container's PID namespace is %s, %v, as ours", theirs, err)
	}
	children, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	if n := len(strings.Fields(string(children))); err != nil || n != 2 {
		t.Errorf("%d children, %v, want 2", n, err)
	}
	p.end()
	for _, field := range append(strings.Fields(string(children)), strconv.Itoa(pid)) {
		if _, err := os.Stat("/proc/" + field); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("process %s is left: %v", field, err)
		}
	}
}

// The peak is the program's own, not that of the process that started it.
func TestPeakIsTheProgramsOwn(t *testing.T) {
	own := make([]byte, 64<<20)
	for i := range own {
		own[i] = 1
	}
	peak, err := peakOf([]string{"sh", "-c", "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo ${#x}"})
	if err != nil || peak < 20_000_000 || peak > 200<<20 {
		t.Errorf("a shell with 20 MB of text took %d bytes, %v", peak, err)
	}
	small, err := peakOf([]string{"true"})
	if err != nil || small > 8<<20 || small == 0 {
		t.Errorf("true took %d bytes, %v", small, err)
	}
	if own[len(own)-1] != 1 {
		t.Error("lost")
	}
}

package procscan

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nsview/nsview/procscan/proctest"
)

// The kernel counts as many processes as it lists.
func TestCount(t *testing.T) {
	s, err := newScanner(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var counted, listed int
	same := func() bool {
		pids, err := s.pids()
		if err != nil {
			t.Fatal(err)
		}
		listed = len(pids)
		counted, _ = s.count()
		return counted == listed
	}
	if !proctest.Within(20*time.Second, same) {
		t.Errorf("%d processes were counted, %d listed", counted, listed)
	}
}

// What is no procfs has no count.
func TestCountOfNothing(t *testing.T) {
	s, err := newScanner(Options{Proc: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if n, _ := s.count(); n != -1 {
		t.Errorf("%d processes were counted in an empty directory", n)
	}
}

// Processes are listed only where the iterator did not show as many as there were, and then what it did not show is asked
// about.
func TestFindMore(t *testing.T) {
	s, err := newScanner(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	all, err := s.pids()
	if err != nil {
		t.Fatal(err)
	}
	const first = 1
	self := os.Getpid()
	but := func(pids ...int) []int {
		return slices.DeleteFunc(slices.Clone(all), func(pid int) bool { return slices.Contains(pids, pid) })
	}

	for _, tt := range []struct {
		name   string
		seen   []int
		old    int // of seen
		there  int
		listed bool
		want   []int // of first and self
	}{
		{"all", all, len(all), len(all), false, nil},
		{"all but the first", but(first), len(all) - 1, len(all), false, []int{first}},
		{"one is kept back", but(self), len(all) - 1, len(all), true, []int{self}},
		{"one is kept back, and the first", but(first, self), len(all) - 2, len(all), true, []int{first, self}},
		{"one is kept back, and one more has started", but(self), len(all) - 2, len(all) - 1, true, []int{self}},
		{"not counted", but(self), len(all) - 1, -1, true, []int{self}},
		{"one has ended", all, len(all), len(all) + 1, true, nil},
	} {
		r := &iterated{s: s, seen: slices.Clone(tt.seen), old: tt.old}
		procFD := s.procFD
		if !tt.listed {
			s.procFD = -1 // to list would be an error
		}
		err := r.findMore(tt.there)
		s.procFD = procFD
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var got []int
		for _, pid := range []int{first, self} {
			if slices.Contains(r.again, pid) {
				got = append(got, pid)
			}
		}
		if !slices.Equal(got, tt.want) || !tt.listed && len(r.again) > len(got) {
			t.Errorf("%s: asked about %v, of which %v, want %v", tt.name, r.again, got, tt.want)
		}
	}
}

package pathwalk

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// A tree in which one directory is mounted over and over costs what its mounts cost, and not their square; what was not
// looked at is a gap.
func TestTreeOfManyMountsOfOneDirectory(t *testing.T) {
	proctest.NeedRoot(t)
	const mounts = 1200
	dir := tempDir(t)
	c := start(t, unix.CLONE_NEWNS, shiftedBy(0), private+"mount -t tmpfs none "+dir+"; cd "+dir+"; mkdir source; : >source/file; "+
		fmt.Sprintf("for i in $(seq %d); do mkdir $i; mount --bind source $i; done; ", mounts)+"cd /"+ready)
	s, err := procscan.Scan(t.Context(), procscan.Options{Facts: procscan.Relations | procscan.Mounts})
	if err != nil {
		t.Fatal(err)
	}
	nsinspect.Group(s, nil)
	var mu sync.Mutex
	files, sightings := 0, map[*Region]int{}
	ask := TreeAsk{Ask: Ask{Path: dir}, Each: func(_ int, b *Batch) {
		mu.Lock()
		defer mu.Unlock()
		files += len(b.Entries)
		sightings[b.Region] = len(b.Region.Facts.Sightings)
	}}
	in(c)(&ask.Ask, s)
	gaps, err := New(s, nsinspect.NewAtlas(s), "/proc").Tree(t.Context(), ask)
	if want := 3 + 2*mounts; err != nil || files != want {
		t.Errorf("%d files, want %d; %v", files, want, err)
	}
	looked := 0
	for _, n := range sightings {
		looked += n
	}
	if most := 10*maxCandidates + 2*minCandidates*mounts; len(sightings) < mounts || looked < minCandidates*mounts || looked > most {
		t.Errorf("%d paths of %d regions were looked at, at most %d should be", looked, len(sightings), most)
	}
	if !slices.ContainsFunc(gaps, func(g nsinspect.Gap) bool {
		return g.Fact == "paths" && strings.HasPrefix(g.Error, fmt.Sprintf("more than %d mounts show it", minCandidates))
	}) {
		t.Errorf("no gap says that not all were looked at: %v", gaps[:min(len(gaps), 3)])
	}
}

package procscan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nsview/nsview/nsinspect"
)

// endsAfter is a context that ends when it has been asked so many times whether it has.
type endsAfter struct {
	context.Context
	left   atomic.Int64
	cancel context.CancelFunc
}

func (c *endsAfter) Err() error {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
	return c.Context.Err()
}

// Whenever a scan is interrupted, what it has read is a snapshot, and a gap says that it is not all.
func TestScanInterrupted(t *testing.T) {
	needUserNS(t)
	park(t, []string{"unshare", "-Urm"}, "")
	all := len(scanFacts(t, 0).Processes)
	partial := 0
	for n := int64(1); n < 4096; n += 1 + n/2 {
		base, cancel := context.WithCancel(t.Context())
		ctx := &endsAfter{Context: base, cancel: cancel}
		ctx.left.Store(n)
		s, err := Scan(ctx, Options{Facts: Graph | Mounts | Names | FileNames, Source: SourceProc})
		cancel()
		if err == nil && n > 16 {
			break // it was over before
		}
		if !errors.Is(err, context.Canceled) || s == nil {
			t.Fatalf("interrupted at the %d. question: %v, %v", n, s, err)
		}
		said := slices.ContainsFunc(s.Gaps, func(g nsinspect.Gap) bool {
			return g.Fact == "processes" && strings.HasPrefix(g.Error, "interrupted")
		})
		if !said {
			t.Errorf("interrupted at the %d. question: gaps %v", n, s.Gaps)
		}
		if len(s.Processes) > 0 && len(s.Processes) < all/2 {
			partial++
		}
		nsinspect.Group(s, nil)
		var stored bytes.Buffer
		if err := json.NewEncoder(&stored).Encode(s); err != nil {
			t.Fatal(err)
		}
		if _, err := nsinspect.Decode(&stored); err != nil {
			t.Errorf("interrupted at the %d. question, it is no snapshot: %v", n, err)
		}
	}
	if partial == 0 {
		t.Error("no scan ended with some of the processes")
	}
}

package idmap

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// span is a half-open range of ids [lo, hi). It is uint64 so that no sum wraps, and hi is at most 2^32-1: 4294967295 is
// not an id. Every question about ranges is asked of spans.
type span struct{ lo, hi uint64 }

func spanOf(first, count uint32) span {
	return span{uint64(first), min(uint64(first)+uint64(count), invalid)}
}

func (s span) empty() bool { return s.lo >= s.hi }

func (s span) and(o span) span { return span{max(s.lo, o.lo), min(s.hi, o.hi)} }

func (s span) contains(o span) bool { return o.lo >= s.lo && o.hi <= s.hi }

func (s span) has(id uint32) bool { return uint64(id) >= s.lo && uint64(id) < s.hi }

// shift is the one place where ids are moved from one range to another: id is in the half-open range
// [from, from+count) and becomes the id at the same distance from to.
func shift(id, from, to, count uint32) (uint32, bool) {
	if from == invalid || to == invalid || !spanOf(from, count).has(id) {
		return invalid, false
	}
	out := uint64(to) + uint64(id-from)
	if out >= invalid {
		return invalid, false
	}
	return uint32(out), true
}

// inside is the range of the extent's inside ids.
func (e Extent) inside() span { return spanOf(uint32(e.Inside), e.Count) }

// outside is the range of the extent's outside ids, empty when the reader cannot name them.
func (e Extent) outside() span {
	if !e.Outside.Mapped() {
		return span{}
	}
	return spanOf(uint32(e.Outside), e.Count)
}

// cut is the part of e whose inside ids are in s, which must be a part of e.inside().
func (e Extent) cut(s span) Extent {
	part := Extent{Inside: Inside(s.lo), Outside: UnmappedKernel, Count: uint32(s.hi - s.lo)}
	if out, ok := shift(uint32(s.lo), uint32(e.Inside), uint32(e.Outside), e.Count); ok {
		part.Outside = Kernel(out)
	}
	return part
}

// String is the first and the last id, for people.
func (s span) String() string {
	if s.hi-s.lo == 1 {
		return strconv.FormatUint(s.lo, 10)
	}
	return strconv.FormatUint(s.lo, 10) + "-" + strconv.FormatUint(s.hi-1, 10)
}

// without is what is left of s when others are taken away, in order.
func (s span) without(others []span) []span {
	others = slices.SortedFunc(slices.Values(others), func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var left []span
	for _, o := range others {
		o = o.and(s)
		if o.empty() {
			continue
		}
		if o.lo > s.lo {
			left = append(left, span{s.lo, o.lo})
		}
		s.lo = max(s.lo, o.hi)
	}
	if !s.empty() {
		left = append(left, s)
	}
	return left
}

// insides are the ranges of ids that exist inside.
func (m Map) insides() []span {
	spans := make([]span, len(m))
	for i, e := range m {
		spans[i] = e.inside()
	}
	return spans
}

// insideRanges lists the inside ids of m, for people.
func insideRanges(m Map) string {
	if len(m) == 0 {
		return "an empty map"
	}
	return rangesText(m.insides())
}

// rangesText lists ranges, for people.
func rangesText(spans []span) string {
	const shown = 8
	words := make([]string, 0, shown+1)
	for i, s := range spans {
		if i == shown {
			words = append(words, fmt.Sprintf("%d more", len(spans)-shown))
			break
		}
		words = append(words, s.String())
	}
	return strings.Join(words, ", ")
}

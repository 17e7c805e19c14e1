package idmap

import (
	"cmp"
	"slices"
)

// Compose is inner seen through outer: inner's outside ids are the inside ids of outer, and the result goes from inner's
// inside ids to outer's outside ids. Translating with it equals translating step by step.
//
// Inside ids of inner that do not get through outer stay in the result, as extents whose Outside is [UnmappedKernel]:
// they exist inside and have no name outside, which is how the kernel shows a nested map to a reader too far out or too
// far aside. The result is normalised.
func Compose(inner, outer Map) Map {
	sorted := outer.Normalise()
	var out Map
	for _, e := range inner.Normalise() {
		if !e.Outside.Mapped() {
			out = append(out, e)
			continue
		}
		out = sorted.throughEach(out, e)
	}
	return out.Normalise()
}

// throughEach appends to out what e is when its outside ids are taken through m, which must be normalised.
func (m Map) throughEach(out Map, e Extent) Map {
	rest := e.outside()
	first, _ := slices.BinarySearchFunc(m, rest.lo, func(o Extent, id uint64) int { return cmp.Compare(o.inside().hi, id+1) })
	for _, o := range m[first:] {
		common := o.inside().and(rest)
		if common.empty() {
			break
		}
		if common.lo > rest.lo {
			out = append(out, e.unnamed(span{rest.lo, common.lo}))
		}
		part := o.cut(common)
		part.Inside = e.insideOf(common.lo)
		out = append(out, part)
		rest.lo = common.hi
	}
	if !rest.empty() {
		out = append(out, e.unnamed(rest))
	}
	return out
}

// insideOf is the inside id of an id that is in e.outside().
func (e Extent) insideOf(outside uint64) Inside {
	return Inside(uint64(e.Inside) + outside - uint64(e.Outside))
}

// unnamed is the part of e whose outside ids are in s, with the outside ids forgotten.
func (e Extent) unnamed(s span) Extent {
	return Extent{Inside: e.insideOf(s.lo), Outside: UnmappedKernel, Count: uint32(s.hi - s.lo)}
}

// Between goes from the inside ids of one user namespace to the inside ids of another, by way of the outside ids, which
// both maps must have on the same side (two maps read by one observer). In the result Outside is the id inside to.
// Inside ids of from that to does not reach have an Outside of [UnmappedKernel].
func Between(from, to Map) Map { return Compose(from, to.Invert()) }

// AsReadBy is m with only what its text can tell a reader whose own user namespace has these extents, in its own ids
// (each Outside equal to Inside), not normalised.
//
// In the text of a uid_map the outside id is that of the extent's first id, in the reader's user namespace; nothing says
// that the next ids follow one another there (uid_m_show() in kernel/user_namespace.c). They do in a namespace below the
// reader's, whose extents each lie in one of the parent's. In one beside or above it they do as far as the reader's
// extent goes; what is beyond is [UnmappedKernel]: it has another number, or none.
func (m Map) AsReadBy(reader Map) Map {
	out := make(Map, 0, len(m))
	for _, e := range m {
		known := uint64(0)
		for _, r := range reader {
			if own := r.inside(); e.Outside.Mapped() && own.has(uint32(e.Outside)) {
				known = min(own.hi-uint64(e.Outside), uint64(e.Count))
				break
			}
		}
		if known > 0 || e.Count == 0 {
			out = append(out, Extent{Inside: e.Inside, Outside: e.Outside, Count: uint32(known)})
		}
		if rest := uint64(e.Count) - known; rest > 0 {
			out = append(out, Extent{Inside: e.Inside + Inside(known), Outside: UnmappedKernel, Count: uint32(rest)})
		}
	}
	return out
}

// Invert turns the map around: its inside ids are m's outside ids. Extents whose outside ids the reader cannot name
// have nothing to start from and are left out, so that m.Invert().Invert() is m without them. The result is normalised.
func (m Map) Invert() Map {
	var out Map
	for _, e := range m.Normalise() {
		if e.Outside.Mapped() {
			out = append(out, Extent{Inside: Inside(e.Outside), Outside: Kernel(e.Inside), Count: e.Count})
		}
	}
	return out.Normalise()
}

// Intersect is the part in which two maps agree: the inside ids that both translate to the same outside id. Ids that
// the reader cannot name agree with nothing, since they may differ. The result is normalised.
func Intersect(a, b Map) Map {
	a, b = a.Normalise(), b.Normalise()
	var out Map
	for len(a) > 0 && len(b) > 0 {
		common := a[0].inside().and(b[0].inside())
		if !common.empty() && a[0].cut(common) == b[0].cut(common) && a[0].Outside.Mapped() {
			out = append(out, a[0].cut(common))
		}
		if a[0].inside().hi <= b[0].inside().hi {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out.Normalise()
}

// Equal reports whether two maps translate every id alike, however their extents are cut and ordered.
func (m Map) Equal(o Map) bool { return slices.Equal(m.Normalise(), o.Normalise()) }

// Normalise is the same translation with as few extents as possible, sorted by inside id. Nothing is left of extents
// that map no id; where extents overlap inside (the kernel never shows such) the first one counts, as in ToOutside.
//
// A map that the kernel is to judge must not be normalised first: the kernel looks at the extents as they are, also at
// those of the parent.
func (m Map) Normalise() Map {
	pieces := make(Map, 0, len(m))
	for _, e := range m {
		pieces = appendPieces(pieces, e)
	}
	sorted := slices.SortedStableFunc(slices.Values(pieces), func(a, b Extent) int { return cmp.Compare(a.Inside, b.Inside) })
	if overlapInside(sorted) {
		sorted = firstCounts(pieces)
	}
	pieces = sorted
	out := pieces[:0]
	for _, e := range pieces {
		if n := len(out); n > 0 && continues(out[n-1], e) {
			out[n-1].Count += e.Count
			continue
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// appendPieces appends e cut off where its inside ids end, and cut in two where its outside ids end first.
func appendPieces(out Map, e Extent) Map {
	in := e.inside()
	if in.empty() {
		return out
	}
	named := e.outside()
	mid := min(in.lo+(named.hi-named.lo), in.hi)
	if mid > in.lo {
		out = append(out, e.cut(span{in.lo, mid}))
	}
	if mid < in.hi {
		out = append(out, Extent{Inside: Inside(mid), Outside: UnmappedKernel, Count: uint32(in.hi - mid)})
	}
	return out
}

// continues reports whether b goes on where a ends, on both sides.
func continues(a, b Extent) bool {
	if a.inside().hi != b.inside().lo || a.Outside.Mapped() != b.Outside.Mapped() {
		return false
	}
	return !a.Outside.Mapped() || a.outside().hi == b.outside().lo
}

func overlapInside(sorted Map) bool {
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].inside().hi > sorted[i].inside().lo {
			return true
		}
	}
	return false
}

// firstCounts sorts the extents by inside id and takes from each what an earlier one already has.
func firstCounts(m Map) Map {
	sorted := make(Map, 0, len(m))
	for _, e := range m {
		rest := e.inside()
		at, _ := slices.BinarySearchFunc(sorted, rest.lo, func(o Extent, id uint64) int { return cmp.Compare(o.inside().hi, id+1) })
		var free Map
		end := at
		for ; end < len(sorted) && sorted[end].inside().lo < rest.hi; end++ {
			taken := sorted[end].inside()
			if taken.lo > rest.lo {
				free = append(free, e.cut(span{rest.lo, taken.lo}))
			}
			free = append(free, sorted[end])
			rest.lo = max(rest.lo, taken.hi)
		}
		if !rest.empty() {
			free = append(free, e.cut(rest))
		}
		sorted = slices.Replace(sorted, at, end, free...)
	}
	return sorted
}

package idmap

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTranslate(t *testing.T) {
	m := Map{{1000, 500, 10}, {0, 100000, 1000}, {2000, UnmappedKernel, 5}}
	out := map[Inside]Kernel{0: 100000, 999: 100999, 1000: 500, 1009: 509, 1010: UnmappedKernel, 2000: UnmappedKernel, UnmappedInside: UnmappedKernel}
	for id, want := range out {
		if got := m.ToOutside(id); got != want {
			t.Errorf("inside %v is outside %v, want %v", id, got, want)
		}
	}
	in := map[Kernel]Inside{100000: 0, 500: 1000, 510: UnmappedInside, 0: UnmappedInside, UnmappedKernel: UnmappedInside}
	for id, want := range in {
		if got := m.ToInside(id); got != want {
			t.Errorf("outside %v is inside %v, want %v", id, got, want)
		}
	}
	if !m.Covers(2004) || m.Covers(2005) || m.Covers(UnmappedInside) {
		t.Error("Covers")
	}
	if Map(nil).ToOutside(0).Mapped() || Map(nil).ToInside(0).Mapped() {
		t.Error("the zero Map maps something")
	}
	if Identity().ToOutside(65534) != 65534 || Identity().ToOutside(4294967294) != 4294967294 || Identity().ToOutside(UnmappedInside).Mapped() {
		t.Error("Identity")
	}
}

func TestAlgebra(t *testing.T) {
	tests := []struct {
		name      string
		got, want Map
	}{
		{
			"a nested map", Compose(Map{{0, 1000, 10}}, Map{{0, 100000, 65536}}),
			Map{{0, 101000, 10}},
		},
		{
			"over two extents", Compose(Map{{0, 5, 10}}, Map{{10, 300, 100}, {0, 100, 10}}),
			Map{{0, 105, 5}, {5, 300, 5}},
		},
		{
			"what outer lacks stays, unnamed", Compose(Map{{0, 0, 30}}, Map{{10, 100, 10}}),
			Map{{0, UnmappedKernel, 10}, {10, 100, 10}, {20, UnmappedKernel, 10}},
		},
		{
			"what the reader cannot name stays", Compose(Map{{0, UnmappedKernel, 5}, {5, 5, 1}}, Identity()),
			Map{{0, UnmappedKernel, 5}, {5, 5, 1}},
		},
		{
			"what outer cannot name stays", Compose(Map{{0, 5, 2}}, Map{{5, UnmappedKernel, 1}, {6, 7, 1}}),
			Map{{0, UnmappedKernel, 1}, {1, 7, 1}},
		},
		{"through nothing", Compose(Map{{0, 5, 2}}, nil), Map{{0, UnmappedKernel, 2}}},
		{"nothing", Compose(nil, Identity()), nil},
		{"inverted", Map{{0, 100, 10}, {20, 5, 2}, {30, UnmappedKernel, 5}}.Invert(), Map{{5, 20, 2}, {100, 0, 10}}},
		{
			"between two containers", Between(Map{{0, 100000, 65536}}, Map{{0, 101000, 1000}}),
			Map{{0, UnmappedKernel, 1000}, {1000, 0, 1000}, {2000, UnmappedKernel, 63536}},
		},
		{"in common", Intersect(Map{{0, 100, 10}, {10, 500, 10}}, Map{{5, 105, 10}}), Map{{5, 105, 5}}},
		{"unnamed agrees with nothing", Intersect(Map{{0, UnmappedKernel, 5}}, Map{{0, UnmappedKernel, 5}}), nil},
		{"joined", Map{{10, 110, 5}, {0, 100, 10}, {20, 9, 0}}.Normalise(), Map{{0, 100, 15}}},
		{"not joined outside", Map{{0, 100, 10}, {10, 111, 5}}.Normalise(), Map{{0, 100, 10}, {10, 111, 5}}},
		{"the first counts", Map{{5, 50, 5}, {0, 100, 20}}.Normalise(), Map{{0, 100, 5}, {5, 50, 5}, {10, 110, 10}}},
		{"over the end inside", Map{{4294967290, 1, 10}}.Normalise(), Map{{4294967290, 1, 5}}},
		{"over the end outside", Map{{0, 4294967290, 10}}.Normalise(), Map{{0, 4294967290, 5}, {5, UnmappedKernel, 5}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// laws are what holds for all maps a and b and every id.
func laws(t *testing.T, a, b Map, id uint32) {
	t.Helper()
	in, out := Inside(id), Kernel(id)
	na := a.Normalise()
	if got, want := na.ToOutside(in), a.ToOutside(in); got != want {
		t.Fatalf("normalised: %v is %v, not %v\n%v\n%v", in, got, want, a, na)
	}
	if na.Covers(in) != a.Covers(in) {
		t.Fatalf("normalised: %v is covered by one of %v, %v", in, a, na)
	}
	if !cmp.Equal(na, na.Normalise()) {
		t.Fatalf("normalising %v twice is not normalising once", a)
	}
	composed := Compose(a, b)
	if got, want := composed.ToOutside(in), b.ToOutside(Inside(a.ToOutside(in))); got != want {
		t.Fatalf("composed: %v is %v, step by step %v\n%v\n%v\n%v", in, got, want, a, b, composed)
	}
	if composed.Covers(in) != a.Covers(in) {
		t.Fatalf("composed: %v does not exist any more, or newly\n%v\n%v", in, a, b)
	}
	both := Intersect(a, b)
	want := UnmappedKernel
	if a.ToOutside(in) == b.ToOutside(in) {
		want = a.ToOutside(in)
	}
	if got := both.ToOutside(in); got != want || both.Covers(in) != want.Mapped() {
		t.Fatalf("in common: %v is %v, want %v\n%v\n%v", in, got, want, a, b)
	}
	if !Intersect(b, a).Equal(both) {
		t.Fatalf("what %v and %v have in common depends on the order", a, b)
	}
	if !wellFormed(a) {
		return
	}
	inverse := a.Invert()
	if got, want := inverse.ToOutside(Inside(out)), Kernel(a.ToInside(out)); got != want {
		t.Fatalf("inverted: %v is %v, want %v\n%v", out, got, want, a)
	}
	if twice := inverse.Invert(); !twice.Equal(named(a)) {
		t.Fatalf("inverted twice, %v is %v", a, twice)
	}
	if k := a.ToOutside(in); k.Mapped() && a.ToInside(k) != in {
		t.Fatalf("%v goes out as %v and comes back as %v by %v", in, k, a.ToInside(k), a)
	}
	if k := Between(a, a).ToOutside(in); k.Mapped() && k != Kernel(in) {
		t.Fatalf("between %v and itself, %v is %v", a, in, k)
	}
}

// wellFormed maps have no id twice on either side, as those of the kernel.
func wellFormed(m Map) bool {
	problems := shape(named(m))
	for _, p := range problems {
		if p.Rule != RuleEmpty && p.Rule != RuleTooMany {
			return false
		}
	}
	return !overlapInside(slicesSorted(m))
}

func slicesSorted(m Map) Map {
	var pieces Map
	for _, e := range m {
		pieces = appendPieces(pieces, e)
	}
	for i := range pieces {
		for j := i; j > 0 && pieces[j].Inside < pieces[j-1].Inside; j-- {
			pieces[j], pieces[j-1] = pieces[j-1], pieces[j]
		}
	}
	return pieces
}

// named is m without the extents that the reader cannot name.
func named(m Map) Map {
	var out Map
	for _, e := range m {
		if e.Outside.Mapped() {
			out = append(out, e)
		}
	}
	return out
}

func TestLaws(t *testing.T) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 8))
	well := 0
	for range 4000 {
		a, b := anyMap(rng), anyMap(rng)
		if wellFormed(a) {
			well++
		}
		ids := []uint32{rng.Uint32(), uint32(rng.IntN(60)), 4294967280 + uint32(rng.IntN(16))}
		for _, m := range []Map{a, b} {
			for _, e := range m {
				ids = append(ids, uint32(e.Inside)-1, uint32(e.Inside), uint32(e.Inside)+e.Count, uint32(e.Outside)+e.Count-1, uint32(e.Outside))
			}
		}
		for _, id := range ids {
			laws(t, a, b, id)
		}
	}
	if well < 300 {
		t.Errorf("only %d of the maps are well formed", well)
	}
}

// anyMap is a small map whose extents often meet, overlap, or reach the last id.
func anyMap(rng *rand.Rand) Map {
	id := func() uint32 {
		switch rng.IntN(8) {
		case 0:
			return 4294967295 - uint32(rng.IntN(12))
		case 1:
			return rng.Uint32()
		}
		return uint32(rng.IntN(40))
	}
	count := func() uint32 {
		if rng.IntN(10) == 0 {
			return rng.Uint32()
		}
		return uint32(rng.IntN(12))
	}
	var m Map
	for range rng.IntN(5) {
		m = append(m, Extent{Inside(id()), Kernel(id()), count()})
	}
	return m
}

func TestEqual(t *testing.T) {
	a := Map{{0, 100, 10}, {10, 110, 10}}
	if !a.Equal(Map{{10, 110, 10}, {0, 100, 10}}) || !a.Equal(Map{{0, 100, 20}}) || a.Equal(Map{{0, 100, 19}}) || a.Equal(nil) || !Map(nil).Equal(Map{{1, 2, 0}}) {
		t.Error("Equal")
	}
}

func TestStrings(t *testing.T) {
	if got := (Map{{0, 100000, 65536}, {65536, UnmappedKernel, 1}}).String(); got != "0:100000:65536,65536:unmapped:1" {
		t.Error(got)
	}
	if got := Map(nil).String(); got != "nothing" {
		t.Error(got)
	}
	if got := (Map{{0, 100000, 65536}, {65536, 1, 1}}).Format(); got != "0 100000 65536\n65536 1 1\n" {
		t.Error(got)
	}
	many := make(Map, 20)
	for i := range many {
		many[i] = Extent{Inside(10 * i), 0, 2}
	}
	if got := insideRanges(many); strings.Count(got, ",") != 8 || !strings.HasSuffix(got, "12 more") {
		t.Error(got)
	}
}

// A disk can hold an id that the superblock's user namespace lacks (a file system that it mounted): nobody sees it.
func TestMountIDs(t *testing.T) {
	m := MountMap{{OnDisk: 0, SeenAs: 5000, Count: 100}}
	initial := MountIDs{Idmapped: true, Map: m, Superblock: Identity()}
	inner := MountIDs{Idmapped: true, Map: m, Superblock: Map{{0, UnmappedKernel, 50}}}
	tests := []struct {
		name string
		ids  MountIDs
		disk Disk
		seen Kernel
		back Disk
	}{
		{"idmapped", initial, 99, 5099, 99},
		{"idmapped, not covered", initial, 100, UnmappedKernel, UnmappedDisk},
		// The kernel has a number for what the reader cannot name.
		{"idmapped, of a superblock that the reader cannot name", inner, 49, 5049, 49},
		{"idmapped, not in the superblock's namespace", inner, 50, UnmappedKernel, UnmappedDisk},
		{"plain", MountIDs{Superblock: Map{{0, 100000, 10}}}, 5, 100005, 5},
		{"plain, not in the superblock's namespace", MountIDs{Superblock: Map{{0, 100000, 10}}}, 10, UnmappedKernel, UnmappedDisk},
		{"nothing is known", MountIDs{}, 0, UnmappedKernel, UnmappedDisk},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			seen := test.ids.SeenAs(test.disk)
			if seen != test.seen || test.ids.OnDisk(seen) != test.back {
				t.Errorf("%v on disk is seen as %v, and written as %v", test.disk, seen, test.ids.OnDisk(seen))
			}
		})
	}
	if inner.OnDisk(5050).Mapped() {
		t.Error("an id is stored that the superblock's namespace does not have")
	}
}

// A refusal names the ids that are missing and no others.
func TestMissingIDsAreNamed(t *testing.T) {
	parent := Map{{Inside: 100, Outside: 0, Count: 50}, {Inside: 0, Outside: 50, Count: 100}, {Inside: 200, Outside: 200, Count: 5}}
	grants := []Grant{{First: 100, Count: 50}, {First: 0, Count: 100}, {First: 200, Count: 5}}
	for _, tt := range []struct {
		first, count uint32
		want         string
	}{
		{0, 150, ""},
		{0, 151, "150"},
		{10, 300, "150-199, 205-309"},
		{203, 2, ""},
		{4294967290, 5, "4294967290-4294967294"},
	} {
		want := spanOf(tt.first, tt.count)
		if got := rangesText(want.without(parent.insides())); got != tt.want {
			t.Errorf("the parent has not %q of %v, want %q", got, want, tt.want)
		}
		if got := rangesText(notGranted(grants, want)); got != tt.want {
			t.Errorf("not granted are %q of %v, want %q", got, want, tt.want)
		}
	}
}

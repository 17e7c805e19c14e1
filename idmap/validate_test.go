package idmap

import (
	"slices"
	"strings"
	"testing"
)

// root is a writer in the initial user namespace that may do everything.
func root(kind Kind) Writer {
	return Writer{
		Kind: kind, Parent: Identity(),
		CapSysAdmin: true, CapSetID: true, CapSetFCAP: true, Setgroups: "allow",
	}
}

// ordinary is uid and gid 1000 without a capability, writing the map of a namespace that it made.
func ordinary(kind Kind) Writer {
	return Writer{
		Kind: kind, EUID: 1000, EGID: 1000, Owner: 1000, Parent: Identity(),
		CapSysAdmin: true, Setgroups: "deny",
	}
}

func rules(problems []Problem) []Rule {
	var names []Rule
	for _, p := range problems {
		names = append(names, p.Rule)
	}
	return names
}

func TestValidateNamesTheRule(t *testing.T) {
	limited := root(UID)
	limited.Parent = Map{{0, 100000, 10}, {10, 300000, 10}}
	stranger := ordinary(GID)
	stranger.EGID, stranger.Setgroups = UnmappedKernel, "allow"
	tests := []struct {
		name string
		w    Writer
		m    Map
		want []Rule
	}{
		{"root, a range", root(UID), Map{{0, 100000, 65536}}, nil},
		{"empty", root(UID), nil, []Rule{RuleEmpty}},
		{"zero count", root(UID), Map{{0, 1, 0}}, []Rule{RuleZeroCount}},
		{"no id", root(UID), Map{{0, UnmappedKernel, 1}}, []Rule{RuleInvalidID}},
		{"wrap", root(UID), Map{{10, 4294967290, 6}}, []Rule{RuleWrap}},
		{"overlap inside", root(UID), Map{{0, 1, 10}, {9, 100, 1}}, []Rule{RuleOverlapInside}},
		{"overlap outside", root(UID), Map{{0, 1, 10}, {10, 10, 1}}, []Rule{RuleOverlapOutside}},
		{"every overlap", root(UID), Map{{0, 1, 100}, {10, 101, 10}, {50, 201, 10}}, []Rule{RuleOverlapInside, RuleOverlapInside}},
		{"outside not in the parent", limited, Map{{0, 20, 1}}, []Rule{RuleOutsideUnmapped}},
		{"outside partly in the parent", limited, Map{{0, 19, 2}}, []Rule{RuleOutsideUnmapped}},
		{"outside across the parent's extents", limited, Map{{0, 9, 2}}, []Rule{RuleCrossesParent}},
		{"an ordinary user's range", ordinary(UID), Map{{0, 100000, 65536}}, []Rule{RuleSeveralIDs}},
		{"an ordinary user's two ids", ordinary(UID), Map{{0, 1000, 1}, {1, 1001, 1}}, []Rule{RuleSeveralExtents, RuleNotOwnID}},
		{"an ordinary user's own id", ordinary(UID), Map{{0, 1000, 1}}, nil},
		{"an id without a number in the parent", stranger, Map{{0, 1000, 1}}, []Rule{RuleNotOwnID, RuleSetgroups}},
		{"nothing is known", Writer{}, Map{{0, 1000, 1}}, []Rule{RuleNoSysAdmin, RuleNotOwnID, RuleOutsideUnmapped}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			problems := Validate(test.m, test.w)
			if got := rules(problems); !slices.Equal(got, test.want) {
				t.Errorf("rules %v, want %v", got, test.want)
			}
			for _, p := range problems {
				if p.Detail == "" || strings.HasSuffix(p.Detail, ".") || p.Errno != einval && p.Errno != eperm {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

// What a user is told to write instead must itself be accepted.
func TestValidateAcceptsWhatItProposes(t *testing.T) {
	w := ordinary(UID)
	problems := Validate(Map{{7, 100000, 65536}}, w)
	if len(problems) != 1 {
		t.Fatalf("%v", problems)
	}
	proposal, _, _ := strings.Cut(problems[0].Accepted, ",")
	e, err := ParseExtent(proposal)
	if err != nil {
		t.Fatal(err)
	}
	if left := Validate(Map{e}, w); len(left) > 0 {
		t.Errorf("%v is refused: %v", e, left)
	}
}

package nsinspect

import (
	"math"
	"testing"
)

// Anybody can make files whose sizes add up to more than 64 bits hold; the sum is then not a small one.
func TestAmountDoesNotWrap(t *testing.T) {
	var sum Amount
	for range 3 {
		sum.Add(Amount{Files: 1, Bytes: math.MaxInt64})
	}
	if want := (Amount{Files: 3, Bytes: math.MaxUint64}); sum != want {
		t.Errorf("three of the largest files are %+v, want %+v", sum, want)
	}
	sum.Add(Amount{Files: 1, Bytes: 1})
	if want := (Amount{Files: 4, Bytes: math.MaxUint64}); sum != want {
		t.Errorf("and one more is %+v, want %+v", sum, want)
	}
}

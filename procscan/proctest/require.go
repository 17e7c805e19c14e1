// Package proctest helps tests: it builds fake /proc trees for parsers and races, says what a test on the real
// kernel needs, and waits.
package proctest

import (
	"os"
	"strings"
	"testing"
)

// Need skips the test when what it needs is not there, and says why. Where the feature should be there
// (NSVIEW_TEST_REQUIRE lists it, or says "all"), the lack of it fails the test instead: a skip nobody notices is a test
// nobody runs.
//
// NSVIEW_TEST_REQUIRE is a comma-separated list of features, "all", and "-FEATURE" for exceptions: CI runs the tests as
// root with "all,-ordinary" and as an ordinary user with "all,-root".
func Need(t testing.TB, feature string, have bool, why string) {
	t.Helper()
	if have {
		return
	}
	if required(os.Getenv("NSVIEW_TEST_REQUIRE"), feature) {
		t.Fatalf("NSVIEW_TEST_REQUIRE wants %s, which is missing: %s", feature, why)
	}
	t.Skipf("needs %s: %s", feature, why)
}

// NeedRoot is Need for effective uid 0.
func NeedRoot(t testing.TB) {
	t.Helper()
	Need(t, "root", os.Geteuid() == 0, "not uid 0")
}

// NeedOrdinary is Need for an effective uid other than 0.
func NeedOrdinary(t testing.TB) {
	t.Helper()
	Need(t, "ordinary", os.Geteuid() != 0, "uid 0")
}

func required(list, feature string) bool {
	want := false
	for item := range strings.SplitSeq(list, ",") {
		switch item {
		case "all", feature:
			want = true
		case "-" + feature:
			return false
		}
	}
	return want
}

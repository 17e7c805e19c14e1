package proctest

import "os"

// Required reports whether the lack of a feature fails tests here (see Need), for what has no testing.TB to say so:
// the condition of a script.
func Required(feature string) bool { return required(os.Getenv("NSVIEW_TEST_REQUIRE"), feature) }

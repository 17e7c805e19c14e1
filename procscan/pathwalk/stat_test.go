package pathwalk

import (
	"encoding/json"
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever time somebody gave a file, what is told of it can be written as JSON.
func TestTimeThatJSONHas(t *testing.T) {
	for seconds, want := range map[int64]string{
		0: `"1970-01-01T00:00:00.000000001Z"`, -1: `"1969-12-31T23:59:59.000000001Z"`,
		lastSecond: `"9999-12-31T23:59:59.000000001Z"`, firstSecond: `"0000-01-01T00:00:00.000000001Z"`,
		lastSecond + 1: "null", firstSecond - 1: "null", math.MaxInt64: "null", math.MinInt64: "null",
	} {
		st := stat{mtime: unix.StatxTimestamp{Sec: seconds, Nsec: 1}}
		text, err := json.Marshal(st.modified())
		if err != nil || string(text) != want {
			t.Errorf("%d seconds: %s (%v), want %s", seconds, text, err, want)
		}
	}
}

package access

import "testing"

func TestParseKernel(t *testing.T) {
	for release, want := range map[string]Kernel{
		"6.18.44-arch1": {6, 18}, "5.10.0-28-amd64": {5, 10}, "6.1": {6, 1}, "7.0-rc1": {7, 0}, "4.19+": {4, 19}, "": {}, "next": {},
	} {
		if got := ParseKernel(release); got != want {
			t.Errorf("%q is read as %v, want %v", release, got, want)
		}
	}
}

package access

import (
	"strconv"
	"strings"
)

// Kernel is the version of a kernel, as far as the procedure differs between versions.
type Kernel struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
}

// ParseKernel reads the version of a release as uname(2) gives it: "6.18.44-arch1". What is no version is version 0.0,
// for which every difference of a later kernel is not there.
func ParseKernel(release string) Kernel {
	number := func(s string) int {
		end := strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' })
		if end < 0 {
			end = len(s)
		}
		n, _ := strconv.Atoi(s[:end])
		return n
	}
	major, rest, _ := strings.Cut(release, ".")
	return Kernel{Major: number(major), Minor: number(rest)}
}

// Since reports whether the kernel is at least the given version.
func (k Kernel) Since(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

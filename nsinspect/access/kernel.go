package access

// Kernel is the version of a kernel, as far as the procedure differs between versions.
type Kernel struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
}

// Since reports whether the kernel is at least the given version.
func (k Kernel) Since(major, minor int) bool {
	return k.Major > major || k.Major == major && k.Minor >= minor
}

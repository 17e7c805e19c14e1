//go:build !amd64

package trace

// Architectures that came later have clone(2) only.
func isFork(uint32) bool  { return false }
func isVfork(uint32) bool { return false }

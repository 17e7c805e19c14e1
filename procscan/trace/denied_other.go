//go:build !amd64

package trace

// oldCalls are those that newer architectures do not have.
func oldCalls() map[uint32]fsCall { return nil }

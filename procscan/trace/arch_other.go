//go:build !amd64 && !arm64

package trace

// nativeArch is not known: no call is read.
const nativeArch = 0

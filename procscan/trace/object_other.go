//go:build !amd64 && !arm64

package trace

// object is missing where the programs do not know the numbers of the system calls.
var object []byte

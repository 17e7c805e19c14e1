package trace

import _ "embed"

//go:embed bpf/trace_arm64.o
var object []byte

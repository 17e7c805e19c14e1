package trace

import _ "embed"

//go:embed bpf/trace_amd64.o
var object []byte

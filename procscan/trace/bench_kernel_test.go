package trace_test

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/trace"
)

// BenchmarkCalls is what a trace of the whole host costs system calls: getppid, write and this prctl are none of its events, a
// failed execve is one; with Denied the access(2) is looked at, and is not refused.
func BenchmarkCalls(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	calls := []struct {
		name string
		call func()
	}{
		{"getppid", func() { unix.Getppid() }},
		{"write", func() { _, _ = unix.Write(int(null.Fd()), []byte{0}) }},
		{"prctl", func() { _ = unix.Prctl(unix.PR_GET_DUMPABLE, 0, 0, 0, 0) }},
		{"execve", func() { _ = unix.Exec("/nonexistent", nil, nil) }},
		{"access", func() { _ = unix.Access("/", unix.F_OK) }},
	}
	run := func(b *testing.B) {
		for _, c := range calls {
			b.Run(c.name, func(b *testing.B) {
				for b.Loop() {
					c.call()
				}
			})
		}
	}
	b.Run("untraced", run)
	traced := func(b *testing.B, o trace.Options) {
		source, err := trace.OpenBPF(o)
		if err != nil {
			b.Skipf("no BPF: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- source.Run(ctx, func(*events.Event) error { return nil }) }()
		run(b)
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := source.Close(); err != nil {
			b.Error(err)
		}
	}
	b.Run("traced", func(b *testing.B) { traced(b, trace.Options{}) })
	b.Run("denied", func(b *testing.B) { traced(b, trace.Options{Denied: true}) })
}

package trace_test

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect/events"
	"github.com/nsview/nsview/procscan/trace"
)

// BenchmarkCalls is what a trace of the whole host costs system calls that are none of its events.
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
	b.Run("traced", func(b *testing.B) {
		source, err := trace.OpenBPF(trace.Options{})
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
	})
}

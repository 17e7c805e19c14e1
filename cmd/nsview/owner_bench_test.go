package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// BenchmarkOwnerTree runs nsview owner -R and find -printf in turn over one tree, both into a pipe, and reports the
// ratios of the medians. NSVIEW_BENCH_FILES is how many files the tree has.
func BenchmarkOwnerTree(b *testing.B) {
	find, err := exec.LookPath("find")
	if err != nil {
		b.Skip("needs find")
	}
	files, err := strconv.Atoi(os.Getenv("NSVIEW_BENCH_FILES"))
	if err != nil {
		files = 50_000
	}
	dir := b.TempDir()
	for i := range files {
		if i%500 == 0 {
			if err := os.MkdirAll(fmt.Sprintf("%s/%d/%d", dir, i/500/30, i/500), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		f, err := os.Create(fmt.Sprintf("%s/%d/%d/file-%d", dir, i/500/30, i/500, i))
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	peer := []string{find, dir, "-printf", `%U %G %m %p\n`}
	for name, args := range map[string][]string{"summary": nil, "jsonl": {"-o", "jsonl"}} {
		b.Run(name, func(b *testing.B) {
			ours := append([]string{"nsview", "owner", "-R", dir}, args...)
			var walls, cpus [2][]float64
			var peak int64
			for b.Loop() {
				for i, argv := range [][]string{peer, ours} {
					wall, usage := timed(b, argv)
					walls[i] = append(walls[i], wall.Seconds())
					cpus[i] = append(cpus[i], (time.Duration(usage.Utime.Nano()) + time.Duration(usage.Stime.Nano())).Seconds())
					if i == 1 {
						peak = max(peak, usage.Maxrss)
					}
				}
			}
			b.ReportMetric(median(walls[1])/median(walls[0]), "wall/find")
			b.ReportMetric(median(cpus[1])/median(cpus[0]), "cpu/find")
			b.ReportMetric(float64(peak)/1024, "peak-MB")
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// timed runs a command and reads what it prints.
func timed(b *testing.B, argv []string) (time.Duration, *syscall.Rusage) {
	b.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin), cmd.ProcessState.SysUsage().(*syscall.Rusage)
}

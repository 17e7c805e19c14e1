package procscan

import (
	"bytes"
	"os"
	"testing"
)

func BenchmarkScan(b *testing.B) {
	for _, bb := range []struct {
		name  string
		facts Fact
	}{{"processes", 0}, {"args", Args}, {"threads", Threads}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				snap, err := Scan(b.Context(), Options{Facts: bb.facts})
				if err != nil {
					b.Fatal(err)
				}
				n += len(snap.Processes)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/process")
		})
	}
}

func BenchmarkParseStat(b *testing.B) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var st stat
	for b.Loop() {
		if err := parseStat(text, &st); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseStatus(b *testing.B) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	var st status
	for b.Loop() {
		if err := parseStatus(text, &st); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseMountinfo(b *testing.B) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := parseMountinfo(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

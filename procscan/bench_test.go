package procscan

import "testing"

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

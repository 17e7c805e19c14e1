package idmap

import (
	"strings"
	"testing"
)

// longMap is as long as a map may be (user_namespaces(7)).
func longMap() Map {
	m := make(Map, 340)
	for i := range m {
		m[i] = Extent{Inside: Inside(i * 10), Outside: Kernel(100_000 + i*20), Count: 10}
	}
	return m
}

func BenchmarkTranslate(b *testing.B) {
	for name, m := range map[string]Map{"one extent": {{Inside: 0, Outside: 100_000, Count: 65536}}, "340 extents": longMap()} {
		last := m[len(m)-1].Outside
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !m.ToInside(last).Mapped() {
					b.Fatal("unmapped")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text := longMap().Format()
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if m, err := Parse(strings.NewReader(text)); err != nil || len(m) != 340 {
			b.Fatal(len(m), err)
		}
	}
}

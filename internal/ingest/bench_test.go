package ingest

import (
	"context"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
)

// void acknowledges everything.
type void struct{}

func (void) Append(context.Context, int, string, []byte) error { return nil }

func benchPublisher(b *testing.B) *Publisher {
	p := NewPublisher(Options{Log: void{}, Producer: "gw", Incarnation: 1})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx, time.Second) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		s := p.State()
		b.ReportMetric(float64(s.Dropped)/float64(s.Dropped+s.Recorded)*100, "%dropped")
	})
	return p
}

// BenchmarkRecord is what a request pays: one exposure into the ring and one category numbered, while
// the publishers empty the rings.
func BenchmarkRecord(b *testing.B) {
	record := func(p *Publisher, e *release.Exposure, n int, text []byte) {
		e.Bin = uint16(n * 37 % release.Bins)
		e.Values[0] = release.Value{Kind: release.ValueCategory, Cat: p.Category(testKey, 0, text)}
		p.Record(e)
	}
	b.Run("one", func(b *testing.B) {
		p := benchPublisher(b)
		e, text := exposure(1), []byte("approve")
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			record(p, &e, n, text)
			n++
		}
	})
	b.Run("parallel", func(b *testing.B) {
		p := benchPublisher(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			e, text := exposure(1), []byte("approve")
			for n := 0; pb.Next(); n++ {
				record(p, &e, n, text)
			}
		})
	})
}

// BenchmarkRing is the ring alone, one writer and one reader in turn.
func BenchmarkRing(b *testing.B) {
	r := newRing(1024)
	e := exposure(1)
	buf := make([]release.Exposure, 512)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%512 == 0 {
			take(r, buf)
		}
		r.put(&e)
	}
}

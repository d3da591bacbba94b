package gateway

import (
	"math/rand/v2"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
)

// A candidate that fails exactly as often as is tolerated opens the breaker less than once in a
// million requests. Seeded, so the count is the same each time.
func TestBreakerFalseAlarms(t *testing.T) {
	const requests = 3_000_000
	for _, p0 := range []float64{0.02, 0.1, 0.5} {
		b := newBreaker(assign.BreakerSpec{MaxFailureRate: p0, MinRequests: 20})
		rng := rand.New(rand.NewPCG(1, 2))
		trips := 0
		for range requests {
			if b.report(rng.Float64() < p0, false, rng.Uint64(), time.Time{}) {
				trips++
				b = newBreaker(assign.BreakerSpec{MaxFailureRate: p0, MinRequests: 20})
			}
		}
		// Poisson with mean at most 3: more than 12 has a chance of 2e-5.
		if trips > 12 {
			t.Errorf("p0 %v: %d false alarms in %d requests", p0, trips, requests)
		}
	}
}

func TestBreakerOpens(t *testing.T) {
	for _, c := range []struct {
		p0      float64
		minimum int
		units   uint64
		want    int // requests until it opens when all fail; 0: never
	}{
		{0.1, 0, 64, 9},
		{0.1, 30, 64, 30},
		{0.5, 0, 64, 35},
		{0.02, 0, 64, 5},
		{0.1, 0, 2, 0}, // two users who try again and again
		{0.1, 0, 3, 9},
		{0, 0, 64, 0},
		{1, 0, 64, 0},
		{-1, 0, 64, 0},
	} {
		b := newBreaker(assign.BreakerSpec{MaxFailureRate: c.p0, MinRequests: c.minimum})
		opened := 0
		for i := range uint64(1000) {
			if b.report(true, false, i%c.units, time.Time{}) {
				opened = int(i) + 1
				break
			}
		}
		if opened != c.want {
			t.Errorf("%+v: opened after %d", c, opened)
		}
	}
}

// One probe at a time; one that told nothing is given back.
func TestBreakerProbes(t *testing.T) {
	b := newBreaker(assign.BreakerSpec{MaxFailureRate: 0.1})
	now := time.Unix(0, 0)
	for i := range uint64(9) {
		b.report(true, false, i, now)
	}
	if ok, _ := b.admit(now); ok {
		t.Fatal("closed")
	}
	now = now.Add(breakerWait)
	if ok, probe := b.admit(now); !ok || !probe {
		t.Fatal("no probe")
	}
	if ok, _ := b.admit(now); ok {
		t.Fatal("two probes at once")
	}
	b.forgo(true)
	if ok, probe := b.admit(now); !ok || !probe {
		t.Fatal("the probe was not given back")
	}
	// A request that began before it opened tells nothing now.
	if b.report(false, false, 0, now); !b.open {
		t.Fatal("closed by an old request")
	}
	for want := 2 * breakerWait; ; want = min(2*want, breakerMaxWait) {
		b.report(true, true, 0, now)
		if wait := b.retryAt.Sub(now); wait != want {
			t.Fatalf("waits %v, want %v", wait, want)
		}
		if want == breakerMaxWait {
			break
		}
		now = b.retryAt
		b.admit(now)
	}
}

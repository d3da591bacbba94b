package server

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	maxDelay = time.Minute
	maxSigma = 3
)

// chance draws what happens to a request besides its answer. Two with the same options draw the same sequence.
type chance struct {
	median float64 // ns
	sigma  float64
	fail   float64

	mu  sync.Mutex
	rng *rand.Rand // guarded by mu; held for some 20 ns per request
}

func newChance(o Options) (*chance, error) {
	switch {
	case o.Delay < 0 || o.Delay > maxDelay:
		return nil, fmt.Errorf("options: Delay %v, want 0 to %v", o.Delay, maxDelay)
	case !(o.Sigma >= 0 && o.Sigma <= maxSigma):
		return nil, fmt.Errorf("options: Sigma %v, want 0 to %v", o.Sigma, maxSigma)
	case !(o.FailRate >= 0 && o.FailRate <= 1):
		return nil, fmt.Errorf("options: FailRate %v, want 0 to 1", o.FailRate)
	}
	const stream = 0x63726564_69740000 // any constant: the second half of the generator's state
	return &chance{
		median: float64(o.Delay), sigma: o.Sigma, fail: o.FailRate,
		rng: rand.New(rand.NewPCG(o.Seed, stream)),
	}, nil
}

// draw answers the service time of a request and whether it fails. Both numbers are drawn each time, so that the
// delays do not depend on the fail rate.
func (c *chance) draw() (delay time.Duration, fail bool) {
	c.mu.Lock()
	z, u := c.rng.NormFloat64(), c.rng.Float64()
	c.mu.Unlock()
	return time.Duration(min(c.median*math.Exp(c.sigma*z), float64(maxDelay))), u < c.fail
}

// wait passes d and says whether ctx lasted that long.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

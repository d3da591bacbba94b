package suite

import (
	"math"
	"time"
)

// pacer says when each request of a load starts: the rate rises evenly from nothing to its full over the ramp and stays
// there. A request that is late, because the machine was busy, is made up for; what is not started by the limit is
// given up. It implements vegeta.Pacer.
type pacer struct {
	rate  float64 // per second, full
	ramp  float64 // seconds
	total uint64
	limit time.Duration
}

// rampHits is how many requests start during the ramp.
func (p pacer) rampHits() float64 { return p.rate * p.ramp / 2 }

// due is when request number n, from 0, starts, in seconds: the time by which n requests should have started.
func (p pacer) due(n uint64) float64 {
	h := float64(n)
	if h < p.rampHits() {
		return math.Sqrt(2 * h * p.ramp / p.rate)
	}
	return p.ramp + (h-p.rampHits())/p.rate
}

// Pace implements vegeta.Pacer.
func (p pacer) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= p.total || elapsed > p.limit {
		return 0, true
	}
	at := time.Duration(p.due(hits) * float64(time.Second))
	return max(0, at-elapsed), false
}

// Rate implements vegeta.Pacer.
func (p pacer) Rate(elapsed time.Duration) float64 {
	if s := elapsed.Seconds(); s < p.ramp {
		return p.rate * s / p.ramp
	}
	return p.rate
}

// pace is the pace of the load, and how many of its requests are not counted: those of ramp and warm-up.
func (c *performanceCase) pace() (p pacer, before uint64) {
	p = pacer{rate: c.spec.Rate.PerSecond(), ramp: c.ramp.Seconds()}
	before = uint64(p.rampHits() + p.rate*c.warmUp.Seconds())
	p.total = before + max(1, uint64(math.Round(p.rate*c.duration.Seconds())))
	span := c.ramp + c.warmUp + c.duration
	p.limit = span + max(span/2, 2*time.Second)
	return p, before
}

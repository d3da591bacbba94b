//go:build browser

package console_test

import (
	"context"
	"math"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/judge"
)

// evidence is what a server that counts telemetry would say: one picture of each kind. The segment's value
// is what somebody could send.
func evidence() api.Evidence {
	shown := func(at, wide float64) judge.Shown {
		return judge.Shown{Estimate: at, Lo: at - wide, Hi: at + wide, Level: .9}
	}
	out := api.Evidence{Feedback: []api.FeedbackCount{{Metric: "correct", Arms: []api.FeedbackArm{{Exposures: 41210, N: 9120}, {Exposures: 41022, N: 9077}}}}}
	latency := judge.LatencyPicture{Metric: "slow", Arm: 1, From: judge.FromStrata, EdgesMs: []float64{4}}
	for i := range 30 {
		x := float64(i-15) / 5
		live, candidate := uint64(9000*math.Exp(-x*x)), uint64(9000*math.Exp(-(x+.4)*(x+.4)))
		latency.EdgesMs = append(latency.EdgesMs, 4*math.Pow(1.2, float64(i+1)))
		latency.Live, latency.Candidate = append(latency.Live, live), append(latency.Candidate, candidate)
		latency.LiveN, latency.CandidateN = latency.LiveN+live, latency.CandidateN+candidate
	}
	for _, q := range []float64{.5, .9, .95, .99} {
		latency.Quantiles = append(latency.Quantiles, judge.QuantilePicture{Quantile: q, Live: shown(50*q, 2), Candidate: shown(42*q, 2), Ratio: shown(.84, .05)})
	}
	out.Latencies = []judge.LatencyPicture{latency}
	out.Categories = []judge.CategoryPicture{{
		Metric: "decision", Arm: 1, From: judge.FromStrata, Classes: []string{"approve", "decline", "other"}, Live: []float64{26000, 15000, 210}, Candidate: []float64{27000, 14000, 22},
		LiveN: 41210, CandidateN: 41022, LiveEntropy: judge.Entropy{Bits: .99, MillerMadow: .99, Classes: 1.98}, CandidateEntropy: judge.Entropy{Bits: .93, MillerMadow: .93, Classes: 1.9},
		Divergence: shown(.006, .005), Margin: .05, Tolerate: .025,
	}}
	for i, value := range []string{"18-25", "26-40", hostile} {
		out.Segments = append(out.Segments, judge.SegmentPicture{
			Segment: "age", Value: value, Arm: 1, From: judge.FromStrata, LiveExposures: 13000, CandidateExposures: 13000,
			Metrics: []judge.SegmentMetric{{Metric: "errors", Unit: "pp", LiveN: 13000, CandidateN: 13000, Live: .009, Candidate: .0088, Difference: shown(-.02, .5), Flagged: i == 1}},
		})
	}
	p := judge.Posterior{Metric: "correct", Arm: 1, Unit: "pp", Model: "normal", Estimate: 1.4, SD: 1, PBetter: .9131, PWorseThanMargin: .008, PWithinMargin: .35, PBetterThanMargin: .642}
	for i := range 81 {
		z := float64(i-40) / 10
		p.X, p.Density = append(p.X, 1.4+z), append(p.Density, math.Exp(-z*z/2)/math.Sqrt(2*math.Pi))
	}
	out.Posteriors = []judge.Posterior{p}
	return out
}

// status adds a gateway that lags and one that is gone.
func status(_ context.Context, s *api.Status) {
	now := time.Now()
	s.ProcessRole, s.Started, s.Leader.Leading = "all", now.Add(-time.Hour), true
	s.Gateways = []api.GatewayStatus{
		{Name: "gateway-1", Alive: true, Generation: 7, Published: 7, Seen: now},
		{Name: "gateway-2", Alive: true, Generation: 6, Published: 7, Seen: now},
		{Name: "gateway-3", Generation: 4, Published: 7, Seen: now.Add(-time.Hour)},
	}
	s.Store = api.StoreStatus{Kind: "embedded", Healthy: true, Bytes: 48e6, Free: 91e9}
	s.Telemetry = api.TelemetryStatus{Queued: 3, Capacity: 65536}
}

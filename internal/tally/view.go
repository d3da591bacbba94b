package tally

import "sluice.dev/sluice/internal/release"

// View is what judge reads of one release: plain sums over all partitions, without the units behind
// them. Slices of length release.Bins are indexed by bin; nil means "nothing there".
type View struct {
	LogTime    int64         // Unix milliseconds, the latest time that was folded
	Baseline   bool          // the baseline mark was folded
	Categories [][]string    // by metric: names of the category indices, the last is "other"
	Strata     []StratumView // ascending by ID
	Segments   []SegmentView // over all serving strata: counts to show, never to compare (strata must not be pooled)
	// Positions are, by partition, the last entry of its log that was folded: what a replay must fold to
	// arrive at the same view. Not part of Hash.
	Positions [release.Partitions]uint64
	Counters  Counters
}

// StratumView holds the sums of one stratum.
type StratumView struct {
	ID    uint16
	Epoch uint8
	Kind  release.ExposureKind // Serve or WouldBe
	Arms  []ArmView            // by arm
	Pairs *PairView            // shadow only
	// Segments of this stratum: of what was served, or in a shadow step of pairs (arm 0 live's answers, arm 1 the copies').
	Segments []SegmentView
}

// ArmView holds the sums of one arm in one stratum.
type ArmView struct {
	Exposures uint64
	Units     uint64 // units seen in this stratum on this arm (estimated when the set is thinned)
	NewUnits  uint64 // units whose first exposure since the release began was here (R8)
	Outcomes  uint64 // of the NewUnits' kind: units with a first outcome here (R7)
	Seen      uint64 // exposures that the gateways counted
	Dropped   uint64 // of those, never recorded
	Metrics   []MetricView
}

// MetricView holds one metric's sums of one arm in one stratum. Values are as measured, not harm
// oriented.
type MetricView struct {
	N, Y  []float64 // by bin: observations, and their sum (event or proportion: occurrences; latency: milliseconds)
	SumSq float64   // over all observations
	Event EventView
	// Latency after the baseline, by threshold and bin: exceedances. Live counts X > x in Over; a
	// candidate counts X > tolerate*x in Over and X > margin*x in OverMargin.
	Over, OverMargin [][]float64
	// Latency of a candidate, by bin: exceedances of live's x itself, at the declared quantile; live's are in Over. nil:
	// not counted.
	OverLive []float64
	// Category, by category and bin.
	Category [][]float64
	Hist     []uint64 // latency: counts by histogram bucket, see Edge; means, before the baseline only: see ValueEdge
	// Means: observations and their sum before winsorising and before the mark, which clears N, Y and
	// SumSq of means that get a cap, and of latencies. For display.
	RawN uint64
	RawY float64
}

// EventView holds one event metric's units (R1, R3) of one arm in one stratum.
type EventView struct {
	First  uint64 // E1: units whose first event of the epoch fell here
	Ever   uint64 // of First: units without an event in any earlier epoch (R1's release-long process)
	Closed uint64 // R3: sampled units of this stratum whose window is over
	With   uint64 // of those, with the event inside their window
}

// PairView holds the paired comparisons of a shadow stratum: the copy's answer minus live's, on the
// same request.
type PairView struct {
	Complete uint64 // both answers are there
	Scored   uint64 // ... and the feedback of every agree metric
	Metrics  []PairMetricView
}

// PairMetricView is one metric's paired sums.
type PairMetricView struct {
	N, D      []float64 // by bin: pairs, and the sum of candidate minus live (latency: by threshold, see Over)
	SumSq     float64   // of the differences
	LiveY     float64   // sums of both sides, for display
	CandY     float64
	LiveSumSq float64
	// Units once, at their first discordant pair (R8).
	LiveOnly, CandOnly uint64
	// Latency after the baseline, by threshold and bin: I(candidate > f x) - I(live > x).
	Over, OverMargin [][]float64
	OverLive         []float64 // likewise I(candidate > x) - I(live > x), at the declared quantile
	// Latency: histograms of both answers, see Edge.
	LiveHist, CandHist []uint64
	// Category, by category and bin, for both answers of the same requests.
	Live, Cand [][]float64
}

// SegmentView holds the per-segment sums, without bins: shown, never deciding.
type SegmentView struct {
	Name, Value string
	Arms        []SegmentArm
}

// SegmentArm is one arm of one segment.
type SegmentArm struct {
	Exposures uint64
	N, Y      []float64 // by metric
	Q         []float64 // by metric: sum of squares; pairs, arm 1: of the differences
}

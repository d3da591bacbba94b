package judge

import (
	"math"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

var noon = time.UnixMilli(1_700_000_000_000)

// liveWorld fills one stratum with live's observations of one 0/1 metric.
func liveWorld(kind release.ExposureKind, arms []float64, perBin float64, bins int, rate float64) *world {
	w := newWorld(1, 1, 0, 1)
	w.openStratum(1, kind, arms...)
	for a := range arms {
		m := &w.stratum().Arms[a].Metrics[0]
		fill(m, bins, perBin, perBin*rate)
		m.SumSq = float64(bins) * perBin * rate
	}
	return w
}

func TestBaselineClassByTheRarerOutcome(t *testing.T) {
	for _, tc := range []struct {
		kind   release.MetricKind
		rate   float64
		class  release.MetricClass
		invert bool
	}{
		{release.MetricEvent, 0.01, release.ClassEvent, false},
		{release.MetricEvent, 0.1, release.ClassBoth, false},
		{release.MetricEvent, 0.6, release.ClassBoth, false},
		{release.MetricProportion, 0, release.ClassEvent, false},
		{release.MetricProportion, 0.02, release.ClassEvent, false},
		{release.MetricProportion, 0.1, release.ClassBoth, false},
		{release.MetricProportion, 0.3, release.ClassFrequent, false},
		{release.MetricProportion, 0.7, release.ClassFrequent, false},
		{release.MetricProportion, 0.9, release.ClassBoth, true},
		{release.MetricProportion, 0.97, release.ClassEvent, true},
		{release.MetricProportion, 1, release.ClassEvent, true},
	} {
		m := correctMetric()
		m.Kind, m.Source = tc.kind, "error"
		w := liveWorld(release.ExposureServe, []float64{0.5, 0.5}, 1, release.Bins, tc.rate)
		b, missing := MakeBaseline(model(m), w.view, w.strata, noon)
		if b == nil {
			t.Fatalf("%v at %v: %s", tc.kind, tc.rate, missing)
		}
		got := b.Metrics["correct"]
		if got.Class != tc.class || got.Invert != tc.invert || got.N != release.Bins {
			t.Errorf("%v at %v: %+v, want %s, inverted %v", tc.kind, tc.rate, got, tc.class, tc.invert)
		}
		if math.Abs(got.Variance-tc.rate*(1-tc.rate)) > 1e-12 {
			t.Errorf("v0 %v", got.Variance)
		}
	}
}

func TestBaselineSaysWhatIsMissing(t *testing.T) {
	m := errorsMetric()
	for _, tc := range []struct {
		name     string
		perBin   float64
		bins     int
		requests release.Rate
		want     string
	}{
		{"few", 1, 100, 0, "errors: 100 of 500 observations of live"},
		{"declared traffic", 1, 1000, 300, "errors: 1,000 of 3,000 observations of live"},
		{"few users", 100, 10, 0, "worth 10 independent ones, 20 needed"},
		{"enough", 1, 600, 0, ""},
	} {
		mod := model(m)
		mod.Spec.Traffic.Requests = tc.requests
		w := liveWorld(release.ExposureServe, []float64{0.5, 0.5}, tc.perBin, tc.bins, 0.01)
		b, missing := MakeBaseline(mod, w.view, w.strata, noon)
		if (b == nil) != (tc.want != "") || !strings.Contains(missing, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, missing, tc.want)
		}
		if b != nil && b.Made != noon.UnixMilli() {
			t.Errorf("made at %d", b.Made)
		}
	}
	if b, missing := MakeBaseline(model(m), nil, nil, noon); b != nil || missing == "" {
		t.Errorf("no view: %v %q", b, missing)
	}
}

func TestBaselineReadsLiveOnly(t *testing.T) {
	mod := model(errorsMetric())
	shadow := liveWorld(release.ExposureWouldBe, []float64{0.5, 0.5}, 0.5, release.Bins, 0.01)
	if b, missing := MakeBaseline(mod, shadow.view, shadow.strata, noon); b == nil || b.Metrics["errors"].N != release.Bins {
		t.Errorf("would-be arms are live's: %v %q", b, missing)
	}
	served := liveWorld(release.ExposureServe, []float64{0.5, 0.5}, 1, release.Bins, 0.01)
	fill(&served.stratum().Arms[1].Metrics[0], release.Bins, 1, 1) // the candidate always fails
	if b, _ := MakeBaseline(mod, served.view, served.strata, noon); b == nil || math.Abs(b.Metrics["errors"].Mean-0.01) > 1e-12 {
		t.Errorf("the candidate's failures are not live's: %+v", b)
	}
}

func TestBaselineDoesNotWaitForSlowFeedbackOrWatch(t *testing.T) {
	slow, watched := correctMetric(), costMetric()
	slow.Window = release.Duration(time.Hour)
	watched.Role = release.Watch
	w := liveWorld(release.ExposureServe, []float64{0.5, 0.5}, 1, release.Bins, 0.01)
	for a := range w.stratum().Arms {
		w.stratum().Arms[a].Metrics = append(w.stratum().Arms[a].Metrics, tally.MetricView{}, tally.MetricView{})
	}
	b, missing := MakeBaseline(model(errorsMetric(), slow, watched), w.view, w.strata, noon)
	if b == nil {
		t.Fatal(missing)
	}
	if got := b.Metrics["correct"]; got.Class != release.ClassBoth || !got.Invert {
		t.Errorf("a rate that is not known yet: %+v", got)
	}
	if _, ok := b.Metrics["cost"]; ok {
		t.Error("nothing can be frozen of a metric that was never seen")
	}
	quick := correctMetric()
	quick.Window = release.Duration(10 * time.Second)
	if b, missing := MakeBaseline(model(errorsMetric(), quick), w.view, w.strata, noon); b != nil || !strings.Contains(missing, "correct: 0 of 500") {
		t.Errorf("quick feedback is waited for: %q", missing)
	}
}

func TestBaselineThresholds(t *testing.T) {
	w := newWorld(9, 3000, 0.5, 1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 8000 {
		u, arm := w.next()
		w.meet(u, arm)
		w.latency(u, arm, 0, math.Exp(3+0.7*w.rng.NormFloat64()), nil)
	}
	m := slowMetric()
	m.Quantile = 0.97
	b, missing := MakeBaseline(model(m), w.view, w.strata, noon)
	if b == nil {
		t.Fatal(missing)
	}
	th := b.Metrics["slow"].Thresholds
	if len(th) != 6 || th[4].Quantile != 0.97 {
		t.Fatalf("thresholds %+v", th)
	}
	for _, x := range th {
		want := math.Exp(3+0.7*normalQuantile(x.Quantile)) * 1000
		if r := float64(x.X) / want; r < 0.85 || r > 1.18 {
			t.Errorf("%v: %d us, want about %.0f", x.Quantile, x.X, want)
		}
		for _, e := range []uint32{x.X, x.Tolerate, x.Margin} {
			if tally.Snap(e) != e {
				t.Errorf("%d is not an edge", e)
			}
		}
		if r := float64(x.Margin) / float64(x.X); math.Abs(r-1.25) > 0.02 {
			t.Errorf("margin %v", r)
		}
	}
}

func TestBaselineMeanAndCategories(t *testing.T) {
	w := newWorld(9, 3000, 0.5, 2)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	w.view.Categories = [][]string{nil, {"no", "yes", "rare", "other"}}
	hist := make([]uint64, tally.ValueBuckets)
	for i := range 6000 {
		u, arm := w.next()
		w.meet(u, arm)
		y := math.Exp(w.rng.NormFloat64())
		if arm == 0 {
			hist[tally.ValueBucket(y)]++
		}
		w.observe(u, arm, 0, y, false)
		cat := int(one(w.flip(0.7)))
		if i < 6 {
			cat = 2
		}
		w.answer(u, arm, 1, cat, 4)
	}
	w.stratum().Arms[0].Metrics[0].Hist = hist
	b, missing := MakeBaseline(model(costMetric(), decisionMetric()), w.view, w.strata, noon)
	if b == nil {
		t.Fatal(missing)
	}
	if c := b.Metrics["cost"]; c.Class != release.ClassFrequent || c.Cap < 8 || c.Cap > 13 || c.Variance < 2 || c.Variance > 9 {
		t.Errorf("cost of exp(Z): p99 is 10.2, variance 4.7: %+v", c)
	}
	if d := b.Metrics["decision"]; d.Class != release.ClassDistribution || strings.Join(d.Categories, " ") != "yes no" {
		t.Errorf("most frequent first, rare ones are other: %+v", d)
	}
}

// TestEdgesKeepBothPromises: no declared factor is asked for more strictly than it says, nor a margin shown beyond it.
func TestEdgesKeepBothPromises(t *testing.T) {
	for _, f := range []struct{ tolerate, margin float64 }{{1, 1.25}, {1.1, 1.25}, {1.05, 1.1}, {1.37, 2}, {1.1, 1.5}} {
		m := slowMetric()
		m.Tolerate, m.Margin = factorOf(f.tolerate), factorOf(f.margin)
		for i := tally.Bucket(200); i < tally.Bucket(60_000_000); i++ {
			x := float64(tally.Edge(i))
			tol, mar := Edges(&m, tally.Edge(i))
			if r := float64(tol) / x; r < f.tolerate-1e-9 || r > 1.025*f.tolerate {
				t.Fatalf("%v tolerated at %v: %v", f.tolerate, x, r)
			}
			if r := float64(mar) / x; r > f.margin+1e-9 || r < f.margin/1.025 {
				t.Fatalf("margin %v at %v: %v", f.margin, x, r)
			}
		}
	}
	m := slowMetric()
	m.Tolerate, m.Margin = factorOf(1), factorOf(1.001)
	x := tally.Snap(100_000)
	if tol, mar := Edges(&m, x); tol != x || mar != tally.Edge(tally.Bucket(x)+1) {
		t.Errorf("finer than an edge: %d %d beside %d", tol, mar, x)
	}
	m.Margin = release.Margin{Value: 1e9, Unit: release.Factor}
	if _, mar := Edges(&m, x); mar < 1<<31 {
		t.Errorf("a margin beyond every latency: %d", mar)
	}
}

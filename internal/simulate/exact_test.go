package simulate

import (
	"fmt"
	"math"
	"testing"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// small is a plan whose metrics are of every kind, can be drawn independently, request by request.
const small = `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: small}
spec:
  match: {path: /small}
  dialect: json
  unit: {from: [header:X-User], missing: live}
  traffic: {requests: 20/s, users: 300/day}
  versions: {v1: {url: "http://127.0.0.1:1"}, v2: {url: "http://127.0.0.1:2"}}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 5pp, role: guardrail, window: 1m}
    - {name: slow, source: latency, margin: 1.25x, role: guardrail}
    - {name: correct, source: "agree(json:answer, feedback:outcome)", window: 30s, direction: higher, margin: 10pp, role: objective}
    - {name: kind, source: json:kind, kind: category, margin: 0.2bits, role: guardrail}
    - {name: cost, source: json:cost, kind: mean, direction: lower, margin: 30%, role: guardrail}
    - {name: answers, source: json:answer, kind: category, margin: 0.3bits, role: watch}
    - {name: outcomes, source: feedback:outcome, kind: proportion, direction: higher, window: 30s, role: watch}
    - {name: timeouts, source: timeout, role: watch}
  plan:
    steps:
      - shadow: {share: 100%, until: {pairs: 800}, deadline: 1h}
      - abTest: {share: 30%, goal: noWorse, hold: 2m, deadline: 1h}
      - approval: {by: [operator]}
      - canary: {shares: [50%], hold: 2m, deadline: 1h}
      - production: {holdback: 20%, watch: 5m}
`

func smallModel(t testing.TB) *release.Model {
	t.Helper()
	m, faults := release.ParseModel("small.yaml", []byte(small))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}

// figure is one number of a view, by name.
type figures map[string]float64

// drive takes a source through a shadow stratum, the baseline, and a serving stratum.
func drive(t *testing.T, o *Options, src source) figures {
	t.Helper()
	share := func(s float64) func(uint64) uint8 {
		return func(h uint64) uint8 {
			if float64(h) < s*math.MaxUint64 {
				return 1
			}
			return 0
		}
	}
	strata := []judge.Stratum{{ID: 1, Kind: release.ExposureWouldBe, Shares: []release.Share{700_000, 300_000}}}
	src.open(served{id: 1, kind: release.ExposureWouldBe, mirror: release.Whole, armOf: share(0.3)})
	src.advance(60_000)
	b, why := judge.MakeBaseline(o.Model, src.view(), strata, epoch)
	if b == nil {
		t.Fatal(why)
	}
	// The thresholds depend on chance: fixed ones make runs comparable.
	slow := b.Metrics["slow"]
	slow.Thresholds = nil
	for _, x := range []struct {
		q  float64
		us uint32
	}{{0.5, 100_000}, {0.75, 140_000}, {0.9, 190_000}, {0.95, 228_000}, {0.99, 320_000}} {
		slow.Thresholds = append(slow.Thresholds, release.Threshold{
			Quantile: x.q, X: tally.Snap(x.us), Tolerate: tally.Snap(x.us * 11 / 10), Margin: tally.Snap(x.us * 5 / 4),
		})
	}
	b.Metrics["slow"] = slow
	cost := b.Metrics["cost"]
	cost.Cap = 5
	b.Metrics["cost"] = cost
	src.mark(b)
	src.advance(80_000)
	src.open(served{id: 2, epoch: 1, kind: release.ExposureServe, armOf: share(0.3)})
	src.advance(100_000)
	src.advance(300_000)
	f := read(o.Model, src.view())
	f["exposed users"] = float64(src.users())
	return f
}

func read(m *release.Model, v *tally.View) figures {
	f := figures{}
	for i := range v.Strata {
		st := &v.Strata[i]
		for a := range st.Arms {
			arm := &st.Arms[a]
			at := fmt.Sprintf("stratum %d arm %d ", st.ID, a)
			f[at+"exposures"], f[at+"units"] = float64(arm.Exposures), float64(arm.Units)
			f[at+"new units"], f[at+"outcomes"] = float64(arm.NewUnits), float64(arm.Outcomes)
			for j, mv := range arm.Metrics {
				name := at + m.Spec.Metrics[j].Name + " "
				f[name+"n"], f[name+"y"] = sum(mv.N), sum(mv.Y)
				f[name+"first"], f[name+"ever"] = float64(mv.Event.First), float64(mv.Event.Ever)
				f[name+"closed"], f[name+"with"] = float64(mv.Event.Closed), float64(mv.Event.With)
				if m.Spec.Metrics[j].Kind != release.MetricLatency {
					f[name+"variance"] = variance(mv.N, mv.Y)
				} else {
					delete(f, name+"y")
				}
				for k, r := range mv.Over {
					f[name+fmt.Sprint("over ", k)] = sum(r)
				}
				if a == 1 && len(mv.OverMargin) > 3 {
					f[name+"over margin"], f[name+"over live's"] = sum(mv.OverMargin[3]), sum(mv.OverLive)
				}
				for k, r := range mv.Category {
					if k < 3 {
						f[name+fmt.Sprint("class ", v.Categories[j][k])] = sum(r)
					}
				}
			}
		}
		if p := st.Pairs; p != nil {
			f["complete"], f["scored"] = float64(p.Complete), float64(p.Scored)
			for j, mv := range p.Metrics {
				name := "pairs " + m.Spec.Metrics[j].Name + " "
				f[name+"n"], f[name+"d"] = sum(mv.N), sum(mv.D)
				f[name+"live only"], f[name+"candidate only"] = float64(mv.LiveOnly), float64(mv.CandOnly)
				if m.Spec.Metrics[j].Kind == release.MetricLatency {
					delete(f, name+"d")
				} else {
					f[name+"live"], f[name+"candidate"] = mv.LiveY, mv.CandY
				}
				for k, r := range mv.Over {
					f[name+fmt.Sprint("over ", k)] = sum(r)
				}
				f[name+"over live's"] = sum(mv.OverLive)
			}
		}
	}
	return f
}

func sum(xs []float64) (s float64) {
	for _, x := range xs {
		s += x
	}
	return s
}

// variance is R2's variance over bins of the sum, per observation.
func variance(n, y []float64) float64 {
	theta := sum(y) / math.Max(1, sum(n))
	v := 0.0
	for b := range n {
		v += (y[b] - theta*n[b]) * (y[b] - theta*n[b])
	}
	return v / math.Max(1, sum(n))
}

// TestSampledLikeExact: what the fast source draws has the mean and the spread of what package tally folds from single requests.
func TestSampledLikeExact(t *testing.T) {
	const reps = 40
	o, err := Options{
		Model: smallModel(t), ICC: 0.2, Activity: DefaultActivity, FeedbackRate: 0.8, FeedbackDelay: 5 * time.Second, Seed: 3, Exact: true,
		Truth:    map[string]Effect{"errors": {2, release.Points}, "slow": {1.3, release.Factor}, "kind": {0.05, release.Bits}, "cost": {1.2, release.Factor}},
		Base:     map[string]Base{"errors": {Mean: 0.05}},
		Incident: &Incident{Metric: "errors", Effect: Effect{20, release.Points}, At: 150 * time.Second, For: 30 * time.Second},
	}.complete()
	if err != nil {
		t.Fatal(err)
	}
	pop := newPopulation(&o)
	all := [2]map[string][]float64{{}, {}}
	for i := range uint64(reps) {
		slow, err := newExact(&o, pop, newChance(1, i))
		if err != nil {
			t.Fatal(err)
		}
		for k, src := range []source{newSampled(&o, pop, newChance(2, i), newMemory()), slow} {
			for name, x := range drive(t, &o, src) {
				all[k][name] = append(all[k][name], x)
			}
		}
	}
	if len(all[0]) < 100 {
		t.Errorf("only %d figures are compared", len(all[0]))
	}
	for name, fast := range all[0] {
		compare(t, name, fast, all[1][name])
	}
	for name := range all[1] {
		if all[0][name] == nil {
			t.Errorf("the fast source has no %s", name)
		}
	}
}

// compare fails if means differ by more than 5 standard errors (and 1 %), or spreads by more than a factor of 2.5 where they are not small.
func compare(t *testing.T, name string, fast, slow []float64) {
	t.Helper()
	m1, s1 := meanSD(fast)
	m2, s2 := meanSD(slow)
	se := math.Sqrt(s1*s1/float64(len(fast)) + s2*s2/float64(max(1, len(slow))))
	if diff := math.Abs(m1 - m2); diff > 5*se+0.01*math.Abs(m2)+0.05 {
		t.Errorf("%s: mean %.4g fast, %.4g request by request (se %.2g)", name, m1, m2, se)
	}
	if (s1 > 2.5*s2+0.5 || s2 > 2.5*s1+0.5) && s1+s2 > 0.05*math.Abs(m2) {
		t.Errorf("%s: sd %.4g fast, %.4g request by request (mean %.4g)", name, s1, s2, m2)
	}
}

func meanSD(xs []float64) (mean, sd float64) {
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		sd += (x - mean) * (x - mean) / float64(len(xs)-1)
	}
	return mean, math.Sqrt(sd)
}

package judge

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// kept5 is a version that is live, with a hold-back of 5 %: the present stratum's counts, window by window.
type kept5 struct {
	rng  *rand.Rand
	in   Input
	now  time.Time
	s    Standing
	arms []tally.ArmView
}

func newKept(t *testing.T, seed uint64, live float64) *kept5 {
	t.Helper()
	k := &kept5{rng: rand.New(rand.NewPCG(seed, 11)), now: time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)}
	view := &tally.View{Baseline: true, Strata: []tally.StratumView{{ID: 1, Kind: release.ExposureServe, Arms: make([]tally.ArmView, 2)}}}
	k.arms = view.Strata[0].Arms
	for a := range k.arms {
		k.arms[a].Metrics = make([]tally.MetricView, 1)
	}
	k.in = Input{
		Model: model(errorsMetric()), Baseline: frozen("errors", eventBaseline(live)), View: view,
		Strata: []Stratum{{ID: 1, Kind: release.ExposureServe, Shares: []release.Share{50_000, 950_000}}},
	}
	k.window(2000, live, live) // what the release counted before
	s, ok := BeginStanding(k.in, 0, k.now)
	if !ok {
		t.Fatal("there is nothing to watch")
	}
	k.s = s
	return k
}

// window lets so many new users come, some of whom meet with the event.
func (k *kept5) window(users int, live, cand float64) {
	for range users {
		arm, p := 1, cand
		if k.rng.Float64() < 0.05 {
			arm, p = 0, live
		}
		e := &k.arms[arm].Metrics[0].Event
		e.Closed++
		if k.rng.Float64() < p {
			e.With++
			e.First++
		}
	}
}

func (k *kept5) close(t *testing.T) StandingLook {
	t.Helper()
	k.now = k.now.Add(StandingWindow)
	s, err := k.s.Close(k.in, k.now)
	if err != nil {
		t.Fatal(err)
	}
	k.s = s
	return s.Look
}

// TestR9StandingWatchKeepsItsPromise: over n windows, at most n/ARL false alarms, at live's rate and with a candidate that is
// worse by what is tolerated.
func TestR9StandingWatchKeepsItsPromise(t *testing.T) {
	n, alarms := runs(20, 400), 0
	const windows = 144
	for seed := range n {
		cand := []float64{0.01, 0.0125}[seed%2]
		k := newKept(t, uint64(seed), 0.01)
		alarmed := false
		for range windows {
			k.window(10_000, 0.01, cand)
			alarmed = alarmed || k.close(t).Alarm
		}
		alarms += int(one(alarmed))
	}
	t.Logf("%d of %d watched days with an alarm", alarms, n)
	if got := float64(alarms) / float64(n); got > limit(windows/float64(StandingARL), n) {
		t.Errorf("false alarms in %.3f, promised %.3f", got, windows/float64(StandingARL))
	}
}

// TestStandingWatchFindsHarm: after a quiet time errors rise; also where live has none at all.
func TestStandingWatchFindsHarm(t *testing.T) {
	for _, c := range []struct {
		live, cand float64
		within     int
	}{{0.01, 0.05, 80}, {0, 0.1, 80}} {
		k := newKept(t, 3, c.live)
		for range 30 {
			k.window(400, c.live, c.live)
			if l := k.close(t); l.Alarm {
				t.Fatalf("an alarm before anything changed: %s", l.Reason)
			}
		}
		at := k.now
		for i := 1; ; i++ {
			k.window(400, c.live, c.cand)
			l := k.close(t)
			if l.Alarm {
				t.Logf("%v -> %v: alarm after %d windows, %d starts: %s", c.live, c.cand, i, len(k.s.Starts), l.Reason)
				if d := l.Since.Sub(at).Abs(); d > 2*time.Hour || l.Metric != "errors" {
					t.Errorf("%s since %v, really since %v", l.Metric, l.Since, at)
				}
				if !strings.HasPrefix(l.Reason, "errors: worse since about ") || !strings.Contains(l.Reason, " of the hold-back") {
					t.Errorf("reason %q", l.Reason)
				}
				break
			}
			if i > c.within {
				t.Fatalf("%v -> %v: no alarm after %d windows: %+v", c.live, c.cand, i, l)
			}
		}
	}
}

func TestStandingWatchGoesOnFromWhatIsStored(t *testing.T) {
	k := newKept(t, 8, 0.02)
	var stored Standing
	for i := range 40 {
		k.window(100, 0.02, 0.03)
		raw, err := json.Marshal(k.s)
		if err != nil {
			t.Fatal(err)
		}
		if stored = (Standing{}); json.Unmarshal(raw, &stored) != nil {
			t.Fatal("unreadable")
		}
		again, err := stored.Close(k.in, k.now.Add(StandingWindow))
		if err != nil {
			t.Fatal(err)
		}
		k.close(t)
		if !reflect.DeepEqual(again, k.s) {
			t.Fatalf("window %d: the stored watch became %+v, the other %+v", i, again.Look, k.s.Look)
		}
	}
	if l := k.s.Look; l.Within != 40.0/StandingARL || l.Bar != math.Log(StandingARL) || k.s.Windows != 40 {
		t.Errorf("look %+v", l)
	}
}

func TestStandingWatchRefusesWhatFell(t *testing.T) {
	for name, spoil := range map[string]func(*tally.EventView){
		"first":  func(e *tally.EventView) { e.First-- },
		"closed": func(e *tally.EventView) { e.Closed-- },
	} {
		k := newKept(t, 4, 0.2)
		spoil(&k.arms[1].Metrics[0].Event)
		if s, err := k.s.Close(k.in, k.now); err == nil || !reflect.DeepEqual(s, k.s) {
			t.Errorf("%s: fell and is taken: %v", name, err)
		}
	}
}

func TestNothingToWatch(t *testing.T) {
	k := newKept(t, 1, 0.01)
	for name, spoil := range map[string]func(*Input){
		"no hold-back": func(in *Input) { in.Strata = []Stratum{{ID: 1, Shares: []release.Share{0, release.Whole}}} },
		"no baseline":  func(in *Input) { in.Baseline = nil },
		"frequent": func(in *Input) {
			in.Model, in.Baseline = model(correctMetric()), frozen("correct", frequentBaseline(0.8))
		},
		"role watch": func(in *Input) {
			m := errorsMetric()
			m.Role = release.Watch
			in.Model = model(m)
		},
	} {
		in := k.in
		spoil(&in)
		if s, ok := BeginStanding(in, 0, k.now); ok {
			t.Errorf("%s: watches %+v", name, s.Metrics)
		}
	}
}

// A calibrated p-value has mean 1 under uniform p.
func TestCalibratedPValueIsAnEValue(t *testing.T) {
	sum, n := 0.0, 200_000
	for i := range n { // substitute p = u^8 to tame the pole at 0
		u := (float64(i) + 0.5) / float64(n)
		sum += math.Exp(calibrated(-8*math.Log(u))) * 8 * math.Pow(u, 7) / float64(n)
	}
	if sum > 1 || sum < 0.9 { // the pole's rest decays with 1/ln p
		t.Errorf("mean %v", sum)
	}
	if calibrated(0) != -math.Ln2 || math.Abs(calibrated(2e-3)+math.Ln2) > 0.01 {
		t.Error("at p = 1 it is 1/2")
	}
}

package judge

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"sluice.dev/sluice/internal/stats"
)

var pager = WatchRule{Sigma: 0.5, ARL: 1000, Alpha: 0.05}

// stream draws events of a hold-back and the new version at one share, in windows of so many events.
type stream struct {
	rng *rand.Rand
	w   Watch
	c   stats.LabelStratum
}

func newStream(seed uint64) *stream {
	return &stream{rng: rand.New(rand.NewPCG(seed, 9)), c: stats.LabelStratum{Rho: 0.5}}
}

func (s *stream) window(t *testing.T, events int, ratio float64) {
	t.Helper()
	theta := s.c.Rho * ratio / (1 - s.c.Rho + s.c.Rho*ratio)
	for range events {
		if s.rng.Float64() < theta {
			s.c.KB++
		} else {
			s.c.KA++
		}
	}
	var err error
	if s.w, err = s.w.Advance([]stats.LabelStratum{s.c}); err != nil {
		t.Fatal(err)
	}
}

func (s *stream) look(t *testing.T, r WatchRule) WatchLook {
	t.Helper()
	l, err := s.w.Look(r)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestR9WatchFindsALateChange is D13 in small: after 10,000 harmless events the rate ratio becomes 1.5; a launch process
// needs about 1,860 more. The targets are 420 for e-SR and 650 for the start-time mixture, which pays ln 2,054 for a start at window 100.
func TestR9WatchFindsALateChange(t *testing.T) {
	const events, quiet = 100, 100
	var esr, mixture []int
	n := runs(41, 400)
	for seed := range n {
		s := newStream(uint64(seed))
		for range quiet {
			s.window(t, events, 1)
		}
		e, m := 0, 0
		for i := 1; i <= 60 && (e == 0 || m == 0); i++ {
			s.window(t, events, 1.5)
			l := s.look(t, pager)
			if l.ESR && e == 0 {
				e = i * events
			}
			if l.Mixture && m == 0 {
				m = i * events
			}
		}
		esr, mixture = append(esr, missed(e)), append(mixture, missed(m))
	}
	t.Logf("%d runs: e-SR median %d events, start-time mixture %d", n, median(esr), median(mixture))
	// The medians of n runs, whose spread is about half of their size, have a standard error of 1.25/2/sqrt n.
	slack := 1 + 2.33*1.25*0.5/math.Sqrt(float64(n))
	if got := float64(median(esr)); got > 420*slack {
		t.Errorf("e-SR: %v events", got)
	}
	if got := float64(median(mixture)); got > 650*slack {
		t.Errorf("start-time mixture: %v events", got)
	}
}

func missed(at int) int {
	if at == 0 {
		return 1 << 30
	}
	return at
}

// TestR9WatchKeepsItsARL holds P(alarm within n windows) <= n/ARL where nothing changes.
func TestR9WatchKeepsItsARL(t *testing.T) {
	rule := WatchRule{Sigma: 0.5, ARL: 40, Alpha: 0.05}
	const windows = 12
	n, alarms, ever := runs(150, 4000), 0, 0
	for seed := range n {
		s := newStream(uint64(1000 + seed))
		esr, mixture := false, false
		for range windows {
			s.window(t, 25, 1)
			l := s.look(t, rule)
			esr, mixture = esr || l.ESR, mixture || l.Mixture
		}
		alarms += int(one(esr))
		ever += int(one(mixture))
	}
	t.Logf("%d runs: e-SR alarms %d, mixture %d", n, alarms, ever)
	if got := float64(alarms) / float64(n); got > limit(windows/rule.ARL, n) {
		t.Errorf("alarms within %d windows in %.3f, promised %.2f", windows, got, windows/rule.ARL)
	}
	if got := float64(ever) / float64(n); got > limit(rule.Alpha, n) {
		t.Errorf("the mixture alarms in %.3f", got)
	}
	if l := newStreamOf(t, windows).look(t, rule); math.Abs(l.Within-windows/rule.ARL) > 1e-12 {
		t.Errorf("within %v", l.Within)
	}
}

func newStreamOf(t *testing.T, windows int) *stream {
	s := newStream(5)
	for range windows {
		s.window(t, 30, 1.2)
	}
	return s
}

// TestWatchIsTheSumOverStarts compares with the plain definition, which keeps every start.
func TestWatchIsTheSumOverStarts(t *testing.T) {
	s := newStream(3)
	var cum []stats.LabelStratum
	for i := range 40 {
		cum = append(cum, s.c)
		s.window(t, 15, 1.3)
		var ln, weighted []float64
		for i, c := range cum {
			l, err := stats.NewLabel([]stats.LabelStratum{{KA: s.c.KA - c.KA, KB: s.c.KB - c.KB, Rho: 0.5}}, 0.5)
			if err != nil {
				t.Fatal(err)
			}
			ln = append(ln, l.LnAbove(0))
			weighted = append(weighted, l.LnAbove(0)+math.Log(stats.WatchWeight(i)))
		}
		all, err := stats.LnESR(ln)
		if err != nil {
			t.Fatal(err)
		}
		mixed := stats.LogSumExp(weighted...)
		l := s.look(t, pager)
		if i < dense && (math.Abs(l.LnESR-all) > 1e-9 || math.Abs(l.LnMixture-mixed) > 1e-9) {
			t.Errorf("window %d: %v and %v, by definition %v and %v", i, l.LnESR, l.LnMixture, all, mixed)
		}
		if l.LnESR > all+1e-9 || l.LnMixture > mixed+1e-9 {
			t.Errorf("window %d: thinning raises the evidence", i)
		}
	}
}

func TestWatchStaysSmallAndPlain(t *testing.T) {
	s := newStream(1)
	most := 0
	for range 3000 {
		s.window(t, 1, 1)
		most = max(most, len(s.w.Starts))
	}
	if most > dense*13 || most < dense*5 {
		t.Errorf("%d starts after 3,000 windows", most)
	}
	raw, err := json.Marshal(s.w)
	if err != nil {
		t.Fatal(err)
	}
	var back Watch
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Starts[1:], s.w.Starts[1:]) || s.look(t, pager) != (&stream{w: back}).look(t, pager) {
		t.Error("a stored watch is another one")
	}
}

func TestWatchRefusesWhatIsNotCumulative(t *testing.T) {
	w, err := Watch{}.Advance([]stats.LabelStratum{{KA: 2, KB: 2, Rho: 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range [][]stats.LabelStratum{nil, {{KA: 1, KB: 2, Rho: 0.5}}, {{KA: 2, KB: 1, Rho: 0.5}}, {{KA: 2, KB: 2, Rho: 0.4}}} {
		if _, err := w.Advance(cells); err == nil {
			t.Errorf("%+v is taken", cells)
		}
	}
	if _, err := w.Advance([]stats.LabelStratum{{KA: 2, KB: 3, Rho: 0.5}, {KA: 1, Rho: 0.1}}); err != nil {
		t.Errorf("a new stratum: %v", err)
	}
	for _, r := range []WatchRule{{}, {Sigma: 0.5, ARL: 1, Alpha: 0.05}, {Sigma: 0.5, ARL: 10, Alpha: 1}, {ARL: 10, Alpha: 0.1}, {Sigma: 0.5, ARL: 10, Alpha: 0.05, LogRatio: math.NaN()}} {
		if _, err := w.Look(r); err == nil {
			t.Errorf("rule %+v is taken", r)
		}
	}
}

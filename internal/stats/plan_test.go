package stats

import (
	"errors"
	"math"
	"testing"
)

// The forecasts are the first sizes at which the engines themselves decide on expected counts.
func TestPlanMatchesEngines(t *testing.T) {
	for _, p := range []float64{0, 0.001, 0.01, 0.08} {
		n, err := UnitsNoWorseInPoints(p, 0.02, 0.25, 0.05)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			n    float64
			want bool
		}{{n, true}, {n - 1, false}} {
			a, b := c.n*0.75, c.n*0.25
			if v, err := NoWorseInPoints(p*a, a, p*b, b, 0.02, 0.05); err != nil || v.Shown != c.want {
				t.Errorf("p=%g n=%g: %+v %v, want shown %v", p, c.n, v, err, c.want)
			}
		}
	}
	for _, side := range []Side{Above, Below} {
		d := float64(side) * math.Ln2
		n, err := EventsLabel(d, 0, 0.1, 0.5, 0.05, side)
		if err != nil {
			t.Fatal(err)
		}
		theta := logistic(d + math.Log(1.0/9))
		for i, want := range []bool{true, false} {
			k := n - float64(i)
			l, err := NewLabel([]LabelStratum{{k * (1 - theta), k * theta, 0.1}}, 0.5)
			ln := map[Side]float64{Above: l.LnAbove(0), Below: l.LnBelow(0)}[side]
			if err != nil || (ln >= math.Log(20)) != want {
				t.Errorf("side %d, %g events: ln E %v %v, want reached %v", side, k, ln, err, want)
			}
		}
	}
}

// Independent figures of the design notes (medians of simulations): they lie a tenth to a third before the forecast, because
// a sequential test decides at the first of many chances.
func TestPlanAgainstSimulatedMedians(t *testing.T) {
	near := func(name string, got, want float64) {
		t.Helper()
		if want < 0.66*got || want > 0.95*got {
			t.Errorf("%s: forecast %.0f, simulated median %.0f", name, got, want)
		}
	}
	for _, tc := range []struct{ pA, pB, rho, want float64 }{
		{0.01, 0.02, 0.5, 4110}, {0.01, 0.02, 0.1, 10350}, {0.01, 0.015, 0.5, 11575}, {0.01, 0.012, 0.5, 74327}, {0.001, 0.002, 0.5, 39817},
	} {
		events, err := EventsLabel(math.Log(tc.pB/tc.pA), 0, tc.rho, 0.5, 0.05, Above)
		if err != nil {
			t.Fatal(err)
		}
		near("label", events/(tc.pA*(1-tc.rho)+tc.pB*tc.rho), tc.want)
	}
	// the notes' single scale: rho = BestRho(1250, 2 alpha) in weights W = n/4, that is tau^2 = v/rho
	rho, err := BestRho(1250, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := MarginMixture(math.Sqrt(0.24 / rho))
	if err != nil {
		t.Fatal(err)
	}
	n, err := UnitsMixture(m, 0.03, 0, 0.2426, 0.5, 0.05, Above)
	if err != nil {
		t.Fatal(err)
	}
	near("thumbs 60 to 57 %", n, 6500)
}

func TestPlanEventNoWorse(t *testing.T) {
	bounds, err := UnitsNoWorseInPoints(0, 0.005, 0.5, 0.025)
	both, err2 := UnitsEventNoWorse(0, 0.005, 0.5, 0.05)
	if err != nil || err2 != nil || both != bounds {
		t.Errorf("without events only the bounds count: %v %v, want %v", both, err2, bounds)
	}
	// at 1 % the mixture is faster; below ten expected units with the event per arm it may not speak
	both, err = UnitsEventNoWorse(0.01, 0.005, 0.5, 0.05)
	bounds, _ = UnitsNoWorseInPoints(0.01, 0.005, 0.5, 0.025)
	if err != nil || both > bounds/3 {
		t.Errorf("at 1 %%: %v %v, bounds alone %v", both, err, bounds)
	}
	// at .1 % the mixture alone would need 1,600 units, but ten events per arm need 20,000: bounds decide at 7,184
	bounds, _ = UnitsNoWorseInPoints(0.001, 0.005, 0.5, 0.025)
	if n, err := UnitsEventNoWorse(0.001, 0.005, 0.5, 0.05); err != nil || n != bounds {
		t.Errorf("at .1 %%: %v %v, want that of the bounds %v", n, err, bounds)
	}
	if n, err := UnitsEventNoWorse(0.01, 0.3, 0.5, 0.05); err != nil || n > 100 {
		t.Errorf("a wide margin is shown by bounds: %v %v", n, err)
	}
}

func TestPlanErrors(t *testing.T) {
	m, _ := MarginMixture(0.01)
	for name, err := range map[string]error{
		"margin":     second(UnitsNoWorseInPoints(0.1, 0, 0.5, 0.05)),
		"share":      second(UnitsEventNoWorse(0.1, 0.1, 1, 0.05)),
		"wrong side": second(EventsLabel(0.1, 0.2, 0.5, 0.5, 0.05, Above)),
		"no effect":  second(UnitsMixture(m, 0.2, 0.2, 1, 0.5, 0.05, Below)),
		"no mixture": second(UnitsMixture(Mixture{}, 0, 0.2, 1, 0.5, 0.05, Below)),
		"no side":    second(UnitsMixture(m, 0, 0.2, 1, 0.5, 0.05, 0)),
	} {
		if !errors.Is(err, ErrDomain) {
			t.Errorf("%s: %v, want ErrDomain", name, err)
		}
	}
	if _, err := UnitsMixture(m, 0, 1e-9, 1, 0.5, 0.05, Below); !errors.Is(err, ErrUndefined) {
		t.Errorf("unreachable: %v, want ErrUndefined", err)
	}
}

func second(_ float64, err error) error { return err }

package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// TestCurves: the worse the candidate, the more releases are rolled back; a point is what a simulation of its truth alone says.
func TestCurves(t *testing.T) {
	m := smallModel(t)
	var q CurveRequest
	if err := json.Unmarshal([]byte(`{"metric": "errors", "effects": ["+40pp", "0pp"], "runs": 6, "users": 1500, "icc": 0.05, "base": {"errors": "2%"}}`), &q); err != nil {
		t.Fatal(err)
	}
	r, err := Curves(context.Background(), m, q, 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.Metric != "errors" || r.Margin != "5pp" || r.Runs != 6 || r.Users != 1500 || r.Cut || len(r.Points) != 2 {
		t.Fatalf("%+v", r)
	}
	equal, bad := r.Points[0], r.Points[1]
	if equal.Effect != "0pp" || equal.Harm != 0 || bad.Effect != "+40pp" || bad.Harm != 8 {
		t.Errorf("points %+v", r.Points)
	}
	if bad.RolledBack < 0.8 || equal.RolledBack > 0.2 || bad.MedianExposedUsers >= equal.MedianExposedUsers {
		t.Errorf("equal %+v, 40 points more errors %+v", equal, bad)
	}
	if s := bad.RolledBack + bad.Succeeded + bad.Undecided; math.Abs(s-1) > 1e-9 {
		t.Errorf("shares add up to %g", s)
	}
	q.Truth = map[string]string{"errors": "+40pp"}
	one, err := Once(context.Background(), m, q.Request, 1)
	if err != nil {
		t.Fatal(err)
	}
	if one.MedianDurationSeconds != bad.MedianDurationSeconds || one.MedianExposedUsers != bad.MedianExposedUsers {
		t.Errorf("alone: %+v, on the curve: %+v", one, bad)
	}
	if ends := one.Endings(); len(ends) != 6 || ends[0].Seconds > ends[5].Seconds || ends[2].Seconds != one.MedianDurationSeconds {
		t.Errorf("endings %v, median %g", ends, one.MedianDurationSeconds)
	}
	again, err := Curves(context.Background(), m, CurveRequest{q.Request, "errors", q.Effects}, 1)
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("one worker: %+v, two: %+v, %v", again, r, err)
	}
}

// TestDefaultEffects: the grid steps by the margin in the direction of harm, and leaves out what can't be.
func TestDefaultEffects(t *testing.T) {
	o, err := Options{Model: smallModel(t)}.complete()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"errors":  {"0pp", "+2.5pp", "+5pp", "+7.5pp", "+10pp", "+15pp"}, // live has 0.5 %: fewer points are not possible
		"slow":    {"0.8x", "0.8944x", "1x", "1.118x", "1.25x", "1.398x", "1.562x", "1.953x"},
		"correct": {"+10pp", "+5pp", "0pp", "-5pp", "-10pp", "-15pp", "-20pp", "-30pp"},
		"kind":    {"0bits", "0.1bits", "0.2bits", "0.3bits", "0.4bits", "0.6bits"},
		"answers": {"0bits", "0.15bits", "0.3bits", "0.45bits", "0.6bits", "0.9bits"},
		"cost":    {"-30%", "-15%", "0%", "+15%", "+30%", "+45%", "+60%", "+90%"},
	}
	for i := range o.Model.Spec.Metrics {
		m := &o.Model.Spec.Metrics[i]
		var q CurveRequest
		effects, err := q.effects(&o, m)
		if m.Margin.IsZero() {
			if release.KindOf(err) != release.KindInvalid {
				t.Errorf("%s without a margin: %v, %v", m.Name, effects, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		last := math.Inf(-1)
		for _, e := range effects {
			got = append(got, e.String())
			h := e.harm(m, o.base(*m))
			if h < last {
				t.Errorf("%s: the harm of %v is %g, below that of a smaller effect", m.Name, e, h)
			}
			last = h
		}
		if !reflect.DeepEqual(got, want[m.Name]) {
			t.Errorf("%s: %v, want %v", m.Name, got, want[m.Name])
		}
		if margin, _ := inMargins(m, 1); math.Abs(margin.harm(m, o.base(*m))-1) > 1e-9 {
			t.Errorf("%s: the margin itself has the harm %g", m.Name, margin.harm(m, o.base(*m)))
		}
	}
	m := &o.Model.Spec.Metrics[0]
	if h := (Effect{1100, release.Percent}).harm(m, o.base(*m)); math.Abs(h-1.1) > 1e-9 { // of 0.5 %: 5.5 points
		t.Errorf("1100 %% more errors have the harm %g", h)
	}
}

func TestCurvesRefuses(t *testing.T) {
	m := smallModel(t)
	icc := 0.9
	for name, q := range map[string]CurveRequest{
		"unknown metric":   {Metric: "speed"},
		"effect":           {Effects: []string{"much"}},
		"impossible":       {Metric: "errors", Effects: []string{"+100pp"}},
		"too many effects": {Effects: make([]string, maxEffects+1)},
		"too many runs":    {Request: Request{Runs: maxAskedRuns + 1}},
		"too many users":   {Request: Request{Users: maxAskedUsers + 1}},
		"activity":         {Request: Request{Activity: "bursty"}},
		"base":             {Request: Request{Base: map[string]string{"errors": "many"}}},
		"truth":            {Request: Request{Truth: map[string]string{"errors": "1furlong"}}},
		"incident":         {Request: Request{Incident: "later"}},
		"icc":              {Request: Request{ICC: &icc}},
		"live":             {Request: Request{Live: "v9"}},
	} {
		if _, err := Curves(context.Background(), m, q, 1); release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.Spec.Traffic.Users = 1e6
	if o, err := (&Request{}).options(m); err != nil || o.Users != maxAskedUsers {
		t.Errorf("a file of very many users: %d, %v", o.Users, err)
	}
}

// TestCutShort: a deadline leaves the rounds that were finished, a cancellation nothing.
func TestCutShort(t *testing.T) {
	m := smallModel(t)
	q := CurveRequest{Request: Request{Runs: 3, Users: 100}, Effects: []string{"0pp", "-5pp"}}
	after := func(releases int, why error) (*CurveReport, error) {
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		return curves(ctx, m, q, 1, func(done int) {
			if done == releases {
				cancel(why)
			}
		})
	}
	for releases, rounds := range map[int]int{2: 1, 3: 1, 4: 2, 5: 2, 6: 3} {
		r, err := after(releases, context.DeadlineExceeded)
		if err != nil || r.Runs != rounds || r.Cut != (rounds < 3) {
			t.Fatalf("after %d releases: %+v, %v", releases, r, err)
		}
		short := q
		short.Runs = rounds
		if want, err := Curves(context.Background(), m, short, 2); err != nil || !reflect.DeepEqual(want.Points, r.Points) {
			t.Errorf("%d rounds: %+v, asked for as many: %+v, %v", rounds, r.Points, want.Points, err)
		}
	}
	if r, err := after(1, context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no round was finished: %+v, %v", r, err)
	}
	if r, err := after(4, context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := Once(ctx, m, q.Request, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %+v, %v", r, err)
	}
}

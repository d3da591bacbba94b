package sim

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/tally"
)

func TestEqualSeedsRepeatTheirRun(t *testing.T) {
	a, err := simulate(t, 7)
	if err != nil {
		t.Fatal(err)
	}
	b, err := simulate(t, 7)
	if err != nil {
		t.Fatal(err)
	}
	if a.Head == "" || a.Head != b.Head || a.Exposures != b.Exposures || a.Restarts != b.Restarts {
		t.Errorf("the first run was %+v, the second %+v", a, b)
	}
}

func inBubble(t *testing.T, do func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t.Context(), Options{Seed: 1, Model: parse(t, file), Truth: truth})
		if err != nil {
			t.Fatal(err)
		}
		do(t, w)
	})
}

func wantFault(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want a fault about %q", err, words)
	}
}

func TestStatesThatNeverMayBe(t *testing.T) {
	whole := assign.Initial()
	half, err := assign.Reshape(whole, []release.Share{release.Whole / 2, release.Whole / 2})
	if err != nil {
		t.Fatal(err)
	}
	for words, s := range map[string]rollout.State{
		"intervals":             {},
		"do not sum":            {Intervals: whole, Strata: []rollout.Stratum{{ID: 1, Shares: []release.Share{1, release.Whole}}}},
		"its candidate has 50%": {Intervals: half, Phase: rollout.RolledBack, Live: "v1", Candidate: "v2"},
		"harmful version v3":    {Intervals: whole, Phase: rollout.Succeeded, Live: "v1", Candidate: "v3"},
	} {
		inBubble(t, func(t *testing.T, w *world) { wantFault(t, w.checkState(&s), words) })
	}
}

func TestWithdrawnVersionServedIsAFault(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		if err := w.checkState(&rollout.State{Number: 4, Intervals: assign.Initial(), Phase: rollout.RolledBack, Live: "v1", Candidate: "v3"}); err != nil {
			t.Fatal(err)
		}
		route := &assign.Route{RouteSpec: assign.RouteSpec{Release: 4}}
		if err := w.served(route, "v3", 1, time.Now().Add(withdrawn)); err != nil {
			t.Errorf("within the time that withdrawing takes: %v", err)
		}
		wantFault(t, w.served(route, "v3", 1, time.Now().Add(withdrawn+1)), "still serves")
		route.Release = 5
		if err := w.served(route, "v3", 1, time.Now().Add(time.Hour)); err != nil {
			t.Errorf("another release of it: %v", err)
		}
	})
}

// An exposure that is in the log twice under one batch number counts once, one that the tally lacks is a fault.
func TestRecountFindsWhatTheTallyLacks(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		e := release.Exposure{ID: 1, Unit: 5, Time: 1000, Model: release.ModelKeyOf(modelName), Release: 1, Stratum: 1, Arm: 1}
		b := release.Batch{Producer: "g", Incarnation: 1, Seq: 1, Exposures: []release.Exposure{e}}
		tallied, err := tally.New(tally.Config{Model: w.o.Model, Key: e.Model, Number: 1, Arms: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := tallied.Fold(1, &b); err != nil {
			t.Fatal(err)
		}
		r := &w.checks.recount[0]
		*r = recount{number: 1, counts: map[cell]uint64{}, last: map[string]uint64{}}
		r.add(&b)
		r.add(&b)
		if err := w.sameCounts(tallied, 0); err != nil || w.result.Exposures != 1 {
			t.Errorf("%d exposures, %v", w.result.Exposures, err)
		}
		b.Seq = 2
		r.add(&b)
		wantFault(t, w.sameCounts(tallied, 0), "the log 2")
	})
}

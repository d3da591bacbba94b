package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/tally"
)

const keeps = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  versions:
    v1: {url: "http://127.0.0.1:9101"}
    v2: {url: "http://127.0.0.1:9102"}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 0.5pp, role: guardrail}
  plan:
    keepHoldback: true
    steps:
      - production: {holdback: 20%, watch: 1h}
`

// service is everything around a controller; each second 20 new users come, of whom some meet with an error.
type service struct {
	mu      sync.Mutex
	rng     *rand.Rand
	began   time.Time
	seconds int
	faults  [2]float64 // chance of an error, by arm
	arms    [2]tally.ArmView
	told    []rollout.Decision
	ended   []string // "release holding" of each call of Ended that says something new
}

func newService() *service {
	s := &service{rng: rand.New(rand.NewPCG(1, 2)), began: time.Now(), faults: [2]float64{0.02, 0.02}}
	for a := range s.arms {
		s.arms[a].Metrics = []tally.MetricView{{N: make([]float64, release.Bins), Y: make([]float64, release.Bins)}}
	}
	return s
}

func (s *service) View(string, uint32) (Evident, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for due := int(time.Since(s.began) / time.Second); s.seconds < due; s.seconds++ {
		for range 20 {
			s.visit()
		}
	}
	v := &tally.View{Baseline: true, Strata: []tally.StratumView{{ID: 1, Kind: release.ExposureServe}}}
	for _, a := range s.arms {
		m := a.Metrics[0]
		a.Metrics = []tally.MetricView{m}
		v.Strata[0].Arms = append(v.Strata[0].Arms, a)
	}
	return Evident{View: v, Arriving: true, Rate: 20, UnitRate: 20}, nil
}

func (s *service) visit() {
	arm := 1
	if s.rng.Float64() < 0.2 {
		arm = 0
	}
	a := &s.arms[arm]
	m := &a.Metrics[0]
	a.Exposures, a.Units, a.NewUnits, a.Seen = a.Exposures+1, a.Units+1, a.NewUnits+1, a.Seen+1
	bin := s.rng.IntN(release.Bins)
	m.N[bin]++
	m.Event.Closed++
	if s.rng.Float64() < s.faults[arm] {
		m.Y[bin]++
		m.SumSq++
		m.Event.With++
		m.Event.First++
		m.Event.Ever++
	}
}

func (s *service) Served(string) uint64                     { return 1 << 40 }
func (s *service) Mark(context.Context, release.Mark) error { return nil }

func (s *service) Ended(_ context.Context, _ string, n uint32, holding bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := fmt.Sprint(n, holding); !slices.Contains(s.ended, text) {
		s.ended = append(s.ended, text)
	}
	return nil
}

func (s *service) Run(context.Context, string, string, release.Model, string) (rollout.TestOutcome, error) {
	return rollout.TestOutcome{}, nil
}

func (s *service) Notify(_ context.Context, _ string, d rollout.Decision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, d)
	return nil
}

func (s *service) set(faults [2]float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

func (s *service) notes() (out []rollout.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.told {
		if d.What == rollout.Note {
			out = append(out, d)
		}
	}
	return out
}

// lead runs a controller for a time of the bubble and stops it: each call is a new process.
func lead(t *testing.T, r *records.Records, s *service, d time.Duration) {
	t.Helper()
	c := New(Options{Records: r, Evidence: s, Gateways: s, Suites: s, Notifier: s, Log: slog.New(slog.DiscardHandler), Every: 10 * time.Second})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	time.Sleep(d)
	synctest.Wait()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A version that succeeded is watched against the hold-back that stayed: quiet while nothing changes, told and on record
// when errors rise, over restarts, without moving anybody; the chain stays whole through it and the undo after it.
func TestStandingWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := records.New(store.NewMemory())
		m, faults := release.ParseModel("model.yaml", []byte(keeps))
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		who := records.Who{Name: "ada", Role: records.Operator}
		if _, _, err := r.PutModel(t.Context(), m.Normalise(), who, time.Now()); err != nil {
			t.Fatal(err)
		}
		s := newService()
		if _, _, err := r.Start(t.Context(), records.StartParams{Model: "credit", Candidate: "v2", Reason: "try", Who: who, Now: time.Now(), Salt: "s"}); err != nil {
			t.Fatal(err)
		}
		state := func() rollout.State {
			rel, err := r.Release(t.Context(), "credit", 1)
			if err != nil {
				t.Fatal(err)
			}
			return rel.State
		}
		standing := func() judge.Standing {
			w, _, err := r.Standing(t.Context(), "credit", 1)
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		for range 10 {
			if lead(t, r, s, time.Hour); state().Phase.Ended() {
				break
			}
		}
		if st := state(); st.Phase != rollout.Succeeded || st.Share() != 800_000 {
			t.Fatalf("the release is %s at %s: %s", st.Phase, st.Share(), st.Reason)
		}
		_, _, counted, err := r.Counted(t.Context(), release.ModelKeyOf("credit"), 1)
		if err != nil || !counted {
			t.Errorf("exposures of the hold-back are counted: %v (%v)", counted, err)
		}

		lead(t, r, s, time.Hour)
		first := standing()
		lead(t, r, s, 3*time.Hour) // another process, which goes on from what the first has stored
		quiet := standing()
		if first.Windows < 3 || quiet.Began != first.Began || len(quiet.Starts) <= len(first.Starts) {
			t.Errorf("after a restart the watch has %d windows since %v, had %d since %v", quiet.Windows, quiet.Began, first.Windows, first.Began)
		}
		if quiet.Windows < 20 || quiet.Look.Alarm || len(s.notes()) != 0 {
			t.Fatalf("after four quiet hours: %d windows, %+v, told %d", quiet.Windows, quiet.Look, len(s.notes()))
		}
		before := state()

		s.set([2]float64{0.02, 0.06})
		harmed := time.Now()
		lead(t, r, s, 2*time.Hour)
		notes, after := s.notes(), state()
		if len(notes) != 1 || after.Alarm == nil {
			t.Fatalf("no alarm: %+v", standing().Look)
		}
		n := notes[0]
		t.Logf("after %s: %s", n.Time.Sub(harmed).Round(time.Minute), n.Reason)
		if !strings.HasPrefix(n.Reason, "standing watch: errors: worse since about ") || !strings.HasSuffix(n.Reason, "sluice undo credit takes the version back") {
			t.Errorf("reason %q", n.Reason)
		}
		if after.Share() != before.Share() || after.Phase != before.Phase || after.Generation != before.Generation || after.Reason != before.Reason || n.From != n.To {
			t.Errorf("the alarm moved something: %s %s %d %q", after.Phase, after.Share(), after.Generation, after.Reason)
		}
		if got := standing(); got.Round != after.Alarms() || got.Began.Before(harmed) || after.Alarms() != len(notes) {
			t.Errorf("after alarm %d the watch is in round %d, began %v; %d told", after.Alarms(), got.Round, got.Began, len(notes))
		}

		lead(t, r, s, 5*time.Hour)
		if after = state(); after.Alarms() != 2 || len(s.notes()) != 2 {
			t.Errorf("harm that goes on was told %d times in seven hours, want 2", after.Alarms())
		}

		if _, _, err := r.Start(t.Context(), records.StartParams{Model: "credit", Undo: true, Reason: "errors", Who: who, Now: time.Now(), Salt: "u"}); err != nil {
			t.Fatal(err)
		}
		told := len(s.notes())
		lead(t, r, s, time.Hour)
		if a, err := r.Verify(t.Context(), "credit"); err != nil || !a.OK {
			t.Errorf("the chain: %+v (%v)", a, err)
		}
		if len(s.notes()) != told {
			t.Error("watched after the undo")
		}
		if _, _, counted, _ := r.Counted(t.Context(), release.ModelKeyOf("credit"), 1); counted {
			t.Error("counted after the undo")
		}
		alarm := rollout.Input{Now: time.Now(), Alarm: &rollout.Alarm{Number: after.Alarms() + 1, Reason: "late"}}
		if _, _, err := r.Apply(t.Context(), "credit", 1, alarm, nil); release.KindOf(err) != release.KindConflict {
			t.Errorf("an alarm after the undo: %v", err)
		}
	})
}

// The hold-back's tallies are kept at the end, counted on, and forgotten when another release begins under the same process.
func TestHoldbackIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := records.New(store.NewMemory())
		m, _ := release.ParseModel("model.yaml", []byte(keeps))
		who := records.Who{Name: "ada", Role: records.Operator}
		if _, _, err := r.PutModel(t.Context(), m.Normalise(), who, time.Now()); err != nil {
			t.Fatal(err)
		}
		s := newService()
		if _, _, err := r.Start(t.Context(), records.StartParams{Model: "credit", Candidate: "v2", Reason: "try", Who: who, Now: time.Now(), Salt: "s"}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(3 * time.Hour)
			if _, _, err := r.Start(t.Context(), records.StartParams{Model: "credit", Undo: true, Reason: "no", Who: who, Now: time.Now(), Salt: "u"}); err != nil {
				t.Error(err)
			}
		}()
		lead(t, r, s, 4*time.Hour)
		if want := []string{"1 true", "1 false", "2 false"}; !slices.Equal(s.ended, want) {
			t.Errorf("ended, holding: %q, want %q", s.ended, want)
		}
	})
}

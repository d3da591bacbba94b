package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

const waits = `
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
    steps:
      - pause: {}
      - canary: {shares: [50%], hold: 10m, deadline: 1h}
      - production: {watch: 1h}
`

// outside is everything around a controller; the first notification and the first keeping of a tally fail.
type outside struct {
	mu      sync.Mutex // effects run at once
	told    []rollout.What
	refused int
	kept    []uint32
}

func (o *outside) Served(string) uint64                     { return 1 << 40 }
func (o *outside) View(string, uint32) (Evident, error)     { return Evident{}, nil }
func (o *outside) Mark(context.Context, release.Mark) error { return nil }

func (o *outside) Run(context.Context, string, string, release.Model, string) (rollout.TestOutcome, error) {
	return rollout.TestOutcome{}, errors.New("no suite here")
}

func (o *outside) Ended(_ context.Context, _ string, n uint32, _ bool) error {
	if o.kept = append(o.kept, n); len(o.kept) == 1 {
		return errors.New("the store is away")
	}
	return nil
}

func (o *outside) Notify(_ context.Context, _ string, d rollout.Decision) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d.What == rollout.Stop && o.refused == 0 {
		o.refused++
		return errors.New("the receiver is away")
	}
	o.told = append(o.told, d.What)
	return nil
}

// A person aborts without the controller, which must do what is left to do all the same, and again after a fault.
func TestEndOfAPersonIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := records.New(store.NewMemory())
		m, faults := release.ParseModel("model.yaml", []byte(waits))
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		who := records.Who{Name: "ada", Role: records.Operator}
		if _, _, err := r.PutModel(t.Context(), m.Normalise(), who, time.Now()); err != nil {
			t.Fatal(err)
		}
		o := &outside{}
		c := New(Options{Records: r, Evidence: o, Gateways: o, Suites: o, Notifier: o, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		pass := func() {
			time.Sleep(5 * time.Second)
			synctest.Wait()
		}
		_, _, err := r.Start(t.Context(), records.StartParams{Model: "credit", Candidate: "v2", Reason: "try", Who: who, Now: time.Now(), Salt: "s"})
		if err != nil {
			t.Fatal(err)
		}
		pass()
		if got := gauges(t, c); got[nameRunning] != 1 || got[nameStep] != 1 || got[nameLeader] != 1 || got[nameTicks] < 4 {
			t.Errorf("metrics of a running release: %v", got)
		}
		abort := rollout.Command{Kind: rollout.CmdAbort, By: who.Name, Role: who.Role, Reason: "no"}
		if _, _, err := r.Apply(t.Context(), "credit", 1, rollout.Input{Now: time.Now(), Command: &abort}, nil); err != nil {
			t.Fatal(err)
		}
		pass()
		if got := gauges(t, c); got[nameRunning] != 0 {
			t.Errorf("metrics of an aborted release: %v", got)
		} else if _, there := got[nameStep]; there {
			t.Errorf("an ended release has a step: %v", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		rel, err := r.Release(t.Context(), "credit", 1)
		if err != nil || len(rel.State.Effects) != 0 {
			t.Errorf("effects %v are left (%v)", rel.State.Effects, err)
		}
		if n := len(o.told); n == 0 || o.told[n-1] != rollout.Stop || o.refused != 1 {
			t.Errorf("told %v after %d refusals, want the stop, told again after one", o.told, o.refused)
		}
		if len(o.kept) < 2 {
			t.Errorf("the tallies were kept at %v, want again after the fault", o.kept)
		}
	})
}

// gauges returns the metrics by name; those with labels are added up.
func gauges(t *testing.T, c *Controller) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	for _, collector := range c.Collectors() {
		if err := r.Register(collector); err != nil {
			t.Fatal(err)
		}
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

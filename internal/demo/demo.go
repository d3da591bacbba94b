package demo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/app"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/suite"
)

// Options of a demo. Zero values stand for the defaults.
type Options struct {
	Scenario *Scenario // default: credit
	Rate     int       // requests per second; default: the scenario's
	Seed     uint64    // of users, delays and applicants
	NoShadow bool      // leave the shadow step out, so that v3 must be caught in the A/B test
	Dir      string    // data folder; default: a temporary one, removed at the end
	Log      *slog.Logger
	// See is called with each state of a release that differs from the last, if not nil.
	See func(api.Release)
	// Say is called with what happens besides, if not nil.
	Say func(format string, args ...any)
}

// Result is what a demo's JSON holds.
type Result struct {
	Releases []ReleaseResult `json:"releases"`
}

// ReleaseResult is one release of a demo.
type ReleaseResult struct {
	Model              string           `json:"model"`
	Number             uint32           `json:"number"`
	Candidate          string           `json:"candidate"`
	Phase              rollout.Phase    `json:"phase"`
	Expected           []rollout.Phase  `json:"expected"` // any of these is how the release should end
	Decisions          []DecisionResult `json:"decisions"`
	CandidateExposures uint64           `json:"candidateExposures"` // requests of users that the candidate answered
	DurationSeconds    float64          `json:"durationSeconds"`
}

// DecisionResult is one decision of a release.
type DecisionResult struct {
	Step      release.StepKind `json:"step"`
	What      rollout.What     `json:"what"`
	Reason    string           `json:"reason"`
	From      release.Share    `json:"from"`
	To        release.Share    `json:"to"`
	Exposures []uint64         `json:"exposures"`
}

// Good says whether each release went as it should.
func (r Result) Good() bool {
	for _, rel := range r.Releases {
		if !rel.Good() {
			return false
		}
	}
	return len(r.Releases) > 0
}

// Good says whether the release went as it should.
func (r ReleaseResult) Good() bool { return slices.Contains(r.Expected, r.Phase) }

// Demo is a running demo.
type Demo struct {
	o       Options
	app     *app.App
	models  *modelServers
	traffic *traffic
	stop    context.CancelFunc // of the traffic
	done    chan struct{}      // the traffic has ended
	dir     string
	remove  bool
}

// Start starts the model servers, the server and the traffic. Close ends them.
func Start(ctx context.Context, o Options) (*Demo, error) {
	if o.Scenario == nil {
		o.Scenario = creditScenario()
	}
	if o.Rate == 0 {
		o.Rate = o.Scenario.Rate
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	d := &Demo{o: o, dir: o.Dir}
	if err := d.start(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context) error {
	var err error
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
			return err
		}
		d.remove = true
	}
	if d.models, err = startModels(d.o.Scenario, d.o.Seed); err != nil {
		return err
	}
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = filepath.Join(d.dir, "data")
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	if d.app, err = app.Start(ctx, app.Options{Config: cfg, Log: d.o.Log}); err != nil {
		return err
	}
	if err := d.apply(ctx); err != nil {
		return err
	}
	if d.traffic, err = newTraffic(d.o.Scenario, d.app.GatewayURL(), d.o.Rate, d.o.Seed); err != nil {
		return err
	}
	trafficCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.stop, d.done = cancel, make(chan struct{})
	go func() {
		defer close(d.done)
		d.traffic.run(trafficCtx)
	}()
	return nil
}

// Client is a client of the demo's server, as an admin.
func (d *Demo) Client() *api.Client {
	return &api.Client{Base: d.app.AdminURL(), Token: d.app.Token()}
}

// Target is where the demo's users send their requests.
func (d *Demo) Target() string { return d.app.GatewayURL() + d.o.Scenario.path }

// Model is the name of the demo's model.
func (d *Demo) Model() string { return d.o.Scenario.Name }

// Rate is how many requests the users send each second, if the machine carries them.
func (d *Demo) Rate() int { return d.o.Rate }

// apply stores the demo's Model file and its suite, as sluice apply would.
func (d *Demo) apply(ctx context.Context) error {
	file, err := modelFile(d.o.Scenario.Name, planData{
		URLs: d.models.urls, Shadow: !d.o.NoShadow, Rate: max(1, int(float64(d.o.Rate)*d.o.Scenario.declared)),
	})
	if err != nil {
		return err
	}
	tests, err := suite.BundleFS(d.o.Scenario.files, "suite.yaml")
	if err != nil {
		return err
	}
	_, err = d.Client().Apply(ctx, api.ApplyRequest{
		Name: d.o.Scenario.Name + ".yaml", File: file, Files: map[string]string{"suite.yaml": tests},
	})
	return err
}

// Run makes the releases of the scenario, one after the other, and returns what became of them. A release that pauses undecided is
// given up after a while, as a result and not as an error.
func (d *Demo) Run(ctx context.Context) (Result, error) {
	var result Result
	for _, next := range d.o.Scenario.releases {
		d.o.Say("releasing %s: %s", next.version, next.reason)
		r, err := d.release(ctx, next.version, next.reason)
		if err != nil {
			return result, err
		}
		r.Expected = next.expect
		result.Releases = append(result.Releases, r)
		if !r.Phase.Ended() {
			break // it waits for a person: the next release can't begin
		}
	}
	return result, nil
}

// patience is how long one release of the demo may take; it takes a minute on two cores.
const patience = 8 * time.Minute

func (d *Demo) release(ctx context.Context, version, reason string) (ReleaseResult, error) {
	client := d.Client()
	started, err := client.Start(ctx, d.o.Scenario.Name, api.StartRequest{To: version, Reason: reason})
	if err != nil {
		return ReleaseResult{}, err
	}
	watchCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = client.Watch(watchCtx, d.o.Scenario.Name, func(r api.Release) bool {
		if r.Number != started.Number {
			return true
		}
		if d.o.See != nil {
			d.o.See(r)
		}
		return !r.Phase.Ended() && r.Phase != rollout.Paused
	})
	if err != nil && ctx.Err() != nil {
		return ReleaseResult{}, ctx.Err()
	}
	if err != nil && watchCtx.Err() == nil {
		return ReleaseResult{}, err
	}
	r, err := client.Release(ctx, d.o.Scenario.Name, started.Number)
	if err != nil {
		return ReleaseResult{}, err
	}
	return resultOf(r), nil
}

func resultOf(r api.Release) ReleaseResult {
	out := ReleaseResult{
		Model: r.Model, Number: r.Number, Candidate: r.Candidate, Phase: r.Phase,
		DurationSeconds: r.Duration, CandidateExposures: r.CandidateExposures,
	}
	for _, dec := range r.Decisions {
		out.Decisions = append(out.Decisions, DecisionResult{
			Step: dec.Step, What: dec.What, Reason: dec.Reason, From: dec.From, To: dec.To, Exposures: dec.Exposures,
		})
	}
	return out
}

// Stats says in one line what the traffic did.
func (d *Demo) Stats() string {
	t := d.traffic
	return fmt.Sprintf("%d requests answered, %d failed, %d not sent in time, %d outcomes told", t.sent.Load(), t.failed.Load(), t.shed.Load(), t.told.Load())
}

// Close ends the traffic, then the server, then the model servers, and removes the temporary folder.
func (d *Demo) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if d.stop != nil {
		d.stop()
		<-d.done
	}
	if d.app != nil {
		if err := d.app.Stop(ctx); err != nil {
			d.o.Log.Error("stopping the server", "error", err)
		}
	}
	if d.models != nil {
		if err := d.models.stop(ctx); err != nil {
			d.o.Log.Error("stopping the model servers", "error", err)
		}
	}
	if d.remove {
		if err := os.RemoveAll(d.dir); err != nil {
			d.o.Log.Error("removing the temporary folder", "dir", d.dir, "error", err)
		}
	}
}

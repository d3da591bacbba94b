package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/tally"
)

// Evidence is what the folder of the telemetry knows. Implemented by ingest, joined by app.
type Evidence interface {
	// View returns the merged sums of one release, the hash of what they were made from, and
	// whether telemetry of it arrived within the last few seconds. nil: nothing arrived yet.
	View(model string, number uint32) (Evident, error)
	// Mark writes a baseline into every partition's log, durably; repeating it is harmless.
	Mark(ctx context.Context, m release.Mark) error
	// Ended tells that a release is over: its tallies are frozen, and forgotten unless it holds back: then they are counted on
	// until Ended is told again.
	Ended(ctx context.Context, model string, number uint32, holding bool) error
}

// Evident is what is known of one release at one moment.
type Evident struct {
	View     *tally.View
	Hash     string
	Arriving bool
	Gap      string  // why the present sums are incomplete; "" if they are not
	Rate     float64 // exposures per second at present
	UnitRate float64 // new units per second at present
}

// Gateways says what is being served. Implemented in app.
type Gateways interface {
	// Served returns the lowest routing generation of the model that all live gateways serve; 0 when
	// no gateway is alive.
	Served(model string) uint64
}

// Suites runs a test suite against a version. Implemented by app over package suite.
type Suites interface {
	Run(ctx context.Context, model, suite string, spec release.Model, version string) (rollout.TestOutcome, error)
}

// Notifier tells people outside. Repeating a key is harmless.
type Notifier interface {
	Notify(ctx context.Context, key string, d rollout.Decision) error
}

// Options join a controller to its surroundings; all but Notifier are needed.
type Options struct {
	Records  *records.Records
	Evidence Evidence
	Gateways Gateways
	Suites   Suites
	Notifier Notifier
	Log      *slog.Logger
	Lease    time.Duration // candidate lease put into the routes
	Every    time.Duration // between ticks; default 1 s
}

// Controller runs the loop. One goroutine calls Run; Trip may be called by any.
type Controller struct {
	o     Options
	cache map[string]*judge.Cache // by release; owned by the loop
	saved map[string]time.Time    // when the clock was last saved; owned by the loop
	over  map[string]uint32       // by model, the ended release after which nothing is left to do; owned by the loop
	held  map[string]*held        // by model, the ended release whose hold-back is watched; owned by the loop

	metrics *metrics

	leading atomic.Bool
	effects sync.WaitGroup
	mu      sync.Mutex
	running map[string]bool // effects that are being run, by key
}

// New returns a controller.
func New(o Options) *Controller {
	if o.Every == 0 {
		o.Every = time.Second
	}
	return &Controller{o: o, cache: map[string]*judge.Cache{}, saved: map[string]time.Time{}, over: map[string]uint32{}, held: map[string]*held{}, running: map[string]bool{}, metrics: newMetrics()}
}

// leaseTTL is how long a leader that vanished is waited for; an embedded store needs no wait.
const leaseTTL = 12 * time.Second

// Run leads while it can and decides once per tick, until ctx ends; then it gives leadership back.
// It returns only after every effect that it started has stopped.
func (c *Controller) Run(ctx context.Context) error {
	defer c.effects.Wait()
	for ctx.Err() == nil {
		lease, err := c.o.Records.Lead(ctx, leaseTTL)
		if err != nil {
			c.o.Log.Debug("not leading", "error", err)
			sleep(ctx, leaseTTL/4)
			continue
		}
		c.o.Log.Info("leading")
		c.metrics.leader.Set(1)
		c.leading.Store(true)
		err = c.lead(ctx, lease)
		c.leading.Store(false)
		c.metrics.leader.Set(0)
		if ctx.Err() == nil {
			c.o.Log.Warn("leadership lost", "error", err)
		}
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		_ = lease.Release(release) // if this fails, the ttl does the same a little later
		cancel()
	}
	return nil
}

// Leading says whether this process decides at present. Safe for concurrent use.
func (c *Controller) Leading() bool { return c.leading.Load() }

// lead ticks until the lease is lost or ctx ends. Renewals and decisions share this goroutine because
// each renewal changes the revision that a decision is fenced by.
func (c *Controller) lead(ctx context.Context, lease records.Lease) error {
	ticker := time.NewTicker(c.o.Every)
	defer ticker.Stop()
	renewed := time.Now()
	for {
		if time.Since(renewed) > leaseTTL/4 {
			sent := time.Now()
			if err := lease.Renew(ctx); err != nil {
				return err
			}
			renewed = sent
		}
		began := time.Now()
		err := c.Tick(ctx, began, lease)
		c.metrics.ticked(time.Since(began), err)
		if err != nil {
			if ctx.Err() != nil {
				return nil // stopping is no fault
			}
			if fenced(err) {
				return err
			}
			c.o.Log.Error("tick", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Tick decides once on every running release. A fault of one release does not keep the others from
// their turn; all faults are returned together.
func (c *Controller) Tick(ctx context.Context, now time.Time, lease records.Lease) error {
	models, err := c.o.Records.Models(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, m := range models {
		if m.Running != 0 {
			faults = append(faults, c.tickRelease(ctx, m, now, lease))
		}
		faults = append(faults, c.closeEnded(ctx, m, now, lease))
	}
	if _, err := c.o.Records.Publish(ctx, c.o.Lease); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (c *Controller) tickRelease(ctx context.Context, m records.Model, now time.Time, lease records.Lease) error {
	name := m.Spec.Metadata.Name
	rel, err := c.o.Records.Release(ctx, name, m.Running)
	if err != nil {
		return err
	}
	tick, explain, err := c.observe(rel.State, now)
	if err != nil {
		return err
	}
	// A decision is stored with the calls that reproduce its numbers. Step is pure: asking it first whether there
	// will be one spares all other ticks that work.
	if _, ds, err := rollout.Step(rel.State, rollout.Input{Now: now, Tick: &tick}); err == nil && len(ds) > 0 {
		explain(&tick)
	}
	next, decisions, err := c.o.Records.ApplyTo(ctx, rel, rollout.Input{Now: now, Tick: &tick}, lease)
	if records.IsConflict(err) {
		return nil // a person was faster: the next tick sees what they did
	}
	if err != nil {
		return err
	}
	c.tell(decisions)
	c.metrics.stands(next.State)
	c.metrics.decided(decisions)
	if err := c.saveClock(ctx, next.State, now, lease); err != nil {
		return err
	}
	c.startEffects(ctx, next.State)
	return nil
}

// closeEnded does what is left after a release's end, tick by tick until all of it is done: its effects,
// and its tallies. The end need not have been decided here: people abort and undo without the controller,
// and a leader may die right after its decision.
func (c *Controller) closeEnded(ctx context.Context, m records.Model, now time.Time, lease records.Lease) error {
	name, n := m.Spec.Metadata.Name, m.Last
	if m.Running != 0 {
		n-- // releases follow each other: the one before has ended
	}
	if n == 0 || c.over[name] == n {
		return nil
	}
	if err := c.letGo(ctx, name, n); err != nil {
		return err
	}
	rel, err := c.o.Records.Release(ctx, name, n)
	if err != nil || !rel.State.Phase.Ended() {
		return err
	}
	if m.Running == 0 {
		c.metrics.ended(name) // it may have ended by a person's command, which no tick sees
	}
	delete(c.cache, key(rel.State))
	delete(c.saved, key(rel.State))
	c.startEffects(ctx, rel.State)
	if m.Holds(&rel.State) {
		return c.watch(ctx, rel, now, lease)
	}
	if err := c.o.Evidence.Ended(ctx, name, n, false); err != nil {
		return err
	}
	delete(c.held, name)
	if len(rel.State.Effects) == 0 {
		c.over[name] = n
	}
	return nil
}

// saveEvery bounds how much of a step's clock a crash can cost.
const saveEvery = 5 * time.Second

func (c *Controller) saveClock(ctx context.Context, s rollout.State, now time.Time, lease records.Lease) error {
	if s.Phase.Ended() || now.Sub(c.saved[key(s)]) < saveEvery {
		return nil
	}
	c.saved[key(s)] = now
	return c.o.Records.SaveClock(ctx, s, lease)
}

func (c *Controller) tell(decisions []rollout.Decision) {
	for _, d := range decisions {
		c.o.Log.Info("decision", "model", d.Model, "release", d.Release, "number", d.Number,
			"what", d.What, "from", d.From.String(), "to", d.To.String(), "by", d.By, "reason", d.Reason)
	}
}

func key(s rollout.State) string { return s.Model + "/" + itoa(s.Number) }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

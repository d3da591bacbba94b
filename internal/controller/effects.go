package controller

import (
	"context"
	"errors"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// startEffects runs what the state asks for and nobody runs yet. An effect stays in the state until
// it is acknowledged, so one that a crash interrupted is started again by the next controller.
func (c *Controller) startEffects(ctx context.Context, s rollout.State) {
	for _, e := range s.Effects {
		if !c.claim(e.Key) {
			continue
		}
		c.effects.Go(func() {
			defer c.unclaim(e.Key)
			if err := c.runEffect(ctx, s, e); err != nil && ctx.Err() == nil {
				c.o.Log.Error("effect", "key", e.Key, "kind", e.Kind, "error", err)
				sleep(ctx, time.Second) // before the next tick tries again
			}
		})
	}
}

func (c *Controller) claim(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[key] {
		return false
	}
	c.running[key] = true
	return true
}

func (c *Controller) unclaim(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, key)
}

// runEffect does one effect and acknowledges it. A fault that may pass is returned and tried again;
// one that will not is acknowledged as such, so that the release pauses with the reason.
func (c *Controller) runEffect(ctx context.Context, s rollout.State, e rollout.Effect) error {
	var err error
	switch e.Kind {
	case rollout.RunSuite:
		return c.runSuite(ctx, s, e)
	case rollout.WriteBaseline:
		err = c.o.Evidence.Mark(ctx, release.Mark{
			Model: release.ModelKeyOf(s.Model), Release: s.Number, Baseline: e.Baseline,
		})
	case rollout.Notify:
		err = c.notify(ctx, s, e)
	case rollout.SetLive: // done by the commit that ended the release
	}
	if err != nil {
		return err
	}
	return c.acknowledge(ctx, s, rollout.Input{Done: &rollout.Done{Key: e.Key}})
}

func (c *Controller) runSuite(ctx context.Context, s rollout.State, e rollout.Effect) error {
	outcome, err := c.o.Suites.Run(ctx, s.Model, e.Suite, s.Spec, e.Version)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return c.acknowledge(ctx, s, rollout.Input{Done: &rollout.Done{Key: e.Key, Err: err.Error()}})
	}
	if err := c.acknowledge(ctx, s, rollout.Input{Test: &outcome}); err != nil {
		return err
	}
	return c.acknowledge(ctx, s, rollout.Input{Done: &rollout.Done{Key: e.Key}})
}

func (c *Controller) notify(ctx context.Context, s rollout.State, e rollout.Effect) error {
	if c.o.Notifier == nil {
		return nil
	}
	decisions, _, err := c.o.Records.Decisions(ctx, s.Model, 0)
	if err != nil {
		return err
	}
	for _, d := range decisions {
		if d.Release == s.Number && d.Number == e.Decision {
			return c.o.Notifier.Notify(ctx, e.Key, d)
		}
	}
	return &release.Error{Kind: release.KindInternal, Op: "notify", Msg: "the decision is not in the log", Remedy: "sluice audit verify " + s.Model}
}

// acknowledge hands an outcome to the release. Refusals mean that the release has moved on (a person
// aborted while the suite ran): nothing is left to do.
func (c *Controller) acknowledge(ctx context.Context, s rollout.State, in rollout.Input) error {
	in.Now = time.Now()
	_, decisions, err := c.o.Records.Apply(ctx, s.Model, s.Number, in, nil)
	c.tell(decisions)
	if release.KindOf(err) == release.KindConflict && !records.IsConflict(err) {
		return nil
	}
	return err
}

// Trip puts a gateway's breaker on the release's record.
func (c *Controller) Trip(ctx context.Context, model string, number uint32, trip rollout.BreakerTrip) error {
	_, decisions, err := c.o.Records.Apply(ctx, model, number, rollout.Input{Now: time.Now(), Breaker: &trip}, nil)
	c.tell(decisions)
	return err
}

func stepKind(s rollout.State) release.StepKind {
	steps := s.Spec.Spec.Plan.Steps
	if s.Step < 0 || s.Step >= len(steps) {
		return ""
	}
	return steps[s.Step].Kind()
}

func fenced(err error) bool { return errors.Is(err, records.ErrFenced) }

package controller

import (
	"context"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/tally"
)

// held is what is known of an ended release whose hold-back stays.
type held struct {
	number   uint32
	kept     bool // the tallies of its end are stored
	loaded   bool
	nothing  bool // no metric can be watched
	standing judge.Standing
	revision records.Revision
}

// lateWindows is for how many windows counters may be behind what was counted before, as they are while a folder reads
// its snapshots and catches up, until the watch begins afresh without them.
const lateWindows = 6

// alarmAgain is how long after an alarm the next one is told at the earliest, while the harm goes on. Telling a crossing later
// than it was seen breaks no promise.
const alarmAgain = 6 * time.Hour

// watch keeps the standing watch over a hold-back: it closes a window when one is over, and puts an alarm on record. Between
// two windows it reads and writes nothing. It never moves a share.
func (c *Controller) watch(ctx context.Context, rel records.Release, now time.Time, lease records.Lease) error {
	s := rel.State
	h := c.held[s.Model]
	if h == nil {
		h = &held{number: s.Number}
		c.held[s.Model] = h
	}
	if !h.kept {
		if err := c.o.Evidence.Ended(ctx, s.Model, s.Number, true); err != nil {
			return err
		}
		h.kept = true
	}
	if h.nothing || h.loaded && h.standing.Round == s.Alarms() && now.Sub(h.standing.Closed) < judge.StandingWindow {
		return nil
	}
	ev, err := c.o.Evidence.View(s.Model, s.Number)
	if err != nil || ev.View == nil {
		return err // nothing arrived yet, or the folder still reads its snapshots
	}
	if !h.loaded {
		if h.standing, h.revision, err = c.o.Records.Standing(ctx, s.Model, s.Number); err != nil {
			return err
		}
		h.loaded = true
	}
	return c.closeWindow(ctx, rel, h, ev.View, now, lease)
}

func (c *Controller) closeWindow(ctx context.Context, rel records.Release, h *held, view *tally.View, now time.Time, lease records.Lease) error {
	s := rel.State
	in := Judged(s, rollout.Look{Step: release.StepProduction, Strata: len(s.Strata), Baseline: s.Baseline != nil}, view)
	now = now.Round(0).UTC()
	if len(h.standing.Metrics) == 0 || h.standing.Round != s.Alarms() {
		return c.beginStanding(ctx, s, h, in, now)
	}
	if now.Sub(h.standing.Closed) < judge.StandingWindow {
		return nil
	}
	next, err := h.standing.Close(in, now)
	if err != nil {
		if now.Sub(h.standing.Closed) < lateWindows*judge.StandingWindow {
			return nil // counters may only be behind for now
		}
		c.o.Log.Warn("the standing watch begins afresh", "model", s.Model, "release", s.Number, "error", err)
		return c.beginStanding(ctx, s, h, in, now)
	}
	if !next.Look.Alarm || s.Alarm != nil && now.Sub(s.Alarm.Time) < alarmAgain {
		return c.keepStanding(ctx, s, h, next)
	}
	alarm := rollout.Alarm{Number: s.Alarms() + 1, Metric: next.Look.Metric, Since: next.Look.Since, Reason: next.Look.Reason}
	after, decisions, err := c.o.Records.ApplyTo(ctx, rel, rollout.Input{Now: now, Alarm: &alarm}, lease)
	if records.IsConflict(err) {
		return nil // somebody was faster: the next tick sees what they did
	}
	if err != nil {
		return err
	}
	c.tell(decisions)
	c.metrics.decided(decisions)
	return c.beginStanding(ctx, after.State, h, in, now)
}

func (c *Controller) beginStanding(ctx context.Context, s rollout.State, h *held, in judge.Input, now time.Time) error {
	fresh, ok := judge.BeginStanding(in, s.Alarms(), now)
	if !ok {
		h.nothing = true
		fresh.Look.Reason = "no metric counts users with an event: nothing is watched"
	}
	return c.keepStanding(ctx, s, h, fresh)
}

func (c *Controller) keepStanding(ctx context.Context, s rollout.State, h *held, next judge.Standing) error {
	rev, err := c.o.Records.PutStanding(ctx, s.Model, s.Number, next, h.revision)
	if err != nil {
		h.loaded, h.nothing = false, false // another leader wrote, or nobody knows: what is stored counts
		if records.IsConflict(err) {
			return nil
		}
		return err
	}
	h.standing, h.revision = next, rev
	return nil
}

// letGo forgets a release whose hold-back closed because another one began and has ended since: an undo does both at once.
func (c *Controller) letGo(ctx context.Context, name string, latest uint32) error {
	h := c.held[name]
	if h == nil || h.number == latest {
		return nil
	}
	if err := c.o.Evidence.Ended(ctx, name, h.number, false); err != nil {
		return err
	}
	delete(c.held, name)
	return nil
}

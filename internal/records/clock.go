package records

import (
	"context"
	"errors"

	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// SaveClock writes down the step's clock and judge's memory of a running release, guarded by the
// leader's lease. The controller calls it every few seconds; what a crash loses is that much of a
// step's clock, never a decision.
func (r *Records) SaveClock(ctx context.Context, s rollout.State, fence store.Lease) error {
	key := clockKey(s.Model, s.Number)
	rev, err := r.latest(ctx, key)
	if err != nil {
		return err
	}
	value, err := encode(clockRecord{V: layout, Decision: s.Decisions, Clock: s.Clock, Memory: s.Memory})
	if err != nil {
		return err
	}
	_, err = r.store.Commit(ctx, store.Batch{Fence: fence, Writes: []store.Write{{Key: key, Value: value, Expect: rev}}})
	return translate("save the clock of "+s.Model, err)
}

// overlayClock puts the saved clock into a state that was loaded. A clock of an earlier decision is
// kept for its memory alone: the step that it timed is over.
func (r *Records) overlayClock(ctx context.Context, s *rollout.State) error {
	e, err := r.store.Get(ctx, clockKey(s.Model, s.Number))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return translate("read the clock of "+s.Model, err)
	}
	var rec clockRecord
	if err := decode(e, &rec); err != nil {
		return err
	}
	s.Memory = rec.Memory
	if rec.Decision == s.Decisions {
		s.Clock = rec.Clock
	}
	return nil
}

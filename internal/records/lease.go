package records

import (
	"context"
	"time"

	"sluice.dev/sluice/internal/store"
)

// Lease is the leader's claim: decisions taken by the clock carry it, so that a leader who was
// suspended and comes back can't decide any more.
type Lease = store.Lease

const leaderLease = "controller"

// Lead claims leadership for ttl or answers store.ErrHeld.
func (r *Records) Lead(ctx context.Context, ttl time.Duration) (Lease, error) {
	return r.store.Acquire(ctx, leaderLease, ttl)
}

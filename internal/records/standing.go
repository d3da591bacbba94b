package records

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// standingRecord is the blob watch/NAME/N.
type standingRecord struct {
	V        int            `json:"v"`
	Standing judge.Standing `json:"standing"`
}

func standingBlob(name string, n uint32) string { return fmt.Sprintf("watch/%s/%09d", name, n) }

// Standing returns the standing watch over a release's hold-back and its revision; a zero watch and 0 if there is none.
func (r *Records) Standing(ctx context.Context, name string, n uint32) (judge.Standing, store.Revision, error) {
	op := fmt.Sprintf("read the standing watch of %s/%d", name, n)
	data, rev, err := r.store.GetBlob(ctx, standingBlob(name, n))
	if errors.Is(err, store.ErrNotFound) {
		return judge.Standing{}, 0, nil
	}
	if err != nil {
		return judge.Standing{}, 0, translate(op, err)
	}
	var rec standingRecord
	if err := json.Unmarshal(data, &rec); err != nil || rec.V != layout {
		return judge.Standing{}, rev, release.Internal(op, err, "it is damaged or of another layout (%d)", rec.V)
	}
	return rec.Standing, rev, nil
}

// PutStanding replaces the standing watch under compare-and-swap. A conflict says that another leader closed the window.
func (r *Records) PutStanding(ctx context.Context, name string, n uint32, s judge.Standing, expect store.Revision) (store.Revision, error) {
	data, err := encode(standingRecord{V: layout, Standing: s})
	if err != nil {
		return 0, err
	}
	rev, err := r.store.PutBlob(ctx, standingBlob(name, n), data, expect)
	return rev, translate(fmt.Sprintf("keep the standing watch of %s/%d", name, n), err)
}

package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// Bounds of what is remembered of calls that must not be done twice: 256 buckets of 16 answers, for a day.
const (
	bucketSize  = 16
	onceKept    = 24 * time.Hour
	oncePending = time.Minute // after which a call that never ended is taken for lost
	maxAnswer   = 20 << 10    // bytes of one answer; a bucket stays below the store's limit of a value
)

// Answer is what a call answered.
type Answer struct {
	Status int    `json:"status"`
	ETag   string `json:"etag,omitempty"`
	Body   []byte `json:"body,omitempty"`
	Cut    bool   `json:"cut,omitempty"` // the body was too large to be kept
}

// onceRecord is stored under once/BUCKET.
type onceRecord struct {
	V       int         `json:"v"`
	Entries []onceEntry `json:"entries"` // oldest first
}

type onceEntry struct {
	Key    string    `json:"key"`
	Call   string    `json:"call"` // hash of what was asked
	At     time.Time `json:"at"`
	Answer *Answer   `json:"answer,omitempty"` // nil: it is being done
}

// OnceKey names a call that must not be done twice, by whom it comes from and the key that they chose.
func OnceKey(who Who, key string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%d:%s%s", len(who.ID), who.ID, len(who.Name), who.Name, key))
	return hex.EncodeToString(sum[:])
}

// BeginOnce claims a key for a call. It returns the answer if the same call was done before, and nil if it is to be
// done now; then EndOnce must follow. KindInvalid if the key was used for another call, KindConflict while the same
// one is being done.
func (r *Records) BeginOnce(ctx context.Context, key, call string, now time.Time) (*Answer, error) {
	const op = "use the idempotency key"
	var answer *Answer
	err := r.changeOnce(ctx, key, func(rec *onceRecord) error {
		rec.Entries = slices.DeleteFunc(rec.Entries, func(e onceEntry) bool {
			age := now.Sub(e.At)
			return age > onceKept || e.Answer == nil && age > oncePending
		})
		for _, e := range rec.Entries {
			switch {
			case e.Key != key:
			case e.Call != call:
				return release.Invalid(op, "the key was used for another call before").Fix("use a fresh key for each call, and the same one only to repeat it")
			case e.Answer == nil:
				return release.Conflict(op, "the same call is being done").Fix("repeat it in a few seconds")
			default:
				answer = e.Answer
				return nil
			}
		}
		rec.Entries = append(rec.Entries, onceEntry{Key: key, Call: call, At: now})
		if len(rec.Entries) > bucketSize {
			rec.Entries = rec.Entries[len(rec.Entries)-bucketSize:]
		}
		return nil
	})
	return answer, err
}

// EndOnce keeps the answer of a call that BeginOnce let through; nil: it failed and changed nothing, so that it may be
// tried again.
func (r *Records) EndOnce(ctx context.Context, key string, a *Answer) error {
	if a != nil && len(a.Body) > maxAnswer {
		a = &Answer{Status: a.Status, ETag: a.ETag, Cut: true}
	}
	return r.changeOnce(ctx, key, func(rec *onceRecord) error {
		i := slices.IndexFunc(rec.Entries, func(e onceEntry) bool { return e.Key == key })
		switch {
		case i < 0: // its place was taken meanwhile
		case a == nil:
			rec.Entries = slices.Delete(rec.Entries, i, i+1)
		default:
			rec.Entries[i].Answer = a
		}
		return nil
	})
}

func (r *Records) changeOnce(ctx context.Context, key string, change func(*onceRecord) error) error {
	const op = "use the idempotency key"
	name := "once/" + key[:2]
	for {
		rec := onceRecord{V: layout}
		w := store.Write{Key: name}
		e, err := r.store.Get(ctx, name)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return translate(op, err)
		default:
			w.Expect = e.Revision
			if err := decode(e, &rec); err != nil {
				return err
			}
		}
		if err := change(&rec); err != nil {
			return err
		}
		if w.Value, err = encode(rec); err != nil {
			return err
		}
		if _, err = r.store.Commit(ctx, store.Batch{Writes: []store.Write{w}}); !isConflict(err) {
			return translate(op, err)
		}
	}
}

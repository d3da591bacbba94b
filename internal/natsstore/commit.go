package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"sluice.dev/sluice/internal/store"
)

// Headers of our own on CTRL: how far an entry's head lies ahead of it, and back from the head.
// The distance is known before the sequences are.
const (
	headAhead = "Sluice-Head-Ahead"
	entryBack = "Sluice-Entry-Back"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b store.Batch) ([]store.Revision, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	fence, err := s.ownLease(b.Fence)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.space.check(ctx, forControl); err != nil {
		return nil, err
	}
	revs, err := s.commit(ctx, b.Writes, fence)
	if err != nil {
		return nil, fmt.Errorf("commit of key %q and %d more: %w", b.Writes[0].Key, len(b.Writes)-1, err)
	}
	return revs, nil
}

func (s *Store) commit(ctx context.Context, writes []store.Write, fence *lease) ([]store.Revision, error) {
	if fence == nil {
		a, err := s.publish(ctx, s.batch(writes, nil, 0)...)
		return revisions(a, len(writes)), err
	}
	// Each renewal changes the revision on which the batch depends, so one at a time.
	fence.mu.Lock()
	defer fence.mu.Unlock()
	for {
		if err := fence.lostErr(); err != nil {
			return nil, err
		}
		a, err := s.publish(ctx, s.batch(writes, fence, fence.revision)...)
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return revisions(a, len(writes)), err
		}
		moved, lookErr := fence.look(ctx)
		if lookErr != nil {
			return nil, lookErr
		}
		if !moved {
			return nil, err
		}
		// A renewal whose answer was lost has arrived: the batch was refused for our own sake.
	}
}

// batch lays out the messages of a commit: first the appended entries, then one head for each
// write, in order. The lease's expectation rides on the first entry, whose own subject needs none
// (its head guards it), or on a message of its own.
func (s *Store) batch(writes []store.Write, fence *lease, revision uint64) []*nats.Msg {
	var entries, heads []*nats.Msg
	for _, w := range writes {
		head := expecting(message(s.names.head(w.Key), w.Value), uint64(w.Expect))
		if w.Append {
			entries = append(entries, message(s.names.entry(w.Key, uint64(w.Expect)), w.Value))
			head.Data = nil
			head.Header.Set(entryBack, "") // filled in below
		}
		heads = append(heads, head)
	}
	next := 0
	for i, head := range heads {
		if _, ok := head.Header[entryBack]; ok {
			distance := strconv.Itoa(len(entries) - next + i)
			head.Header.Set(entryBack, distance)
			entries[next].Header.Set(headAhead, distance)
			next++
		}
	}
	if fence == nil {
		return append(entries, heads...)
	}
	if len(entries) == 0 {
		entries = []*nats.Msg{living(message(s.names.fence(fence.name), nil), time.Second)}
	}
	expectingOf(entries[0], s.names.lease(fence.name), revision)
	return append(entries, heads...)
}

// revisions are the sequences of the heads, which are the last n messages of the batch.
func revisions(a ack, n int) []store.Revision {
	if a.Sequence == 0 {
		return nil
	}
	revs := make([]store.Revision, n)
	for i := range revs {
		revs[i] = store.Revision(a.Sequence - uint64(n-1-i))
	}
	return revs
}

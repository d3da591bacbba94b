package natsstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

// Append implements store.Store.
func (s *Store) Append(ctx context.Context, log, id string, data []byte) (store.Seq, error) {
	if err := store.CheckEntry(log, id, data); err != nil {
		return 0, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if err := s.space.check(ctx, forBulk); err != nil {
		return 0, fmt.Errorf("log %q: %w", log, err)
	}
	if _, err := s.stream(ctx, s.logConfig(log)); err != nil {
		return 0, fmt.Errorf("log %q: %w", log, err)
	}
	m := message(s.names.logSubject(log), data)
	if id != "" {
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	seq, err := s.append(ctx, log, m)
	if err != nil {
		return 0, fmt.Errorf("append to log %q: %w", log, err)
	}
	return seq, nil
}

func (s *Store) append(ctx context.Context, log string, m *nats.Msg) (store.Seq, error) {
	t := s.tail(log)
	if t == nil {
		a, err := s.publish(ctx, m)
		return store.Seq(a.Sequence), err
	}
	number, now := t.begin(), time.Now()
	stamp(m, now)
	a, err := s.publish(ctx, m)
	switch r := (store.Record{Seq: store.Seq(a.Sequence), Time: now.UTC()}); {
	case errors.Is(err, store.ErrUnknown):
		t.unknown()
	case err != nil:
	case a.Duplicate:
		t.stored(number, r)
	default:
		r.Data = m.Data
		t.stored(number, r)
	}
	return store.Seq(a.Sequence), err
}

// Bounds implements store.Store.
func (s *Store) Bounds(ctx context.Context, log string) (first, last store.Seq, err error) {
	if err := store.CheckName("log", log); err != nil {
		return 0, 0, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer cancel()
	stream, err := ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.Stream(ctx, s.names.logStream(log)) })
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of log %q: %w", log, translate(err, store.ErrUnavailable))
	}
	state := stream.CachedInfo().State
	if state.LastSeq == 0 {
		return 0, 0, nil
	}
	if state.Msgs == 0 {
		return store.Seq(state.LastSeq + 1), store.Seq(state.LastSeq), nil
	}
	return store.Seq(state.FirstSeq), store.Seq(state.LastSeq), nil
}

// Read implements store.Store.
func (s *Store) Read(ctx context.Context, log string, after store.Seq, follow bool) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if ctx.Err() != nil {
			return
		}
		r := reader{s: s, log: log, after: after, yield: yield}
		if err := r.run(ctx, follow); err != nil && ctx.Err() == nil {
			yield(store.Record{}, fmt.Errorf("log %q: %w", log, err))
		}
	}
}

// reader is one call of Read.
type reader struct {
	s     *Store
	log   string
	after store.Seq // the last sequence that was yielded
	end   store.Seq // where a read that does not follow stops
	yield func(store.Record, error) bool
	over  bool // the caller has enough
}

func (r *reader) run(ctx context.Context, follow bool) error {
	if err := r.locate(ctx); err != nil {
		return err
	}
	if follow {
		if _, err := r.s.stream(ctx, r.s.logConfig(r.log)); err != nil {
			return err
		}
		if t := r.s.tail(r.log); t != nil {
			return r.follow(ctx, t)
		}
		return r.consume(ctx, true)
	}
	if r.after == r.end {
		return nil
	}
	return r.consume(ctx, false)
}

// consume yields what the log holds up to r.end or, to follow, without an end.
func (r *reader) consume(ctx context.Context, follow bool) error {
	idle := r.idle
	if follow {
		idle = nil
	}
	return r.s.consume(ctx, r.s.names.logStream(r.log), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   uint64(r.after + 1),
	}, idle, func(_ context.Context, m *jetstream.RawStreamMsg) (bool, error) {
		if seq := store.Seq(m.Sequence); seq != r.after+1 {
			return false, r.gap(seq)
		}
		r.after++
		r.over = !r.yield(store.Record{Seq: r.after, Data: m.Data, Time: stamped(m.Header, m.Time)}, nil)
		return !r.over && (follow || r.after < r.end), nil
	})
}

// locate compares where the reader stands with the log.
func (r *reader) locate(ctx context.Context) error {
	first, last, err := r.s.Bounds(ctx, r.log)
	switch {
	case err != nil:
		return err
	case r.after > last:
		return fmt.Errorf("it ends at %d, before %d which the reader has seen: %w", last, r.after, store.ErrGap)
	case r.after+1 < first:
		return r.gap(first)
	}
	r.end = last
	return nil
}

func (r *reader) gap(found store.Seq) error {
	return fmt.Errorf("after %d comes %d: %w", r.after, found, store.ErrGap)
}

// idle finds out whether what the reader waits for has been removed meanwhile.
func (r *reader) idle(ctx context.Context) (bool, error) {
	end := r.end
	err := r.locate(ctx)
	r.end = end // what came later is for another read
	return false, err
}

package natsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

const (
	// pullBytes bounds what is under way to one reader.
	pullBytes = 4 << 20
	// pullMessages bounds their number. With a bound in bytes alone the client makes a channel of a million
	// places for each reader: 7.6 MiB, 130 MiB for the sixteen partitions of an idle server.
	pullMessages = 500
	// pullExpiry and pullHeartbeat say how soon a reader notices that its server is gone, or that
	// its request was lost: in a cluster, the first one to a new consumer may arrive before the
	// servers know of the consumer. Two missed heartbeats make the library start a new one.
	pullExpiry    = 20 * time.Second
	pullHeartbeat = time.Second
	// resetAttempts bounds how long the client library tries again on its own (1, 2, 4 s); then
	// the caller learns that the engine is unavailable.
	resetAttempts = 3
	// idleAfter is when a reader asks whether it still waits for something, see consume. It must
	// be more than two heartbeats: each call of Next starts to count them anew.
	idleAfter = 5 * pullHeartbeat
)

const _ = uint64(idleAfter - 2*pullHeartbeat - 1) // does not compile if that is broken

// consume calls each with the messages that an ordered consumer delivers until each answers false
// or an error, or ctx ends (nil), or the store does (ErrUnavailable). idle, if not nil, is called
// when nothing came for a while and ends the loop with its error or, for true, without.
func (s *Store) consume(
	ctx context.Context, stream string, c jetstream.OrderedConsumerConfig,
	idle func(context.Context) (bool, error),
	each func(context.Context, *jetstream.RawStreamMsg) (bool, error),
) error {
	if ctx.Err() != nil {
		return nil
	}
	begun, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	c.MaxResetAttempts = resetAttempts
	cons, err := s.js.OrderedConsumer(begun, stream, c)
	done()
	if err != nil {
		return s.ended(ctx, err)
	}
	defer s.discard(stream, cons)
	msgs, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return s.ended(ctx, err)
	}
	defer msgs.Stop()
	live, stop := s.scope(ctx)
	defer stop()
	for {
		m, err := next(live, msgs, idle != nil)
		if idle != nil && errors.Is(err, context.DeadlineExceeded) && live.Err() == nil {
			if over, err := idle(live); over || err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return s.ended(ctx, err)
		}
		if more, err := each(live, m); !more || err != nil {
			return err
		}
	}
}

// next returns the next message; with bounded, context.DeadlineExceeded when none came for a while.
func next(ctx context.Context, msgs jetstream.MessagesContext, bounded bool) (*jetstream.RawStreamMsg, error) {
	if bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, idleAfter)
		defer cancel()
	}
	m, err := msgs.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, err
	}
	return &jetstream.RawStreamMsg{
		Subject: m.Subject(), Sequence: meta.Sequence.Stream, Header: m.Headers(), Data: m.Data(), Time: meta.Timestamp,
	}, nil
}

// ended says why a reader ended: nil if its own context did.
func (s *Store) ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the error is how the library says that ctx ended
	case s.life.Err() != nil:
		return s.closedErr()
	default:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
}

// discard removes the consumer, which the server would keep for minutes. It is not an error if
// that fails.
func (s *Store) discard(stream string, cons jetstream.Consumer) {
	info := cons.CachedInfo()
	ctx, cancel, err := s.begin(s.life)
	if err != nil {
		return // the server will do it
	}
	defer cancel()
	if info == nil {
		return
	}
	if err := s.js.DeleteConsumer(ctx, stream, info.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.opts.Logger.Debug("consumer not deleted", "stream", stream, "err", err)
	}
}

package natsstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

// Store is a store.Store on JetStream. It is safe for concurrent use.
type Store struct {
	opts  Options
	names names
	nc    *nats.Conn
	js    jetstream.JetStream
	ctrl  jetstream.Stream
	space *space

	// deadBefore is the sequence up to which leases belong to processes that are known dead: those
	// that held the lock of the data folder before us. 0 in a cluster.
	deadBefore uint64
	replicas   int

	streams sync.Map // name -> jetstream.Stream, those that are known to exist
	tails   sync.Map // log -> *tail

	life   context.Context // ends with Close
	end    context.CancelFunc
	once   sync.Once
	closer func() error // what lies below the connection
	err    error        // of Close; set before once is done
}

var _ store.Store = (*Store)(nil)

// open is the common path: from a connection to a store. closer runs once, also if open fails.
func open(ctx context.Context, o Options, replicas int, nc *nats.Conn, closer func() error) (_ *Store, err error) {
	s := &Store{opts: o, nc: nc, replicas: replicas, closer: closer}
	s.life, s.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.names, err = newNames(o.Namespace); err != nil {
		return nil, err
	}
	if s.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(o.Timeout)); err != nil {
		return nil, err
	}
	s.space = &space{dir: o.Dir, minFree: uint64(o.MinFree), js: s.js, age: spaceAge}
	if o.Dir != "" {
		s.space.limit = o.MaxStore
	}
	if s.ctrl, err = s.ensure(ctx, s.ctrlConfig()); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends all reads and watches, then the connection and an embedded server. It takes a few
// seconds at most and may be called again.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.end()
		s.nc.Close()
		s.err = s.closer()
	})
	return s.err
}

// begin returns the context of one request, bounded in time and by the life of the store, or
// ErrUnavailable if it must not start.
func (s *Store) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if s.life.Err() != nil {
		return nil, nil, s.closedErr()
	}
	if !s.nc.IsConnected() {
		return nil, nil, fmt.Errorf("%w: not connected to %s", store.ErrUnavailable, s.where())
	}
	// A request to a server that just stopped is never answered, so the caller's own deadline,
	// which may be for much more than this request, is not enough.
	ctx, cancel := s.scope(ctx)
	timed, stop := context.WithTimeout(ctx, s.opts.Timeout)
	return timed, func() { stop(); cancel() }, nil
}

// scope returns a context that ends with ctx and with the store.
func (s *Store) scope(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Store) closedErr() error {
	return fmt.Errorf("%w: the store is closed", store.ErrUnavailable)
}

func (s *Store) where() string {
	if s.opts.Dir != "" {
		return s.opts.Dir
	}
	return s.opts.URLs
}

// pause waits for d; false says that ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package natsstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nuid"

	"sluice.dev/sluice/internal/store"
)

// lease is a message on the lease's subject whose body is the holder's token, empty when released.
// The server removes it when its time is over; the sequence is what fences. Each change of it is
// guarded by the sequence before, so no clock of ours is involved.
type lease struct {
	s     *Store
	name  string
	ttl   time.Duration
	token string

	mu       sync.Mutex // held during each renewal and each commit under the lease
	revision uint64
	lost     bool
}

// ownLease returns the fence as a lease of this store; nil for no fence.
func (s *Store) ownLease(fence store.Lease) (*lease, error) {
	if fence == nil {
		return nil, nil
	}
	l, ok := fence.(*lease)
	if !ok || l.s != s {
		return nil, fmt.Errorf("%w: the fence is a lease of another store", store.ErrInvalid)
	}
	return l, nil
}

// Acquire implements store.Store.
func (s *Store) Acquire(ctx context.Context, name string, ttl time.Duration) (store.Lease, error) {
	if err := store.CheckName("lease", name); err != nil {
		return nil, err
	}
	ttl, err := store.LeaseTTL(name, ttl)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	l := &lease{s: s, name: name, ttl: ttl, token: nuid.Next()}
	if err := l.claim(ctx); err != nil {
		return nil, fmt.Errorf("lease %q: %w", name, err)
	}
	return l, nil
}

// claim takes the lease over from nobody, from a holder that released it, or from one that is
// known dead.
func (l *lease) claim(ctx context.Context) error {
	m, err := l.s.ctrl.GetLastMsgForSubject(ctx, l.s.names.lease(l.name))
	err = translateGetOrNil(err)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case len(m.Data) == 0 || m.Sequence <= l.s.deadBefore:
		l.revision = m.Sequence
	default:
		return store.ErrHeld
	}
	err = l.put(ctx, l.token, l.ttl)
	if errors.Is(err, store.ErrConflict) {
		return store.ErrHeld // somebody else was faster
	}
	return err
}

func translateGetOrNil(err error) error {
	if err == nil {
		return nil
	}
	return translateGet(err)
}

// put replaces the lease's message, which must be the one that we know.
func (l *lease) put(ctx context.Context, body string, ttl time.Duration) error {
	if err := l.s.space.check(ctx, forControl); err != nil {
		return err
	}
	m := living(expecting(message(l.s.names.lease(l.name), []byte(body)), l.revision), ttl)
	a, err := l.s.publish(ctx, m)
	if err == nil {
		l.revision = a.Sequence
	}
	return err
}

// Renew implements store.Lease.
func (l *lease) Renew(ctx context.Context) error {
	return l.change(ctx, "renewal", l.token, l.ttl)
}

// Release implements store.Lease. A lease that is lost already answers store.ErrFenced.
func (l *lease) Release(ctx context.Context) error {
	return l.change(ctx, "release", "", time.Second)
}

func (l *lease) change(ctx context.Context, op, body string, ttl time.Duration) error {
	ctx, cancel, err := l.s.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := l.lostErr(); err != nil {
			return err
		}
		err := l.put(ctx, body, ttl)
		if err == nil {
			l.lost = body == ""
			return nil
		}
		if errors.Is(err, store.ErrConflict) {
			var moved bool
			if moved, err = l.look(ctx); err == nil && !moved {
				// Nobody took it, the server is still storing an earlier request of ours.
				err = store.ErrUnavailable
			} else if err == nil {
				continue
			}
		}
		return fmt.Errorf("%s of lease %q: %w", op, l.name, err)
	}
}

// look compares the lease with the server's after a conflict. It answers ErrFenced if the lease is
// lost, and moved if a renewal of ours, whose answer was lost, has arrived since. mu must be held.
func (l *lease) look(ctx context.Context) (moved bool, err error) {
	m, err := l.s.ctrl.GetLastMsgForSubject(ctx, l.s.names.lease(l.name))
	err = translateGetOrNil(err)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return false, fmt.Errorf("lease %q: %w", l.name, err)
	case err != nil || string(m.Data) != l.token:
		l.lost = true
		return false, l.lostErr()
	}
	moved = m.Sequence != l.revision
	l.revision = m.Sequence
	return moved, nil
}

// lostErr is nil while the lease may be held. mu must be held.
func (l *lease) lostErr() error {
	if l.lost {
		return fmt.Errorf("lease %q: %w", l.name, store.ErrFenced)
	}
	return nil
}

// Revision implements store.Lease.
func (l *lease) Revision() store.Revision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return store.Revision(l.revision)
}

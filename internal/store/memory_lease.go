package store

import (
	"context"
	"fmt"
	"time"
)

// claim is who holds a lease now. It is over when released or when until is reached.
type claim struct {
	holder   *memLease
	revision Revision
	until    time.Time
	released bool
}

type memLease struct {
	session *Memory
	name    string
	ttl     time.Duration
}

// ownLease returns the fence as a lease of this store; nil for no fence.
func (w *world) ownLease(fence Lease) (*memLease, error) {
	if fence == nil {
		return nil, nil
	}
	l, ok := fence.(*memLease)
	if !ok || l.session.world != w {
		return nil, fmt.Errorf("%w: the fence is a lease of another store", ErrInvalid)
	}
	return l, nil
}

// Acquire implements Store.
func (m *Memory) Acquire(ctx context.Context, name string, ttl time.Duration) (Lease, error) {
	if err := CheckName("lease", name); err != nil {
		return nil, err
	}
	ttl, err := LeaseTTL(name, ttl)
	if err != nil {
		return nil, err
	}
	if err := ready(ctx); err != nil {
		return nil, err
	}
	l := &memLease{session: m, name: name, ttl: ttl}
	err = m.inject(Op{OpAcquire, name}, func() error {
		w := m.world
		if c := w.claims[name]; c != nil && !c.over(w.clock()) {
			return fmt.Errorf("lease %q: %w", name, ErrHeld)
		}
		w.last++
		w.claims[name] = &claim{holder: l, revision: w.last, until: w.clock().Add(ttl)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (c *claim) over(now time.Time) bool { return c.released || !now.Before(c.until) }

// holds answers ErrFenced unless l is the present holder. mu must be held.
func (l *memLease) holds() error {
	w := l.session.world
	c := w.claims[l.name]
	if c == nil || c.holder != l || c.over(w.clock()) {
		return fmt.Errorf("lease %q: %w", l.name, ErrFenced)
	}
	return nil
}

// Renew implements Lease.
func (l *memLease) Renew(ctx context.Context) error {
	if err := ready(ctx); err != nil {
		return err
	}
	return l.session.inject(Op{OpRenew, l.name}, func() error {
		if err := l.holds(); err != nil {
			return err
		}
		w := l.session.world
		w.last++
		c := w.claims[l.name]
		c.revision, c.until = w.last, w.clock().Add(l.ttl)
		return nil
	})
}

// Release implements Lease. A lease that is lost already answers ErrFenced.
func (l *memLease) Release(ctx context.Context) error {
	if err := ready(ctx); err != nil {
		return err
	}
	return l.session.inject(Op{OpRelease, l.name}, func() error {
		if err := l.holds(); err != nil {
			return err
		}
		l.session.world.claims[l.name].released = true
		return nil
	})
}

// Revision implements Lease. It is 0 once the lease is lost to another holder.
func (l *memLease) Revision() Revision {
	w := l.session.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.claims[l.name]; c != nil && c.holder == l {
		return c.revision
	}
	return 0
}

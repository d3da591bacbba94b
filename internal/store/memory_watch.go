package store

import (
	"context"
	"fmt"
	"iter"
)

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context, key string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := CheckName("key", key); err != nil {
			yield(Entry{}, err)
			return
		}
		var seen Revision
		for ctx.Err() == nil {
			var next Entry
			var changed chan struct{}
			err := m.inject(Op{OpWatch, key}, func() error {
				if c := m.world.keys[key]; c != nil {
					next = c.present.clone()
				}
				return nil
			})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if next.Revision > seen {
				seen = next.Revision
				if !yield(next, nil) {
					return
				}
				continue
			}
			if changed = m.awaited(func() bool {
				c := m.world.keys[key]
				return c != nil && c.present.Revision > seen
			}); changed != nil && !m.wait(ctx, changed) && ctx.Err() == nil {
				yield(Entry{}, fmt.Errorf("watch %q: %w: the store is closed", key, ErrUnavailable))
				return
			}
		}
	}
}

// awaited returns nil if cond holds, else what is closed at the next change, after which cond has
// to be asked again. cond is called with mu held.
func (m *Memory) awaited(cond func() bool) chan struct{} {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if cond() {
		return nil
	}
	return m.world.changed
}

// wait blocks until changed is closed; false says that ctx or the session ended before.
func (m *Memory) wait(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	case <-m.closed:
		return false
	}
}

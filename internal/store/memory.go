package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in the memory of this process: for tests, and for simulations, whose clock and
// faults it takes. Nothing in it depends on chance or on the time of day, so that a simulation
// with one goroutine repeats exactly.
//
// Several sessions may share one memory as several processes share one engine, each with its own
// faults: see Session.
type Memory struct {
	world  *world
	faults Injector
	closed chan struct{}
	once   *sync.Once
}

var _ Store = (*Memory)(nil)

// world is what all sessions share. mu guards everything below it.
type world struct {
	clock    func() time.Time
	capacity int64
	logAge   time.Duration

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	last    Revision
	used    int64 // bytes in all values
	keys    map[string]*cell
	claims  map[string]*claim
	logs    map[string]*memLog
	blobs   map[string]memBlob
	late    []func() error
}

type cell struct {
	present Entry
	history []Entry
}

type memBlob struct {
	data     []byte
	revision Revision
}

// MemoryOption configures NewMemory.
type MemoryOption func(*Memory)

// WithClock makes the memory tell the time by now, from which entries are stamped and leases,
// log entries and ids expire. The default is time.Now.
func WithClock(now func() time.Time) MemoryOption {
	return func(m *Memory) { m.world.clock = now }
}

// WithFaults lets f decide which operations of the first session fail.
func WithFaults(f Injector) MemoryOption { return func(m *Memory) { m.faults = f } }

// WithCapacity makes writes answer ErrFull that would bring the sum of all values, in bytes, above
// n. The default is no limit.
func WithCapacity(n int64) MemoryOption { return func(m *Memory) { m.world.capacity = n } }

// WithLogAge removes log entries older than d. The default keeps them all.
func WithLogAge(d time.Duration) MemoryOption { return func(m *Memory) { m.world.logAge = d } }

// NewMemory returns an empty store and its first session.
func NewMemory(opts ...MemoryOption) *Memory {
	w := &world{
		clock:   time.Now,
		changed: make(chan struct{}),
		keys:    map[string]*cell{},
		claims:  map[string]*claim{},
		logs:    map[string]*memLog{},
		blobs:   map[string]memBlob{},
	}
	m := w.session()
	for _, o := range opts {
		o(m)
	}
	return m
}

func (w *world) session() *Memory {
	return &Memory{world: w, closed: make(chan struct{}), once: new(sync.Once)}
}

// Session returns another session on the same data, with its own faults (nil for none) and its own
// Close: another process, or the same one started again.
func (m *Memory) Session(f Injector) *Memory {
	s := m.world.session()
	s.faults = f
	return s
}

// Close ends this session; others go on. Leases that it holds stay until they expire.
func (m *Memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *Memory) isClosed() bool {
	select {
	case <-m.closed:
		return true
	default:
		return false
	}
}

// wake tells those who wait that something changed. mu must be held.
func (w *world) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// room answers ErrFull unless n more bytes fit. mu must be held.
func (w *world) room(n int) error {
	if w.capacity > 0 && w.used+int64(n) > w.capacity {
		return fmt.Errorf("%w: %d bytes of %d are used", ErrFull, w.used, w.capacity)
	}
	return nil
}

// ready answers ErrUnavailable if nothing may start any more under ctx.
func ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string) (Entry, error) {
	if err := CheckName("key", key); err != nil {
		return Entry{}, err
	}
	if err := ready(ctx); err != nil {
		return Entry{}, err
	}
	var e Entry
	err := m.inject(Op{OpGet, key}, func() error {
		c := m.world.keys[key]
		if c == nil {
			return fmt.Errorf("key %q: %w", key, ErrNotFound)
		}
		e = c.present.clone()
		return nil
	})
	return e, err
}

func (e Entry) clone() Entry {
	e.Value = slices.Clone(e.Value)
	return e
}

// List implements Store.
func (m *Memory) List(ctx context.Context, prefix string) ([]Entry, error) {
	if err := ready(ctx); err != nil {
		return nil, err
	}
	var list []Entry
	err := m.inject(Op{OpList, prefix}, func() error {
		for key, c := range m.world.keys {
			if strings.HasPrefix(key, prefix) {
				list = append(list, c.present.clone())
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return list, err
}

// History implements Store.
func (m *Memory) History(ctx context.Context, key string, after Revision) ([]Entry, error) {
	if err := CheckName("key", key); err != nil {
		return nil, err
	}
	if err := ready(ctx); err != nil {
		return nil, err
	}
	var list []Entry
	err := m.inject(Op{OpHistory, key}, func() error {
		c := m.world.keys[key]
		if c == nil {
			return nil
		}
		for _, e := range c.history {
			if e.Revision > after {
				list = append(list, e.clone())
			}
		}
		return nil
	})
	return list, err
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, b Batch) ([]Revision, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	fence, err := m.world.ownLease(b.Fence)
	if err != nil {
		return nil, err
	}
	if err := ready(ctx); err != nil {
		return nil, err
	}
	// A delayed write must not see what the caller does to its slices meanwhile.
	writes := slices.Clone(b.Writes)
	for i := range writes {
		writes[i].Value = slices.Clone(writes[i].Value)
	}
	var revs []Revision
	err = m.inject(Op{OpCommit, writes[0].Key}, func() (err error) {
		revs, err = m.world.commit(writes, fence)
		return err
	})
	if err != nil {
		return nil, err
	}
	return revs, nil
}

// commit checks everything before it changes anything. mu must be held.
func (w *world) commit(writes []Write, fence *memLease) ([]Revision, error) {
	if fence != nil {
		if err := fence.holds(); err != nil {
			return nil, err
		}
	}
	grow := 0
	for _, wr := range writes {
		var have Revision
		if c := w.keys[wr.Key]; c != nil {
			have = c.present.Revision
			if !wr.Append {
				grow -= len(c.present.Value)
			}
		}
		if have != wr.Expect {
			return nil, fmt.Errorf("key %q is at revision %d, not %d: %w", wr.Key, have, wr.Expect, ErrConflict)
		}
		grow += len(wr.Value)
	}
	if err := w.room(grow); err != nil {
		return nil, err
	}
	w.used += int64(grow)
	now := w.clock()
	revs := make([]Revision, len(writes))
	for i, wr := range writes {
		w.last++
		revs[i] = w.last
		w.put(wr, now)
	}
	return revs, nil
}

func (w *world) put(wr Write, now time.Time) {
	c := w.keys[wr.Key]
	if c == nil {
		c = &cell{}
		w.keys[wr.Key] = c
	}
	c.present = Entry{Key: wr.Key, Value: wr.Value, Revision: w.last, Time: now}
	if wr.Append {
		c.history = append(c.history, c.present)
	}
}

package store

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// memLog holds the entries first, first+1, ... of one log.
type memLog struct {
	first Seq
	recs  []Record
	ids   map[string]Record // by id; Data is not set
	order []string          // ids, oldest first
}

func (l *memLog) last() Seq { return l.first + Seq(len(l.recs)) - 1 }

// log returns the log of that name, without what is too old. mu must be held.
func (w *world) log(name string) *memLog {
	l := w.logs[name]
	if l == nil {
		l = &memLog{first: 1, ids: map[string]Record{}}
		w.logs[name] = l
	}
	now := w.clock()
	for len(l.order) > 0 && now.Sub(l.ids[l.order[0]].Time) > DedupWindow {
		delete(l.ids, l.order[0])
		l.order = l.order[1:]
	}
	for w.logAge > 0 && len(l.recs) > 0 && now.Sub(l.recs[0].Time) > w.logAge {
		w.drop(l, l.first+1)
	}
	return l
}

// drop removes the entries before the given sequence. mu must be held.
func (w *world) drop(l *memLog, before Seq) {
	for l.first < before && len(l.recs) > 0 {
		w.used -= int64(len(l.recs[0].Data))
		l.recs, l.first = l.recs[1:], l.first+1
	}
}

// Append implements Store.
func (m *Memory) Append(ctx context.Context, log, id string, data []byte) (Seq, error) {
	if err := CheckEntry(log, id, data); err != nil {
		return 0, err
	}
	if err := ready(ctx); err != nil {
		return 0, err
	}
	data = slices.Clone(data)
	var seq Seq
	err := m.inject(Op{OpAppend, log}, func() (err error) {
		seq, err = m.world.append(log, id, data)
		return err
	})
	if err != nil {
		return 0, err
	}
	return seq, nil
}

func (w *world) append(log, id string, data []byte) (Seq, error) {
	l := w.log(log)
	if first, ok := l.ids[id]; ok {
		return first.Seq, nil
	}
	if err := w.room(len(data)); err != nil {
		return 0, fmt.Errorf("log %q: %w", log, err)
	}
	w.used += int64(len(data))
	r := Record{Seq: l.last() + 1, Data: data, Time: w.clock()}
	l.recs = append(l.recs, r)
	if id != "" {
		l.ids[id] = Record{Seq: r.Seq, Time: r.Time}
		l.order = append(l.order, id)
	}
	return r.Seq, nil
}

// Read implements Store.
func (m *Memory) Read(ctx context.Context, log string, after Seq, follow bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := CheckName("log", log); err != nil {
			yield(Record{}, err)
			return
		}
		_, end, err := m.Bounds(ctx, log)
		if err == nil && after > end {
			err = fmt.Errorf("log %q ends at %d, before %d: %w", log, end, after, ErrGap)
		}
		for err == nil {
			if !follow && after == end {
				return
			}
			var r Record
			if r, err = m.next(ctx, log, after+1); err != nil {
				break
			}
			after = r.Seq
			if !yield(r, nil) {
				return
			}
		}
		if ctx.Err() == nil {
			yield(Record{}, err)
		}
	}
}

// next returns the entry of that sequence as soon as it exists.
func (m *Memory) next(ctx context.Context, log string, seq Seq) (Record, error) {
	for {
		var r Record
		var changed chan struct{}
		err := m.inject(Op{OpRead, log}, func() error {
			l := m.world.log(log)
			if seq < l.first {
				return fmt.Errorf("log %q starts at %d, after %d: %w", log, l.first, seq, ErrGap)
			}
			if seq <= l.last() {
				r = l.recs[seq-l.first]
				r.Data = slices.Clone(r.Data)
			}
			return nil
		})
		if err != nil || r.Seq != 0 {
			return r, err
		}
		if changed = m.awaited(func() bool { return seq <= m.world.log(log).last() }); changed == nil {
			continue
		}
		if !m.wait(ctx, changed) {
			return Record{}, fmt.Errorf("log %q: %w: the store is closed", log, ErrUnavailable)
		}
	}
}

// Bounds implements Store.
func (m *Memory) Bounds(ctx context.Context, log string) (first, last Seq, err error) {
	if err := CheckName("log", log); err != nil {
		return 0, 0, err
	}
	if err := ready(ctx); err != nil {
		return 0, 0, err
	}
	err = m.inject(Op{OpBounds, log}, func() error {
		if l := m.world.log(log); l.last() > 0 {
			first, last = l.first, l.last()
		}
		return nil
	})
	return first, last, err
}

// Trim removes the entries of a log before the given sequence, as retention does.
func (m *Memory) Trim(_ context.Context, log string, before Seq) error {
	return m.locked(Op{OpAppend, log}, func() error {
		m.world.drop(m.world.log(log), before)
		return nil
	})
}

// PutBlob implements Store.
func (m *Memory) PutBlob(ctx context.Context, name string, data []byte, expect Revision) (Revision, error) {
	if err := CheckName("blob", name); err != nil {
		return 0, err
	}
	if err := CheckSize("blob", name, len(data), MaxBlob); err != nil {
		return 0, err
	}
	if err := ready(ctx); err != nil {
		return 0, err
	}
	data = slices.Clone(data)
	var rev Revision
	err := m.inject(Op{OpPutBlob, name}, func() error {
		w := m.world
		old := w.blobs[name]
		if old.revision != expect {
			return fmt.Errorf("blob %q is at revision %d, not %d: %w", name, old.revision, expect, ErrConflict)
		}
		if err := w.room(len(data) - len(old.data)); err != nil {
			return fmt.Errorf("blob %q: %w", name, err)
		}
		w.used += int64(len(data) - len(old.data))
		w.last++
		rev = w.last
		w.blobs[name] = memBlob{data: data, revision: rev}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// GetBlob implements Store.
func (m *Memory) GetBlob(ctx context.Context, name string) ([]byte, Revision, error) {
	if err := CheckName("blob", name); err != nil {
		return nil, 0, err
	}
	if err := ready(ctx); err != nil {
		return nil, 0, err
	}
	var b memBlob
	err := m.inject(Op{OpGetBlob, name}, func() error {
		found := m.world.blobs[name]
		if found.revision == 0 {
			return fmt.Errorf("blob %q: %w", name, ErrNotFound)
		}
		b = memBlob{slices.Clone(found.data), found.revision}
		return nil
	})
	return b.data, b.revision, err
}

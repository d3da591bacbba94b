package ingest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// saver writes a partition's snapshots. One goroutine uses it at a time.
type saver struct {
	p        *folding
	revision uint64
	seq      uint64              // of the last snapshot
	size     int                 // of it, in bytes
	at       time.Time           // when it was written
	bytes    uint64              // of the log that had been folded then
	doubtful [][sha256.Size]byte // snapshots that may or may not have been stored
}

// maxDoubtful bounds what is remembered of an outage.
const maxDoubtful = 64

// run saves regularly until ctx ends. Its error wraps ErrConflict.
func (s *saver) run(ctx context.Context) error {
	// The partitions take turns, so that they don't all want the disk at once.
	pause(ctx, time.Duration(s.p.number)*s.p.f.every/16)
	for ctx.Err() == nil {
		start := time.Now()
		if s.due(start) {
			switch err := s.save(ctx); {
			case errors.Is(err, ErrConflict):
				return err
			case err != nil && ctx.Err() == nil:
				s.p.f.log.Warn("a snapshot can't be written, trying again", "partition", s.p.number, "error", err)
			}
		}
		// Large tallies are written less often: at most a twentieth of the time goes into it.
		pause(ctx, max(s.p.f.every, 20*time.Since(start)))
	}
	return nil
}

// A snapshot is long against what it spares: it holds every unit of each release. So a long one waits until several times its own length
// of the log would have to be folded again, but not for ever.
const (
	longSnapshot = 64 << 10 // bytes
	worthwhile   = 4        // times its length
	longest      = 6        // times Folder.every
)

// due says whether a snapshot is worth its bytes by now.
func (s *saver) due(now time.Time) bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.size < longSnapshot || s.p.bytes-s.bytes >= worthwhile*uint64(s.size) || now.Sub(s.at) >= longest*s.p.f.every
}

// save writes a snapshot if there is anything new to write. A conflict with a snapshot of our own whose
// fate was unknown is none.
func (s *saver) save(ctx context.Context) error {
	snap, err := s.p.freeze(s.seq)
	if err != nil || snap == nil {
		return err
	}
	data := snap.append(make([]byte, 0, snap.size()))
	revision, err := s.p.f.source.PutSnapshot(ctx, s.p.number, data, s.revision)
	if err == nil {
		s.revision, s.seq, s.doubtful = revision, snap.seq, nil
		s.size, s.at, s.bytes = len(data), time.Now(), snap.bytes
		return nil
	}
	if errors.Is(err, ErrConflict) {
		return s.readBack(ctx, err)
	}
	if len(s.doubtful) < maxDoubtful {
		s.doubtful = append(s.doubtful, sha256.Sum256(data))
	}
	return err
}

// readBack looks whose snapshot is stored after a conflict.
func (s *saver) readBack(ctx context.Context, conflict error) error {
	data, revision, err := s.p.f.source.Snapshot(ctx, s.p.number)
	if err != nil {
		return fmt.Errorf("read back a snapshot: %w", err)
	}
	if !slices.Contains(s.doubtful, sha256.Sum256(data)) {
		return conflict
	}
	stored, err := readSnapshot(data)
	if err != nil {
		return fmt.Errorf("read back a snapshot: %w", err)
	}
	s.revision, s.seq, s.doubtful = revision, stored.seq, nil
	return nil
}

// freeze copies the tallies, if anything was read since a sequence.
func (p *folding) freeze(since uint64) (*snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seq == since {
		return nil, nil //nolint:nilnil // nothing new is no fault
	}
	s := &snapshot{seq: p.seq, bytes: p.bytes}
	for id, x := range p.tallies {
		data, err := x.tally.AppendBinary(make([]byte, 0, x.size+x.size/8))
		if err != nil {
			return nil, err
		}
		x.size = len(data)
		s.tallies = append(s.tallies, snapshotTally{id: id, gap: x.gap, data: data})
	}
	slices.SortFunc(s.tallies, func(a, b snapshotTally) int {
		return cmp.Or(cmp.Compare(a.id.Key, b.id.Key), cmp.Compare(a.id.Number, b.id.Number))
	})
	return s, nil
}

// load takes over the stored snapshot and writes it back at once, so that a process that folded before
// and does not know that it is over can't write any more. A snapshot that this build can't read is
// replaced by folding the log again from its beginning. The error is ctx's.
func (p *folding) load(ctx context.Context) error {
	for {
		err := p.takeOver(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		p.f.log.Warn("a snapshot can't be taken over, trying again", "partition", p.number, "error", err)
		pause(ctx, again)
	}
}

func (p *folding) takeOver(ctx context.Context) error {
	data, revision, err := p.f.source.Snapshot(ctx, p.number)
	tallies, seq := map[ID]*folded{}, uint64(0)
	switch {
	case errors.Is(err, ErrNoSnapshot):
		data, revision = (&snapshot{}).append(nil), 0
	case err != nil:
		return err
	default:
		tallies, seq, err = p.restore(ctx, bytes.Clone(data))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p.f.log.Error("a snapshot is of no use; the log is folded again from its beginning", "partition", p.number, "error", err)
			tallies, seq, data = map[ID]*folded{}, 0, (&snapshot{}).append(nil)
		}
	}
	// Whatever becomes of this write: the next attempt begins with reading.
	if p.saver.revision, err = p.f.source.PutSnapshot(ctx, p.number, data, revision); err != nil {
		return err
	}
	p.mu.Lock()
	p.tallies, p.seq = tallies, seq
	p.mu.Unlock()
	p.saver.seq = seq
	return nil
}

func (p *folding) restore(ctx context.Context, data []byte) (map[ID]*folded, uint64, error) {
	s, err := readSnapshot(data)
	if err != nil {
		return nil, 0, err
	}
	tallies := map[ID]*folded{}
	for _, st := range s.tallies {
		t, err := p.newTally(ctx, st.id)
		if err != nil {
			return nil, 0, err
		}
		if t == nil {
			continue // the release has ended meanwhile
		}
		if err := t.UnmarshalBinary(st.data); err != nil {
			return nil, 0, fmt.Errorf("release %d: %w", st.id.Number, err)
		}
		tallies[st.id] = &folded{tally: t, gap: st.gap}
	}
	return tallies, s.seq, nil
}

package ingest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// Replay folds the stored logs again for one release, up to any positions, by the code that folded them at first: the
// view and its hash are the same, bit for bit. It keeps nothing and writes nothing. One goroutine at a time.
type Replay struct {
	folder *Folder
	read   func(ctx context.Context, partition int, after uint64) iter.Seq2[Entry, error]
	model  string
	number uint32
}

// NewReplay begins before the first entry. read yields the entries of a log after a sequence that exist.
func NewReplay(m *release.Model, number uint32, arms int,
	read func(ctx context.Context, partition int, after uint64) iter.Seq2[Entry, error],
) *Replay {
	name := m.Metadata.Name
	one := &single{id: ID{release.ModelKeyOf(name), number}, model: m, arms: arms}
	return &Replay{folder: NewFolder(one, nil, 0), read: read, model: name, number: number}
}

// To goes on to the given positions, by partition, which never lie before those of the last call. It returns the
// release's sums there and their hash; nil if nothing of it has come up to there. An error says that the log does not reach so far, or
// does not begin early enough.
func (r *Replay) To(ctx context.Context, positions []uint64) (*tally.View, string, error) {
	if len(positions) != release.Partitions {
		return nil, "", release.Invalid("replay", "%d positions, there are %d partitions", len(positions), release.Partitions)
	}
	for p, to := range positions {
		if err := r.partition(ctx, r.folder.parts[p], to); err != nil {
			return nil, "", err
		}
	}
	e := r.folder.View(r.model, r.number, time.Time{})
	if e.Gap != "" {
		return nil, "", release.Invalid("replay", "%s", e.Gap)
	}
	return e.View, e.Hash, nil
}

func (r *Replay) partition(ctx context.Context, p *folding, to uint64) error {
	if p.position() >= to {
		return nil
	}
	for e, err := range r.read(ctx, p.number, p.position()) {
		if err != nil {
			return fmt.Errorf("partition %d: %w", p.number, err)
		}
		if err := p.fold(ctx, e); err != nil {
			return err
		}
		if p.position() >= to {
			return nil
		}
	}
	return release.Invalid("replay", "the log of partition %d ends at entry %d, the decision saw entry %d", p.number, p.position(), to)
}

// single is a source that knows one release and has no snapshots.
type single struct {
	id    ID
	model *release.Model
	arms  int
}

func (s *single) Release(_ context.Context, key release.ModelKey, number uint32) (*release.Model, int, bool, error) {
	return s.model, s.arms, s.id == ID{key, number}, nil
}

func (s *single) Read(context.Context, int, uint64) iter.Seq2[Entry, error] {
	return func(func(Entry, error) bool) {}
}

func (s *single) First(context.Context, int) (uint64, error) { return 1, nil }

func (s *single) Snapshot(context.Context, int) ([]byte, uint64, error) { return nil, 0, ErrNoSnapshot }

func (s *single) PutSnapshot(context.Context, int, []byte, uint64) (uint64, error) {
	return 0, ErrConflict
}

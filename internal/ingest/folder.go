package ingest

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Entry is one entry of a partition's log.
type Entry struct {
	Seq  uint64
	Data []byte
	Time time.Time // when the log stored it; zero: not known
}

// Errors on which a folder branches; app's joint wraps the store's in them.
var (
	// ErrGap says that retention removed entries that were not read yet.
	ErrGap = errors.New("log entries are gone")
	// ErrConflict says that another process replaced a snapshot.
	ErrConflict = errors.New("snapshot conflict")
	// ErrNoSnapshot says that there is none yet.
	ErrNoSnapshot = errors.New("no snapshot")
)

// Source is where a folder reads. Safe for concurrent use.
type Source interface {
	// Read yields the entries of a partition's log after a sequence, then each new one, until ctx ends.
	// ErrGap: some are gone; First says where the rest begins.
	Read(ctx context.Context, partition int, after uint64) iter.Seq2[Entry, error]
	First(ctx context.Context, partition int) (uint64, error)
	// Snapshot and PutSnapshot keep one blob per partition under compare-and-swap; expect 0: there must
	// be none.
	Snapshot(ctx context.Context, partition int) (data []byte, revision uint64, err error)
	PutSnapshot(ctx context.Context, partition int, data []byte, expect uint64) (uint64, error)
	// Release returns the frozen model of a release and its number of arms. ok is false for one that
	// does not exist or has ended: its events are passed over. An error says that it can't be told now:
	// the folder waits, because what is passed over is lost.
	Release(ctx context.Context, key release.ModelKey, number uint32) (m *release.Model, arms int, ok bool, err error)
}

// ID names a release in events.
type ID struct {
	Key    release.ModelKey
	Number uint32
}

// Folder folds all partitions' logs into tallies.
type Folder struct {
	source Source
	log    *slog.Logger
	every  time.Duration
	parts  [release.Partitions]*folding

	mu    sync.Mutex
	views map[ID]*evidence
}

// NewFolder returns a folder that writes snapshots at most that often, and only when something changed.
func NewFolder(source Source, log *slog.Logger, every time.Duration) *Folder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if every <= 0 {
		every = time.Second
	}
	f := &Folder{source: source, log: log, every: every, views: map[ID]*evidence{}}
	for i := range f.parts {
		f.parts[i] = newFolding(f, i)
	}
	return f
}

// Run folds until ctx ends and then writes last snapshots. If another process folds the same logs, it
// stops all partitions and returns an error that wraps ErrConflict: a folder that is no longer the only
// one must not be asked for evidence. What may pass (a store that is away) is waited for.
func (f *Folder) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(f.parts))
	var wg sync.WaitGroup
	for i, p := range f.parts {
		wg.Go(func() {
			if errs[i] = p.run(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
	defer stop()
	for _, p := range f.parts {
		if err := p.saver.save(last); err != nil {
			f.log.Warn("the last snapshot is not written; its part of the log will be folded again", "partition", p.number, "error", err)
		}
	}
	return nil
}

// lastSave bounds how long a stop waits for the last snapshots.
const lastSave = 5 * time.Second
